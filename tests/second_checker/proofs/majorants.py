"""Rules 34 to 37: quadratic majorants of a kink."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from ..exact import Matrix, above, identity, is_semidefinite, norms_above, product, total, zeros
from ..rejection import require
from .task import Task


@dataclass(frozen=True)
class Majorant:
    """One sign of one output.

    Attributes:
        scores: q.
        curvatures, slopes, caps: p, g, c.
    """

    scores: Matrix
    curvatures: Matrix
    slopes: Matrix
    caps: Matrix

    def parts(self, rows: Matrix, sizes: list[Fraction], slope: Fraction) -> tuple[Matrix, Matrix, Fraction]:
        """lin, M and k in rows X̃ of which units reach at most R."""
        bent = (1 - slope) * self.scores
        curvatures, constant = self.curvatures.copy(), []
        for row, size in enumerate(sizes):
            room = bent[row] + max(-bent[row], abs(self.slopes[row]) + size * self.caps[row])
            if room == 0 or not any(rows[row]):
                curvatures[row] = Fraction(0)
                continue
            if curvatures[row] == 0:
                curvatures[row] = above(room / (4 * size))
            constant.append(above(room**2 / (16 * curvatures[row])))
        linear = product(rows.T, ((bent - self.slopes) / 2 + slope * self.scores)[:, None])
        form = product((rows * (curvatures - self.caps / 2)[:, None]).T, rows)
        return linear, form, total(constant)


def scalar_majorant(task: Task) -> None:
    """[[τ I − M, −lin/2], [−linᵀ/2, U − k − ρ τ]] ⪰ 0 for both signs."""
    count, outputs = task.scores.shape
    require(outputs == 1, "majorant-outputs")
    curvatures, slopes, caps = (task.array(name, 2, count) for name in ("curvatures", "slopes", "caps"))
    levels = task.array("levels", 2)
    region = task.region() if task.branch.is_free else None
    columns = task.array("column", 2) if region else None
    require(min(curvatures.ravel(), default=0) >= 0, "majorant-curvatures")
    require(min(caps.ravel(), default=0) >= 0, "majorant-caps")
    require(min(levels) >= 0, "majorant-levels")
    for sign in range(2):
        rows, sizes, stretch = task.columns, norms_above(task.columns), Fraction(1)
        if region and columns is not None:
            require(columns[sign] > 0, "majorant-column")
            rows, sizes = region.extended(columns[sign]), region.sizes
            stretch += above(region.square_radius / columns[sign] ** 2)
        majorant = Majorant((-1, 1)[sign] * task.scores[:, 0], curvatures[sign], slopes[sign], caps[sign])
        linear, form, constant = majorant.parts(rows, sizes, task.branch.geometry.slope)
        level, size = levels[sign], rows.shape[1]
        whole = zeros(size + 1, size + 1)
        whole[:size, :size] = level * identity(size) - form
        whole[:size, size:] = -linear / 2
        whole[size:, :size] = -linear.T / 2
        whole[size, size] = task.upper - constant - stretch * level
        require(is_semidefinite(whole), "polar")


def vector_majorant(task: Task) -> None:
    """N_j − (1 + 1/μ) lin linᵀ − 4 (1 + μ) k M ⪰ 0 for all outputs and signs, and U² I − ρ Σ N_j ⪰ 0."""
    count, outputs = task.scores.shape
    curvatures, slopes = (task.array(name, 2, count, outputs) for name in ("curvatures", "slopes"))
    mixings = task.array("mixings", 2, outputs)
    size = task.columns.shape[1] + task.branch.is_free
    envelopes = task.array("envelopes", outputs, size, size)
    rows, sizes, stretch = task.columns, norms_above(task.columns), Fraction(1)
    if task.branch.is_free:
        region, column = task.region(), task.array("column", 1)[0]
        require(column > 0, "majorant-column")
        rows, sizes = region.extended(column), region.sizes
        stretch += above(region.square_radius / column**2)
    require(min(curvatures.ravel(), default=0) >= 0, "majorant-curvatures")
    require(min(mixings.ravel(), default=1) > 0, "majorant-mixings")
    lower = np.tri(size, dtype=bool)
    summed = zeros(size, size)
    for output in range(outputs):
        envelope = np.where(lower, envelopes[output], envelopes[output].T)
        summed = summed + envelope
        for sign in range(2):
            majorant = Majorant(
                (-1, 1)[sign] * task.scores[:, output],
                curvatures[sign, :, output],
                slopes[sign, :, output],
                zeros(count),
            )
            linear, form, constant = majorant.parts(rows, sizes, task.branch.geometry.slope)
            mixing = mixings[sign, output]
            rest = above(1 + 1 / mixing) * product(linear, linear.T) + 4 * (1 + mixing) * constant * form
            require(is_semidefinite(envelope - rest), "polar")
    require(is_semidefinite(task.upper**2 * identity(size) - stretch * summed), "polar")
