"""The error terms of enclosures: for each a result that comes out false without it, or what else covers it.

A case says whether a claim holds. Exact values are FLINT's balls of 2000 bits, or rational numbers.
"""

import numpy as np
from flint import ctx

from certify.verify.enclosure import Enclosure, between
from certify.verify.exact.balls import Balls

from .sabotage import Overlap, Term

# Half a unit in the last place of 1, lost when it is added to 1.
HALF = 2.0**-53
# Eight of its squares are 2⁻¹⁰⁷³, and each underflows to 0.
VANISHING = np.full((1, 8), 2.0**-538)
ODD = np.arange(3.0, 400.0, 2.0)
# Sums lose the halves in whatever order they are taken, since every lane begins with a 1.
SHORT, LONG = (np.concatenate([np.ones(n), np.full(15 * n, HALF)]) for n in (8, 64))
SURE, WIDE = (1.0, 0.0), (1.0, 0.5)


def holds(expression, *given):
    """Whether the enclosure of an expression holds its exact value, every number at the upper end of its interval."""
    numbers = [np.broadcast_arrays(*map(np.float64, number)) for number in given]
    with ctx.workprec(2000), np.errstate(all="ignore"):
        wide = expression(*(Enclosure(mid, rad) for mid, rad in numbers))
        exact = expression(*(Balls.of(mid) + Balls.of(rad) for mid, rad in numbers))
        return bool((wide.low <= exact.low).all() and (exact.high <= wide.high).all())


def loses_nothing(expression, *values):
    """Whether the enclosure still holds the exact value when the float in its middle is taken off both."""
    with np.errstate(all="ignore"):
        middle = expression(*map(Enclosure, values)).near
    return holds(lambda *x: expression(*x) - middle, *((value, 0.0) for value in values))


def grouped(x):
    """One group, and another that is empty."""
    return x.grouped(np.zeros(x.shape[0], np.int64), 2)


def repeated(operation):
    def expression(x):
        for _ in range(40):
            x = operation(x)
        return x

    return expression


def spans(low, high):
    found = between(low, high)
    return bool((found.low <= low).all() and (high <= found.high).all())


def rows(name, *found):
    return [(Term(f"enclosure.py: {name}", text, without), case) for text, without, case in found]


CAUGHT = [
    *rows(
        "gamma", ("terms * ROUNDOFF /", "0.0 /", lambda: loses_nothing(lambda x: x.sum(), np.array([1.0, 2.0**-60])))
    ),
    *rows("Enclosure.joined", ("x.rad", "0.0 * x.rad", lambda: holds(lambda x: x.joined([x, x], 0), ([1.0], 0.5)))),
    *rows("Enclosure.is_zero", (" & (self.rad == 0)", "", lambda: not bool(Enclosure(0.0, 1.0).is_zero))),
    *rows(
        "Enclosure.low",
        (" - self.rad", "", lambda: holds(lambda x: -x, WIDE)),
        ("np.nextafter(self.mid - self.rad, -np.inf)", "self.mid - self.rad", lambda: holds(lambda x: -x, (1.0, HALF))),
    ),
    *rows(
        "Enclosure.high",
        (" + self.rad", "", lambda: holds(lambda x: x, WIDE)),
        ("np.nextafter(self.mid + self.rad, np.inf)", "self.mid + self.rad", lambda: holds(lambda x: x, (1.0, HALF))),
    ),
    *rows("Enclosure._moved", ("self.rad", "0.0 * self.rad", lambda: holds(lambda x: x.reshape(1), WIDE))),
    *rows("Enclosure.__neg__", ("self.rad", "0.0", lambda: holds(lambda x: -x, WIDE))),
    *rows(
        "Enclosure.__add__",
        ("self.rad", "0.0", lambda: holds(lambda x, y: x + y, WIDE, SURE)),
        ("other.rad", "0.0", lambda: holds(lambda x, y: x + y, SURE, WIDE)),
        ("ROUNDOFF * np.abs(mid)", "0.0", lambda: loses_nothing(lambda x: x + 2.0**-60, 1.0)),
        (") * GROW", ")", lambda: holds(lambda x, y: x + y + y + y + y, (0.0, 1.0), (0.0, HALF))),
    ),
    *rows(
        "Enclosure.__mul__",
        ("np.abs(self.mid) * other.rad", "0.0", lambda: holds(lambda x, y: x * y, SURE, WIDE)),
        ("self.rad", "0.0", lambda: holds(lambda x, y: x * y, WIDE, SURE)),
        ("(np.abs(other.mid) + other.rad)", "np.abs(other.mid)", lambda: holds(lambda x: x * x, (0.0, 1.0))),
        ("ROUNDOFF * np.abs(mid)", "0.0", lambda: loses_nothing(lambda x: x * x, 1.1)),
        (" + TINY", "", lambda: holds(lambda x: (x * x).sum(), (VANISHING, 0.0))),
        (" * GROW", "", lambda: holds(repeated(lambda x: x * (1 / ODD)), (0.0 * ODD, 1.0))),
    ),
    *rows(
        "Enclosure.__truediv__",
        ("np.abs(other.mid) - other.rad", "np.abs(other.mid)", lambda: holds(lambda x, y: x / y, SURE, (-1.0, 0.5))),
        ("self.rad", "0.0", lambda: holds(lambda x, y: x / y, WIDE, SURE)),
        ("(np.abs(mid) * GROW + TINY) * other.rad", "0.0", lambda: holds(lambda x, y: x / y, SURE, (-1.0, 0.5))),
        ("ROUNDOFF * np.abs(mid)", "0.0", lambda: loses_nothing(lambda x: x / 3.0, 1.0)),
        ("np.abs(mid) + TINY", "np.abs(mid)", lambda: holds(lambda x: (x / 2.0**538).sum(), (VANISHING, 0.0))),
        ("rad * GROW", "rad", lambda: holds(repeated(lambda x: x / ODD), (0.0 * ODD, 1.0))),
    ),
    *rows(
        "Enclosure.__matmul__",
        ("gamma(terms) * (left @ right)", "0.0", lambda: loses_nothing(lambda x: x @ x.T, np.array([[1.0, 2.0**-30]]))),
        (" + terms * TINY", "", lambda: holds(lambda x: x @ x.T, (VANISHING, 0.0))),
        (
            "left @ other.rad if other.rad.any() else 0.0",
            "0.0",
            lambda: holds(lambda x, y: x @ y, ([[1.0]], 0.0), ([[1.0]], 0.5)),
        ),
        (
            "self.rad @ (right + other.rad) if self.rad.any() else 0.0",
            "0.0",
            lambda: holds(lambda x, y: x @ y, ([[1.0]], 0.5), ([[1.0]], 0.0)),
        ),
        ("right + other.rad", "right", lambda: holds(lambda x: x @ x, ([[0.0]], 1.0))),
        ("(1 + gamma(2 * terms + 16))", "1", lambda: holds(lambda x: x @ LONG[:, None], (0.0 * LONG[None], 1.0))),
    ),
    *rows(
        "Enclosure.gram",
        ("self.rad.any()", "False", lambda: holds(lambda x: x.gram(), ([[1.0]], 0.5))),
        ("gamma(terms) *", "0.0 *", lambda: loses_nothing(lambda x: x.gram(), np.array([[1.0], [2.0**-30]]))),
        (
            " + SQUARES_UNDERFLOW",
            "",
            lambda: loses_nothing(lambda x: x.gram(), np.array([[2.0**-540, 1.0], [2.0**-593, 1.0]])),
        ),
    ),
    *rows(
        "Enclosure.sum",
        ("self.rad.sum(axis)", "0.0", lambda: holds(lambda x: x.sum(), WIDE)),
        (
            "gamma(terms) * np.abs(self.mid).sum(axis)",
            "0.0",
            lambda: loses_nothing(lambda x: x.sum(), np.array([1.0, 2.0**-60])),
        ),
        ("(1 + gamma(2 * terms + 16))", "1", lambda: holds(lambda x: x.sum(), (0.0 * SHORT, SHORT))),
    ),
    *rows(
        "Enclosure.running_sum",
        ("np.cumsum(self.rad, 0)", "0.0", lambda: holds(lambda x: x.running_sum(), ([1.0], 0.5))),
        (
            "gamma(terms) * np.cumsum(np.abs(self.mid), 0)",
            "0.0",
            lambda: loses_nothing(lambda x: x.running_sum(), np.array([1.0, 2.0**-60])),
        ),
        ("(1 + gamma(2 * terms + 16))", "1", lambda: holds(lambda x: x.running_sum(), (0.0 * SHORT, SHORT))),
    ),
    *rows(
        "Enclosure.grouped",
        ("self.rad)", "0.0 * self.rad)", lambda: holds(lambda x: grouped(x), ([1.0], 0.5))),
        ("gamma(terms) * size", "0.0", lambda: loses_nothing(lambda x: grouped(x), np.array([1.0, 2.0**-60]))),
        ("(1 + gamma(2 * terms + 16))", "1", lambda: holds(lambda x: grouped(x), (0.0 * SHORT, SHORT))),
    ),
    *rows("Enclosure.only", ("self.rad", "0.0", lambda: holds(lambda x: x.only(np.array(True)), WIDE))),
    *rows("Enclosure.absolute", ("self.rad", "0.0", lambda: holds(lambda x: x.absolute(), WIDE))),
    *rows(
        "Enclosure.maximum",
        (
            "self.low >= other.high",
            "self.low >= other.near",
            lambda: holds(lambda x, y: x.maximum(y), WIDE, (0.0, 3.0)),
        ),
        (
            "other.low >= self.high",
            "other.low >= self.near",
            lambda: holds(lambda x, y: y.maximum(x), WIDE, (0.0, 3.0)),
        ),
        ("larger, self.rad", "larger, 0.0", lambda: holds(lambda x: x.maximum(0.0), WIDE)),
        ("smaller, other.rad", "smaller, 0.0", lambda: holds(lambda x: (x * 0.0).maximum(x), WIDE)),
        ("np.maximum(self.rad,", "np.maximum(0.0,", lambda: holds(lambda x: x.maximum(1.0), WIDE)),
        ("np.maximum(self.rad, other.rad)", "self.rad", lambda: holds(lambda x, y: x.maximum(y), SURE, WIDE)),
    ),
    *rows(
        "Enclosure.square_root", ("4 * ROUNDOFF", "0.0", lambda: loses_nothing(lambda x: x.square_root(), 2 - 1 / ODD))
    ),
    *rows(
        "Enclosure.exponential", ("2 * _FUNCTION", "0.0", lambda: loses_nothing(lambda x: x.exponential(), 2.0**-60))
    ),
    *rows("Enclosure.logarithm", ("2 * _FUNCTION", "0.0", lambda: loses_nothing(lambda x: x.logarithm(), 1e300 / ODD))),
    *rows("Enclosure.softplus", ("4 * _FUNCTION", "0.0", lambda: loses_nothing(lambda x: x.softplus(), 0.0))),
    *rows("_FUNCTION", ("2 * LIBM_ULPS * ROUNDOFF * GROW", "0.0", lambda: loses_nothing(lambda x: x.softplus(), 0.0))),
    *rows(
        "Enclosure.entropy",
        ("self.low", "self.near", lambda: holds(lambda x: (-x).entropy(), (-2.0, 0.5))),
        ("self.high", "self.near", lambda: holds(lambda x: x.entropy(), (2.0, 0.5))),
        (
            "4 * _FUNCTION * (np.abs(at_low) + np.abs(at_high) + (high - low))",
            "0.0",
            lambda: loses_nothing(lambda x: x.entropy(), 0.3678794 + 1e-9 * ODD),
        ),
    ),
    *rows("between", (" * GROW", "", lambda: spans(ODD * 2.0**-57, np.ones(len(ODD))))),
    *rows(
        "_increasing",
        ("x.low", "x.near", lambda: holds(lambda x: (-x).exponential(), WIDE)),
        ("x.high", "x.near", lambda: holds(lambda x: x.exponential(), WIDE)),
    ),
]

BETWEEN, BELOW, ABOVE = (
    Term("enclosure.py: between", " + TINY", ""),
    Term("enclosure.py: _increasing", "np.abs(low) * error - TINY", "np.abs(low) * error"),
    Term("enclosure.py: _increasing", "np.abs(high) * error + TINY", "np.abs(high) * error"),
)
TWICE = "underflow is added in `_increasing` and in `between`; one is enough"


def underflows(x):
    """Exponentials that underflow, eight at once: each loses up to half the least float, their sum some of them."""
    return holds(lambda x: x.exponential().sum(), (np.full(8, x), 0.0))


def overlap(name, text, without, reason):
    return Overlap(Term(f"enclosure.py: {name}", text, without), reason)


OVERLAPPING = [
    overlap("gamma", " / (1 - terms * ROUNDOFF)", "", "k u is enough for sums and products (Jeannerod and Rump 2013)"),
    overlap("gamma", " * GROW", "", "the rounding of γ_k; every use has room for one more"),
    overlap("Enclosure.gram", " + terms * TINY", "", "what the lengths have for underflow is more than products lose"),
    overlap(
        "Enclosure.gram",
        "(1 + gamma(2 * terms + 16))",
        "1",
        "k u is enough for products, and a column as long as the bound on it is needed to lose that much",
    ),
    overlap("_FUNCTION", " * GROW", "", "every use doubles it"),
    overlap(
        "Enclosure.__truediv__", "np.abs(mid) * GROW", "np.abs(mid)", "the GROW of the whole radius is 2⁹ roundings"
    ),
    overlap(
        "Enclosure.__truediv__",
        "GROW + TINY",
        "GROW",
        "other.rad/room is at most 2⁵³, so the other TINY is 2⁶² times what underflows here",
    ),
    overlap("Enclosure.maximum", "self.low >=", "self.near >=", "no entry of the other lies above self.mid then"),
    overlap("Enclosure.maximum", "other.low >=", "other.near >=", "no entry of the first lies above other.mid then"),
    overlap("Enclosure.entropy", " + TINY", "", "the ends move by a float, which moves x log x by more than underflow"),
    overlap("Enclosure.entropy", " * GROW", "", "4 _FUNCTION (|x log x| + high − low) is 32 roundings of that product"),
    Overlap(BETWEEN, TWICE, (BELOW, ABOVE), lambda: underflows(-746.0)),
    Overlap(BELOW, TWICE, (BETWEEN, ABOVE), lambda: underflows(-743.91)),
    Overlap(ABOVE, TWICE, (BETWEEN, BELOW), lambda: underflows(-746.0)),
]
