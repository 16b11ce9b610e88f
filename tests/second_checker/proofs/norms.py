"""Rules 26 to 29, 42 and 58: nothing, matrices without an activation, quadratic forms, and sums of norms."""

from fractions import Fraction

import numpy as np

from ..entries import EntryBranch
from ..exact import (
    Matrix,
    identity,
    inner,
    is_semidefinite,
    norms_above,
    product,
    root_above,
    square_norms,
    total,
    zeros,
)
from ..rejection import afford, require
from .task import Task


def zero(task: Task) -> None:
    require(not task.scores.any(), "polar")


def spectral(task: Task) -> None:
    if isinstance(task.branch, EntryBranch):
        spectral_of_entries(task, task.branch)
        return
    matrix = product(task.branch.columns.T, task.scores)
    require(is_semidefinite(task.upper**2 * identity(matrix.shape[1]) - product(matrix.T, matrix)), "polar")


def spectral_of_entries(task: Task, branch: EntryBranch) -> None:
    """G = M₀^(−1/2) S M₁^(−1/2) with counts M: U² M₁ − Sᵀ M₀⁻¹ S ⪰ 0, without roots."""
    matrix, (first, second) = branch.matrix(task.scores), map(np.array, branch.weights)
    if len(first) < len(second):
        matrix, first, second = matrix.T, second, first
    # Matrices of −R; counts come without cones.
    kept = [matrix, np.minimum(matrix, Fraction(0))] if all(side.cone for side in branch.sides) else [matrix]
    forms = (product((own / first[:, None]).T, own) for own in kept)
    level = task.upper**2 * identity(len(second)) * second
    require(any(is_semidefinite(level - form) for form in forms), "polar")


def randomized(task: Task) -> None:
    # No randomness is needed where there is time.
    require(0 < task.array("edge", 1)[0] < task.upper, "randomized-test")
    spectral(task)


def eigenvalue(task: Task) -> None:
    matrix = product(task.branch.columns.T, task.scores)
    square = np.hstack([matrix, zeros(len(matrix), len(matrix) - matrix.shape[1])])
    require(is_semidefinite(2 * task.upper * identity(len(square)) + square + square.T), "polar")


def quadratic_form(task: Task) -> None:
    rows, size, upper = task.branch.columns, task.branch.columns.shape[1], task.upper
    forms = [product((rows * scores[:, None]).T, rows) for scores in task.scores.T]
    squares: Matrix = sum((product(form, form) for form in forms), zeros(size, size))
    if not is_semidefinite(upper**2 * identity(size) - squares):
        flat = np.stack(forms).reshape(len(forms), -1)
        require(is_semidefinite(upper**2 * identity(len(forms)) - product(flat, flat.T)), "polar")


def norm_products(task: Task) -> None:
    sizes, lipschitz = np.array(norms_above(task.branch.columns), object), task.branch.geometry.lipschitz
    more = sum(lipschitz * root_above(inner(weights, sizes**2)) for weights in task.branch.diagonals)
    if inner(norms_above(task.scores), task.branch.reach) + more > task.upper:
        squares = total(square_norms(task.scores)) * total(square_norms(task.branch.columns))
        fits = task.branch.geometry.lipschitz**2 * squares <= task.upper**2
        require(fits and not task.branch.is_free and not task.branch.diagonals, "polar")


def sorting(task: Task) -> None:
    require(task.branch.is_free and task.branch.columns.shape[1] == 1, "sorting-inputs")
    slope, column = task.branch.geometry.slope, task.branch.columns[:, 0]
    afford(10 * column.size**2 * task.scores.shape[1])
    for start in set(column.tolist()):
        for sign in (1, -1):
            steps = sign * (column - start)
            response = product(np.where(steps > 0, steps, steps * slope)[None], task.scores)
            require(total(square_norms(response)) <= task.upper**2, "polar")
