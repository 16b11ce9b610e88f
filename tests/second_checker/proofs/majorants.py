"""Rules 34 to 37: quadratic majorants of a kink."""

from fractions import Fraction

import numpy as np

from ..exact import Matrix, above, identity, is_semidefinite, norms_above, product, square_norms, total, zeros
from ..rejection import require
from .task import Task

Region = tuple[Matrix, Matrix, Fraction]


def regions(task: Task, count: int) -> list[Region]:
    """Rule 34: X̃, R and ρ, for each of so many κ where there is a free column."""
    moved = task.moved()
    sizes, square = np.array(norms_above(moved), object), max(square_norms(moved))
    if not task.branch.is_free:
        return [(moved, sizes, Fraction(1))] * count
    columns = task.array("column", count)
    require(min(columns) > 0, "majorant-column")
    wide = [np.hstack([moved, np.full((len(moved), 1), column, object)]) for column in columns]
    return [
        (rows, sizes + max(sizes), 1 + above(square / column**2)) for rows, column in zip(wide, columns, strict=True)
    ]


def parts(scores: Matrix, slope: Fraction, rows: Matrix, *multipliers: Matrix) -> tuple[Matrix, Matrix, Fraction]:
    bent, (curvatures, slopes, tilts), constants = (1 - slope) * scores, map(np.copy, multipliers), []
    for row, (length, size) in enumerate(zip(norms_above(tilts), norms_above(rows), strict=True)):
        room = bent[row] + max(-bent[row], abs(slopes[row]) + length)
        if room == 0 or not rows[row].any():
            curvatures[row] = Fraction(0)
            continue
        curvatures[row] = curvatures[row] or above(room / (4 * size))
        constants.append(above(room**2 / (16 * curvatures[row])))
    linear = product(rows.T, ((bent - slopes) / 2 + slope * scores)[:, None])
    tilted = product(rows.T, tilts) / 4
    return linear, product((rows * curvatures[:, None]).T, rows) - tilted - tilted.T, total(constants)


def symmetric(lower: Matrix) -> Matrix:
    return np.where(np.tri(lower.shape[1], dtype=bool), lower, lower.transpose(0, 2, 1))


def require_nonnegative(values: Matrix, rule: str) -> None:
    require(min(values.ravel(), default=0) >= 0, rule)


def scalar_majorant(task: Task) -> None:
    (count, outputs), slope = task.scores.shape, task.branch.geometry.slope
    require(outputs == 1, "majorant-outputs")
    curvatures, slopes = (task.array(name, 2, count) for name in ("curvatures", "slopes"))
    tilts, width = task.array("tilts", 2, count, None), task.branch.columns.shape[1]
    axes, levels = task.array("axes", 2, tilts.shape[2], width), task.array("levels", 2, 1 + task.branch.is_free)
    require_nonnegative(curvatures, "majorant-curvatures")
    require_nonnegative(levels[:, 1:], "majorant-levels")
    for sign, (level, (rows, _, radius)) in enumerate(zip(levels, regions(task, 2), strict=True)):
        scores, own = (2 * sign - 1) * task.scores[:, 0], zeros(*rows.shape)
        own[:, :width] = product(tilts[sign], axes[sign])
        linear, form, constant = parts(scores, slope, rows, curvatures[sign], slopes[sign], own)
        corner = np.full((1, 1), task.upper - constant - level[0] - (radius - 1) * level[-1], object)
        levels = np.diag([level[0]] * width + list(level[1:]))
        whole = np.block([[levels - form, -linear / 2], [-linear.T / 2, corner]])
        require(is_semidefinite(whole), "polar")


def vector_majorant(task: Task) -> None:
    (count, outputs), slope = task.scores.shape, task.branch.geometry.slope
    curvatures, slopes = (task.array(name, 2, count, outputs) for name in ("curvatures", "slopes"))
    mixings, size = task.array("mixings", 2, outputs), task.branch.columns.shape[1] + task.branch.is_free
    envelopes, ((rows, _, radius),) = symmetric(task.array("envelopes", outputs, size, size)), regions(task, 1)
    require_nonnegative(curvatures, "majorant-curvatures")
    require(min(mixings.ravel()) > 0, "majorant-mixings")
    for output, sign in np.ndindex(outputs, 2):
        scores, place = (2 * sign - 1) * task.scores[:, output], (sign, slice(None), output)
        linear, form, constant = parts(scores, slope, rows, curvatures[place], slopes[place], zeros(count, 1))
        mixing = mixings[sign, output]
        rest = above(1 + 1 / mixing) * product(linear, linear.T) + 4 * (1 + mixing) * constant * form
        require(is_semidefinite(envelopes[output] - rest), "polar")
    require(is_semidefinite(task.upper**2 * identity(size) - radius * envelopes.sum(0)), "polar")
