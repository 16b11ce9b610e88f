"""Matrices of fractions, square roots enclosed by fractions, and semidefiniteness without rounding."""

import math
from collections.abc import Iterable
from fractions import Fraction
from typing import Any

import numpy as np
from flint import fmpz_mat

from .rejection import afford, require

# Entries are fractions, or Python's integers.
Matrix = np.ndarray[Any, np.dtype[np.object_]]

BITS = 150


def filled(shape: tuple[int, ...], entries: Iterable[object]) -> Matrix:
    return np.array(list(entries), object).reshape(shape)


def rational(values: np.ndarray[Any, Any]) -> Matrix:
    return filled(values.shape, map(Fraction, values.ravel().tolist()))


def zeros(*shape: int) -> Matrix:
    return np.full(shape, Fraction(0), object)


def identity(size: int) -> Matrix:
    return rational(np.eye(size))


def integers(matrix: Matrix) -> tuple[Matrix, int]:
    entries = matrix.ravel().tolist()
    common = math.lcm(*{entry.denominator for entry in entries})
    return filled(matrix.shape, (entry.numerator * (common // entry.denominator) for entry in entries)), common


def over(numerators: Matrix, denominator: int) -> Matrix:
    return filled(numerators.shape, (Fraction(entry, denominator) for entry in numerators.ravel().tolist()))


def product(left: Matrix, right: Matrix) -> Matrix:
    afford(left.shape[0] * left.shape[1] * right.shape[1])
    (first, one), (second, other) = integers(left), integers(right)
    return over(first @ second, one * other)


def total(values: Iterable[Fraction]) -> Fraction:
    whole, common = integers(np.array(list(values), object))
    return Fraction(sum(whole.tolist()), common)


def inner(left: Iterable[Fraction], right: Iterable[Fraction]) -> Fraction:
    return total(one * other for one, other in zip(left, right, strict=True))


def root_above(square: Fraction) -> Fraction:
    """At least the square root, and at most a part in 2¹⁵⁰ more; the root itself if it is rational."""
    exact = Fraction(math.isqrt(square.numerator), math.isqrt(square.denominator))
    if exact * exact == square:
        return exact
    shift = max(0, BITS - square.numerator.bit_length() // 2 + square.denominator.bit_length() // 2)
    return Fraction(math.isqrt((square.numerator << 2 * shift) // square.denominator) + 1, 1 << shift)


def above(value: Fraction) -> Fraction:
    """A number with few digits, at least this one and at most a part in 2¹⁵⁰ more."""
    shift = BITS - value.numerator.bit_length() + value.denominator.bit_length()
    scale = Fraction(2) ** shift
    return math.ceil(value * scale) / scale if value else value


def square_norms(matrix: Matrix) -> list[Fraction]:
    whole, common = integers(matrix)
    return [Fraction(sum(entry * entry for entry in row), common * common) for row in whole.tolist()]


def norms_above(matrix: Matrix) -> list[Fraction]:
    return [root_above(square) for square in square_norms(matrix)]


def is_semidefinite(matrix: Matrix) -> bool:
    """M ⪰ 0: no coefficient of det(x I + M), which has real roots, is negative."""
    whole = integers(-matrix)[0]
    afford(len(matrix) ** 4 * max((entry.bit_length() for entry in whole.ravel()), default=0) // 2000)
    return bool(min(fmpz_mat(whole.tolist()).charpoly()) >= 0)


def solve(matrix: Matrix, right: Matrix) -> Matrix:
    """X with M X = right, by elimination without fractions, for M ⪰ 0; `free-skip-rank` where M is singular."""
    size, rows, previous = len(matrix), integers(np.hstack([matrix, right]))[0], 1
    afford(size**4 * max((entry.bit_length() for entry in rows.ravel()), default=0) // 100)
    for step in range(size):
        require(rows[step, step] > 0, "free-skip-rank")
        for row in {*range(size)} - {step}:
            rows[row] = (rows[step, step] * rows[row] - rows[row, step] * rows[step]) // previous
        previous = rows[step, step]
    return over(rows[:, size:], int(previous))
