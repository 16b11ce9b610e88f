"""Rules 34 to 37: quadratic majorants of a kink."""

from fractions import Fraction

import numpy as np

from ..exact import Matrix, above, identity, is_semidefinite, norms_above, product, square_norms, total, zeros
from ..rejection import require
from .task import Task

Region = tuple[Matrix, list[Fraction], Fraction]


def regions(task: Task, count: int) -> list[Region]:
    """Rule 34: X̃, R and ρ, for each of so many κ where there is a free column."""
    moved = task.moved()
    sizes, square = norms_above(moved), max(square_norms(moved))
    if not task.branch.is_free:
        return [(moved, sizes, Fraction(1))] * count
    columns, reach = task.array("column", count), [size + max(sizes) for size in sizes]
    require(min(columns) > 0, "majorant-column")
    wide = [np.hstack([moved, np.full((len(moved), 1), column, object)]) for column in columns]
    return [(rows, reach, 1 + above(square / column**2)) for rows, column in zip(wide, columns, strict=True)]


def parts(scores: Matrix, slope: Fraction, where: Region, *multipliers: Matrix) -> tuple[Matrix, Matrix, Fraction]:
    """lin, M and k for q, p, g and c of one sign of one output."""
    rows, sizes, _ = where
    bent, (curvatures, slopes, caps), constants = (1 - slope) * scores, map(np.copy, multipliers), []
    for row, size in enumerate(sizes):
        room = bent[row] + max(-bent[row], abs(slopes[row]) + size * caps[row])
        if room == 0 or not rows[row].any():
            curvatures[row] = Fraction(0)
            continue
        curvatures[row] = curvatures[row] or above(room / (4 * size))
        constants.append(above(room**2 / (16 * curvatures[row])))
    linear = product(rows.T, ((bent - slopes) / 2 + slope * scores)[:, None])
    return linear, product((rows * (curvatures - caps / 2)[:, None]).T, rows), total(constants)


def symmetric(lower: Matrix) -> Matrix:
    return np.where(np.tri(lower.shape[1], dtype=bool), lower, lower.transpose(0, 2, 1))


def require_nonnegative(values: Matrix, rule: str) -> None:
    require(min(values.ravel(), default=0) >= 0, rule)


def scalar_majorant(task: Task) -> None:
    (count, outputs), slope = task.scores.shape, task.branch.geometry.slope
    require(outputs == 1, "majorant-outputs")
    curvatures, slopes, caps = (task.array(name, 2, count) for name in ("curvatures", "slopes", "caps"))
    levels, where = task.array("levels", 2), regions(task, 2)
    require_nonnegative(curvatures, "majorant-curvatures")
    require_nonnegative(caps, "majorant-caps")
    require_nonnegative(levels, "majorant-levels")
    for sign, level in enumerate(levels):
        scores = (2 * sign - 1) * task.scores[:, 0]
        linear, form, constant = parts(scores, slope, where[sign], curvatures[sign], slopes[sign], caps[sign])
        corner = np.full((1, 1), task.upper - constant - where[sign][2] * level, object)
        whole = np.block([[level * identity(len(form)) - form, -linear / 2], [-linear.T / 2, corner]])
        require(is_semidefinite(whole), "polar")


def vector_majorant(task: Task) -> None:
    (count, outputs), slope = task.scores.shape, task.branch.geometry.slope
    curvatures, slopes = (task.array(name, 2, count, outputs) for name in ("curvatures", "slopes"))
    mixings, size = task.array("mixings", 2, outputs), task.branch.columns.shape[1] + task.branch.is_free
    envelopes, (where,) = symmetric(task.array("envelopes", outputs, size, size)), regions(task, 1)
    require_nonnegative(curvatures, "majorant-curvatures")
    require(min(mixings.ravel()) > 0, "majorant-mixings")
    for output, sign in np.ndindex(outputs, 2):
        scores, place = (2 * sign - 1) * task.scores[:, output], (sign, slice(None), output)
        linear, form, constant = parts(scores, slope, where, curvatures[place], slopes[place], zeros(count))
        mixing = mixings[sign, output]
        rest = above(1 + 1 / mixing) * product(linear, linear.T) + 4 * (1 + mixing) * constant * form
        require(is_semidefinite(envelopes[output] - rest), "polar")
    require(is_semidefinite(task.upper**2 * identity(size) - where[2] * envelopes.sum(0)), "polar")
