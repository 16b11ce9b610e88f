"""A vector w of small norm with w·v at least a value for every generator v of a cone: guessed, then proved."""

from fractions import Fraction

import numpy as np
from scipy.optimize import nnls

from ..exact import Matrix, rational, zeros

ROUNDS = 3


def reaches_within(directions: Matrix, values: Matrix, limit: Fraction) -> bool:
    """A w with |w| ≤ limit is found; entries of one place have one sign in all directions, and no direction is zero."""
    top = max(values, default=Fraction(0))
    if top <= 0:
        return True
    if limit == 0:
        return False
    guess = top * least(directions, values / top)
    # Along the signs of the orthant every v grows by |v|₁.
    missing = max(0, *((values - directions @ guess) / abs(directions).sum(1)))
    moved = guess + missing * np.sign(directions.sum(0))
    return bool(moved @ moved <= limit**2)


def least(directions: Matrix, values: Matrix) -> Matrix:
    """Lawson and Hanson's solution of the quadratic program, refined from floats to three times their digits."""
    floats, size = directions.astype(float), directions.shape[1]
    active = nnls(np.vstack([floats.T, values.astype(float)]), np.append(np.zeros(size), 1.0))[0] > 0
    guess = zeros(size)
    for _ in range(ROUNDS):
        rest = values[active] - directions[active] @ guess
        scale = max(map(abs, rest), default=Fraction(0))
        if scale:
            step = np.linalg.lstsq(floats[active], (rest / scale).astype(float), rcond=None)[0]
            guess = guess + scale * rational(step)
    return guess
