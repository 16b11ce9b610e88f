"""Rule 47: products of z₊ = max(t, 0) and z₋ = max(−t, 0), which are nonnegative, and one of which is zero."""

import numpy as np

from ..exact import identity, is_semidefinite, product, square_norms, zeros
from ..rejection import require
from .majorants import regions, require_nonnegative, symmetric
from .task import Task


def doubly_nonnegative(task: Task) -> None:
    """α + ρβ ≤ U and K ⪰ 0 for every pattern of signs; z is z₊ above z₋, and σ(t) = z₊ − b z₋."""
    (count, outputs), width = task.scores.shape, task.branch.columns.shape[1]
    require(count <= 8192 and count + outputs + width + task.branch.is_free <= 16384, "size-limit")
    both = task.array("both", None, count, count)
    many, split = len(both), len(both).bit_length() - 1
    require(many == 2 ** max(split, 0) and split <= outputs and (split or outputs > 1), "shape")
    cross, none = (task.array(name, many, count, count) for name in ("cross", "none"))
    heights = np.dstack([task.array("heights", 2 * many, count, split), zeros(2 * many, count, outputs - split)])
    tilts = task.array("tilts", 4, count, width) if outputs == 1 else zeros(2 * many, count, width)
    levels = task.array("levels", many, 2)
    heights, tilts = heights.reshape(many, 2 * count, outputs), tilts.reshape(many, 2 * count, width)
    products = np.block([[symmetric(both), cross], [cross.transpose(0, 2, 1), symmetric(none)]])
    require_nonnegative(products[:, np.eye(2 * count, k=count) + np.eye(2 * count, k=-count) == 0], "product-signs")
    require_nonnegative(levels[:, 1], "product-levels")
    for at, (rows, _, radius) in enumerate(regions(task, many)):
        require_nonnegative(heights[at], "product-tilts")
        require_nonnegative((heights[at] ** 2).T - square_norms(tilts[at]), "product-tilts")
        (alpha, beta), signs = levels[at], np.array([2 * (at >> j & 1) - 1 for j in range(outputs)], object)
        require(alpha + radius * beta <= task.upper, "polar")
        # z, and what it is multiplied by besides products, from (v, u, g).
        parts = np.hstack([zeros(2 * count, outputs), np.vstack([rows, -rows]) / 2, np.vstack([identity(count)] * 2)])
        values = heights[at] + np.vstack([task.scores, -task.branch.geometry.slope * task.scores]) * signs
        others = np.hstack([values, tilts[at], zeros(2 * count, parts.shape[1] - outputs - width)])
        rest = product(parts.T, product(products[at], parts) + others)
        diagonal = [alpha] * outputs + [beta] * rows.shape[1] + [0] * count
        require(is_semidefinite(np.diag(diagonal) - (rest + rest.T) / 2), "polar")
