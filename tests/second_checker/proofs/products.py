"""Rule 47: products of z₊ = max(t, 0) and z₋ = max(−t, 0), which are nonnegative, and one of which is zero."""

import numpy as np

from ..exact import identity, is_semidefinite, product, square_norms, zeros
from ..rejection import require
from .majorants import regions, require_nonnegative, symmetric
from .task import Task


def doubly_nonnegative(task: Task) -> None:
    """α + ρβ ≤ U and K ⪰ 0 for every sign; z is z₊ above z₋, and σ(t) = z₊ − b z₋."""
    (count, outputs), width = task.scores.shape, task.branch.columns.shape[1]
    signs, units = (-1, 1) if outputs == 1 else (-1,), identity(count)
    require(count <= 8192, "size-limit")
    both, cross, none = (task.array(name, len(signs), count, count) for name in ("both", "cross", "none"))
    heights, tilts = zeros(2, count), zeros(2, count, width)
    if outputs == 1:
        heights, tilts = task.array("heights", 4, count), task.array("tilts", 4, count, width)
    heights, tilts = heights.reshape(len(signs), -1, 1), tilts.reshape(len(signs), 2 * count, width)
    levels = task.array("levels", len(signs), 2)
    products = np.block([[symmetric(both), cross], [cross.transpose(0, 2, 1), symmetric(none)]])
    is_free = np.eye(2 * count, k=count) + np.eye(2 * count, k=-count) > 0
    require_nonnegative(products[:, ~is_free], "product-signs")
    require_nonnegative(levels[:, 1], "product-levels")
    for at, (rows, _, radius) in enumerate(regions(task, len(signs))):
        require_nonnegative(heights[at], "product-tilts")
        require_nonnegative(heights[at, :, 0] ** 2 - square_norms(tilts[at]), "product-tilts")
        (alpha, beta), scores = levels[at], signs[at] * task.scores
        require(alpha + radius * beta <= task.upper, "polar")
        # z, and what it is multiplied by besides products, from (v, u, g).
        parts = np.hstack([zeros(2 * count, outputs), np.block([[rows / 2, units], [-rows / 2, units]])])
        values = heights[at] + np.vstack([scores, -task.branch.geometry.slope * scores])
        others = np.hstack([values, tilts[at], zeros(2 * count, parts.shape[1] - outputs - width)])
        rest = product(parts.T, product(products[at], parts) + others)
        diagonal = [alpha] * outputs + [beta] * rows.shape[1] + [0] * count
        require(is_semidefinite(np.diag(diagonal) - (rest + rest.T) / 2), "polar")
