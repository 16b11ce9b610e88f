"""Rules 34 to 37: quadratic majorants of a kink."""

from fractions import Fraction
from typing import NamedTuple

import numpy as np

from ..exact import Matrix, above, identity, is_semidefinite, product, total, zeros
from ..rejection import require
from .task import Task, region


class Majorant(NamedTuple):
    """q, p, g and c of one sign of one output."""

    scores: Matrix
    curvatures: Matrix
    slopes: Matrix
    caps: Matrix

    def parts(self, rows: Matrix, sizes: list[Fraction], slope: Fraction) -> tuple[Matrix, Matrix, Fraction]:
        """lin, M and k in rows X̃ of which units reach at most R."""
        bent = (1 - slope) * self.scores
        curvatures, constants = self.curvatures.copy(), []
        for row, size in enumerate(sizes):
            room = bent[row] + max(-bent[row], abs(self.slopes[row]) + size * self.caps[row])
            if room == 0 or not rows[row].any():
                curvatures[row] = Fraction(0)
                continue
            curvatures[row] = curvatures[row] or above(room / (4 * size))
            constants.append(above(room**2 / (16 * curvatures[row])))
        linear = product(rows.T, ((bent - self.slopes) / 2 + slope * self.scores)[:, None])
        form = product((rows * (curvatures - self.caps / 2)[:, None]).T, rows)
        return linear, form, total(constants)


def require_nonnegative(values: Matrix, rule: str) -> None:
    require(min(values.ravel(), default=0) >= 0, rule)


def scalar_majorant(task: Task) -> None:
    """[[τ I − M, −lin/2], [−linᵀ/2, U − k − ρ τ]] ⪰ 0 for both signs."""
    count, outputs = task.scores.shape
    require(outputs == 1, "majorant-outputs")
    curvatures, slopes, caps = (task.array(name, 2, count) for name in ("curvatures", "slopes", "caps"))
    levels, moved = task.array("levels", 2), task.moved()
    columns = task.array("column", 2) if task.branch.is_free else [None, None]
    require_nonnegative(curvatures, "majorant-curvatures")
    require_nonnegative(caps, "majorant-caps")
    require_nonnegative(levels, "majorant-levels")
    for sign, (level, column) in enumerate(zip(levels, columns, strict=True)):
        require(column is None or column > 0, "majorant-column")
        rows, sizes, stretch = region(moved, column)
        majorant = Majorant((2 * sign - 1) * task.scores[:, 0], curvatures[sign], slopes[sign], caps[sign])
        linear, form, constant = majorant.parts(rows, sizes, task.branch.geometry.slope)
        corner = np.full((1, 1), task.upper - constant - stretch * level, object)
        whole = np.block([[level * identity(len(form)) - form, -linear / 2], [-linear.T / 2, corner]])
        require(is_semidefinite(whole), "polar")


def vector_majorant(task: Task) -> None:
    """N_j − (1 + 1/μ) lin linᵀ − 4 (1 + μ) k M ⪰ 0 for all outputs and signs, and U² I − ρ Σ N_j ⪰ 0."""
    count, outputs = task.scores.shape
    curvatures, slopes = (task.array(name, 2, count, outputs) for name in ("curvatures", "slopes"))
    mixings, size = task.array("mixings", 2, outputs), task.columns.shape[1] + task.branch.is_free
    envelopes, moved = task.array("envelopes", outputs, size, size), task.moved()
    column = task.array("column", 1)[0] if task.branch.is_free else None
    require_nonnegative(curvatures, "majorant-curvatures")
    require(min(mixings.ravel()) > 0, "majorant-mixings")
    require(column is None or column > 0, "majorant-column")
    rows, sizes, stretch = region(moved, column)
    symmetric = np.where(np.tri(size, dtype=bool), envelopes, envelopes.transpose(0, 2, 1))
    for output, sign in np.ndindex(outputs, 2):
        own, place = (2 * sign - 1) * task.scores[:, output], (sign, slice(None), output)
        majorant = Majorant(own, curvatures[place], slopes[place], zeros(count))
        linear, form, constant = majorant.parts(rows, sizes, task.branch.geometry.slope)
        mixing = mixings[sign, output]
        rest = above(1 + 1 / mixing) * product(linear, linear.T) + 4 * (1 + mixing) * constant * form
        require(is_semidefinite(symmetric[output] - rest), "polar")
    require(is_semidefinite(task.upper**2 * identity(size) - stretch * symmetric.sum(0)), "polar")
