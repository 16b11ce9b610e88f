"""A vector w of small norm with w·v at least a value for every generator v of a cone: guessed, then proved."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from scipy.optimize import nnls

from ..exact import Matrix, product, solve

Directions = list[tuple[Fraction, ...]]


def reaches_within(directions: Directions, values: list[Fraction], limit: Fraction) -> bool:
    """A w with |w| ≤ limit is found; entries of one place have one sign in all directions."""
    top = max(values, default=Fraction(0))
    if top <= 0:
        return True
    if limit == 0:
        return False
    guess, active = least(
        np.array([[float(entry) for entry in direction] for direction in directions]),
        np.array([float(value / top) for value in values]),
    )
    if repaired_within([top * Fraction(entry) for entry in guess], directions, values, limit):
        return True
    exact = least_exactly([directions[at] for at in active], [values[at] for at in active])
    return exact is not None and repaired_within(exact, directions, values, limit)


def least(directions: np.ndarray, values: np.ndarray) -> tuple[list[float], list[int]]:
    """Lawson and Hanson's solution of the quadratic program in floats, and which generators hold it."""
    system = np.vstack([directions.T, values])
    goal = np.zeros(len(system))
    goal[-1] = 1
    weights = nnls(system, goal)[0]
    active = np.flatnonzero(weights > 0)
    if not len(active):
        return [0.0] * directions.shape[1], []
    guess = np.linalg.lstsq(directions[active], values[active], rcond=None)[0]
    return guess.tolist(), active.tolist()


def least_exactly(directions: Directions, values: list[Fraction]) -> list[Fraction] | None:
    """The shortest w with w·v equal to these values, without rounding."""
    if not directions:
        return None
    rows: Matrix = np.array(directions, object)
    solved = solve(product(rows, rows.T), np.array(values, object)[:, None])
    return None if solved is None else list(product(rows.T, solved)[:, 0])


def repaired_within(guess: list[Fraction], directions: Directions, values: list[Fraction], limit: Fraction) -> bool:
    """The guess, moved along the signs of the orthant until it reaches every value, is short enough."""
    signs = [
        next(((1 if entry > 0 else -1) for entry in column if entry), 0) for column in zip(*directions, strict=True)
    ]
    missing = Fraction(0)
    for direction, value in zip(directions, values, strict=True):
        reached = sum(one * entry for one, entry in zip(guess, direction, strict=True))
        missing = max(missing, (value - reached) / sum(map(abs, direction)))
    return sum((entry + missing * sign) ** 2 for entry, sign in zip(guess, signs, strict=True)) <= limit**2
