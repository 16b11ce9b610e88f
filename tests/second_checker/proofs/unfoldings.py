"""Rules 55 and 56: a tensor as a matrix, with forms that are zero at products of vectors."""

import itertools
import math
from fractions import Fraction

import numpy as np

from ..entries import EntryBranch
from ..exact import Matrix, identity, is_semidefinite, product, zeros
from ..rejection import afford, require
from .task import Task


def sides_of(task: Task) -> tuple[list[int], list[int]]:
    """Axes of rows and of columns."""
    require(len(task.branch.shape) > 2, "proof-kind")
    sides = task.shapes.take(f"{task.name}.sides", len(task.branch.shape), dtype="|u1").tolist()
    require({*sides} == {0, 1}, "shape")
    rows, columns = ([axis for axis, given in enumerate(sides) if given == side] for side in (1, 0))
    return rows, columns


def matrix_of(branch: EntryBranch, scores: Matrix, rows: list[int], columns: list[int]) -> Matrix:
    """−G."""
    sizes = [math.prod(branch.shape[axis] for axis in axes) for axes in (rows, columns)]
    afford(math.prod(sizes))
    result = zeros(*sizes)
    for places, value in zip(branch.places.tolist(), branch.values(scores), strict=True):
        at = [0, 0]
        for side, axes in enumerate((rows, columns)):
            for axis in axes:
                at[side] = at[side] * branch.shape[axis] + int(places[axis])
        result[at[0], at[1]] = value
    return result


def unfolding(task: Task) -> None:
    rows, columns = sides_of(task)
    sizes = [math.prod(task.branch.shape[axis] for axis in axes) for axes in (rows, columns)]
    require(min(sizes) <= 2**14, "size-limit")
    matrix = matrix_of(task.branch, task.scores, rows, columns)
    matrix = matrix if sizes[1] <= sizes[0] else matrix.T
    cones = all(side.cone for side in task.branch.sides)
    require(is_within(-matrix, task.upper, cones=cones), "polar")


def is_within(matrix: Matrix, upper: Fraction, *, cones: bool) -> bool:
    """|R| ≤ U, or for cones |R₊| ≤ U."""
    level = upper**2 * identity(matrix.shape[1])
    kept = [matrix, np.maximum(matrix, 0)] if cones else [matrix]
    return any(is_semidefinite(level - product(own.T, own)) for own in kept)


def symmetric_unfolding(task: Task) -> None:
    rows, columns = sides_of(task)
    high, wide = (math.prod(task.branch.shape[axis] for axis in axes) for axes in (rows, columns))
    require(high + wide <= 2**12, "size-limit")
    require(len(rows) == 2 and len(columns) <= 2, "shape")
    along = [vanishing(task, "row_multipliers", *(task.branch.shape[axis] for axis in rows)), zeros(wide, wide)]
    if len(columns) == 2:
        along[1] = vanishing(task, "column_multipliers", *(task.branch.shape[axis] for axis in columns))
    across = matrix_of(task.branch, task.scores, rows, columns)
    whole = np.block([[along[0], across], [across.T, along[1]]])
    require(is_semidefinite(task.upper * identity(high + wide) - whole), "polar")


def vanishing(task: Task, name: str, first: int, second: int) -> Matrix:
    pairs, others = (list(itertools.combinations(range(extent), 2)) for extent in (first, second))
    given = task.array(name, len(pairs), len(others))
    result = zeros(first, second, first, second)
    for (i, k), row in zip(pairs, given, strict=True):
        for (j, other), value in zip(others, row, strict=True):
            result[i, j, k, other] = result[k, other, i, j] = value
            result[i, other, k, j] = result[k, j, i, other] = -value
    return result.reshape(first * second, first * second)
