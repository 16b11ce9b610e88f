"""The error terms of `enclosure.py`: for each a sum that comes out false without it, or what else covers it."""

import numpy as np
from flint import ctx

from certify.verify.enclosure import Enclosure, between
from certify.verify.exact.balls import Balls

from .sabotage import Overlap, Term

TINIEST = 2.0**-1074
# Half a unit in the last place of 1: added to 1, or to a whole number of ones, it is lost.
HALF = 2.0**-53
# Products of 1 and the roundings of 1/3, 1/5, …, taken in turn.
ODD = 1 / np.arange(3.0, 400.0, 2.0)
# A sum that loses most of its terms in whatever order it is taken, since every lane meets a 1 before the halves.
LOSSES = np.concatenate([np.ones(64), np.full(960, HALF)])


def holds(expression, *given):
    """Whether the enclosure of an expression holds its exact value, every number at the upper end of its interval."""
    numbers = [np.broadcast_arrays(*map(np.float64, number)) for number in given]
    with ctx.workprec(2000), np.errstate(all="ignore"):
        wide = expression(*(Enclosure(mid, rad) for mid, rad in numbers))
        exact = expression(*(Balls.of(mid) + Balls.of(rad) for mid, rad in numbers))
        return bool((wide.low <= exact.low).all() and (exact.high <= wide.high).all())


def lost(expression, *given):
    """Whether what an expression with exact numbers loses by rounding is enclosed; what it should be is taken off."""
    return holds(lambda *x: expression(*x) - rounded, *given) if (rounded := _near(expression, given)) is not None else 0


def _near(expression, given):
    return expression(*(Enclosure(mid, rad) for mid, rad in given)).near


def repeated(operation, steps=40):
    def expression(x):
        for _ in range(steps):
            x = operation(x)
        return x

    return expression
