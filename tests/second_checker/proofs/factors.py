"""Rules 53, 54 and 59: vertices of norms l1, and quadratic forms of two factors."""

from collections import defaultdict

import numpy as np

from ..entries import EntryBranch, wide
from ..exact import Matrix, is_semidefinite, product, zeros
from ..rejection import require
from .majorants import require_nonnegative, symmetric
from .task import Task
from .unfoldings import is_within


def vertices(task: Task) -> None:
    if isinstance(task.branch, EntryBranch):
        vertices_of_entries(task, task.branch)
        return
    (side, other), rows = task.branch.penalty.sides, -product(task.branch.columns.T, task.scores)
    if not side.has_vertices:
        side, other, rows = other, side, rows.T
    require(side.has_vertices, "vertices-norms")
    require(other.reaches(rows if side.cone else np.vstack([rows, -rows]), task.upper), "polar")


def vertices_of_entries(task: Task, branch: EntryBranch) -> None:
    sides, axes = branch.sides, range(len(branch.shape))
    left = [axis for axis in axes if not sides[axis].has_vertices] or [axes[-1]]
    fixed = [axis for axis in axes if axis not in left]
    require(fixed and len(left) <= 2, "vertices-norms")
    require(len(axes) == 2 or sorted(branch.shape)[-2] <= 2**14, "size-limit")
    held = defaultdict(list)
    for places, value in zip(branch.places.tolist(), -branch.scale * task.scores[:, 0], strict=True):
        held[tuple(places[axis] for axis in fixed)].append((*(int(places[axis]) for axis in left), value))
    both = (1,) if all(sides[axis].cone for axis in fixed) else (1, -1)
    for own in held.values():
        *index, values = (np.array(column, object) for column in zip(*own, strict=True))
        for sign in both:
            if len(left) == 1:
                require(sides[left[0]].reaches(sign * values[None], task.upper), "polar")
                continue
            ends, shape = [sides[axis] for axis in left], [branch.shape[axis] for axis in left]
            matrix = zeros(*shape)
            matrix[index[0].astype(int), index[1].astype(int)] = wide(sign * values, ends, shape)
            require(is_within(matrix, task.upper, cones=all(side.cone for side in ends)), "polar")


def coupling(task: Task) -> Matrix:
    """G of two factors."""
    if isinstance(task.branch, EntryBranch):
        return task.branch.dense(-task.branch.scale * task.scores[:, 0])
    return -product(task.branch.columns.T, task.scores)


def semidefinite(task: Task) -> None:
    rows = coupling(task)
    sides = task.branch.sides if isinstance(task.branch, EntryBranch) else task.branch.penalty.sides
    (height, width) = rows.shape
    require(height + width <= 16384, "size-limit")
    forms = [symmetric(task.array(name, size, size)[None])[0] for name, size in (("left", height), ("right", width))]
    levels = task.array("levels", 2)
    require_nonnegative(levels, "semidefinite-levels")
    if all(side.cone for side in sides):
        cross = task.array("cross", height, width)
        require_nonnegative(cross, "semidefinite-cross")
        rows = rows + cross
    most = (side.form_above(form, level) for side, form, level in zip(sides, forms, levels, strict=True))
    require(sum(most) <= task.upper, "polar")
    require(is_semidefinite(np.block([[forms[0], -rows / 2], [-rows.T / 2, forms[1]]])), "polar")
