"""A vector w of small norm with w·v at least a value for every generator v of a cone: guessed, then proved."""

from fractions import Fraction
from typing import Any

import numpy as np
from scipy.optimize import nnls


def reaches_within(directions: list[tuple[Fraction, ...]], values: list[Fraction], limit: Fraction) -> bool:
    """A w with |w| ≤ limit is found; entries of one place have one sign in all directions, and none is zero."""
    top = max(values, default=Fraction(0))
    if top <= 0:
        return True
    if limit == 0:
        return False
    guess = [top * Fraction(entry) for entry in least(np.array(directions, float), np.array(values) / top)]
    signs = [max((-1, 0, 1), key=lambda sign: sign * total) for total in map(sum, zip(*directions, strict=True))]
    missing = Fraction(0)
    for direction, value in zip(directions, values, strict=True):
        reached = sum(one * entry for one, entry in zip(guess, direction, strict=True))
        missing = max(missing, (value - reached) / sum(map(abs, direction)))
    return sum((entry + missing * sign) ** 2 for entry, sign in zip(guess, signs, strict=True)) <= limit**2


def least(directions: np.ndarray[Any, Any], values: np.ndarray[Any, Any]) -> list[float]:
    """Lawson and Hanson's solution of the quadratic program, in floats."""
    values = values.astype(float)
    goal = np.append(np.zeros(directions.shape[1]), 1.0)
    active = nnls(np.vstack([directions.T, values]), goal)[0] > 0
    found: list[float] = np.linalg.lstsq(directions[active], values[active], rcond=None)[0].tolist()
    return found
