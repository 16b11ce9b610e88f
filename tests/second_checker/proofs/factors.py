"""Rules 53 and 54: vertices of a norm l1, and quadratic forms of two factors."""

import numpy as np

from ..exact import is_semidefinite, product
from ..rejection import require
from .majorants import require_nonnegative, symmetric
from .task import Task


def vertices(task: Task) -> None:
    (side, other), rows = task.branch.penalty.sides, -product(task.branch.columns.T, task.scores)
    if not side.has_vertices:
        side, other, rows = other, side, rows.T
    require(side.has_vertices, "vertices-norms")
    require(other.reaches(rows if side.cone else np.vstack([rows, -rows]), task.upper), "polar")


def semidefinite(task: Task) -> None:
    sides, rows = task.branch.penalty.sides, -product(task.branch.columns.T, task.scores)
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
