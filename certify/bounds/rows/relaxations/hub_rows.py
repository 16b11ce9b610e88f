"""The best multipliers of every row at given moments of units and hubs, by alternating directions over all rows at once.

With r for the score of a row, maximize r c·v/2 over |c| ≤ |t|, products (c ± t)·h ≥ 0 with the parts h of hubs, and
((c ± t)·v, (c ± t)·U) in the cone |w| ≤ height. Splitting off what is constrained (Boyd et al. 2011) leaves one linear
system for all rows.
"""

from __future__ import annotations

import torch
from torch import Tensor

from certify.bounds.rows.relaxations.hub_moments import HubMoments, onto_cone
from certify.bounds.rows.relaxations.moments import TINY


def row_multipliers(
    found: HubMoments, multipliers: list[Tensor], scores: Tensor, reach: Tensor, steps: int
) -> list[Tensor]:
    """The multipliers of rows with (v, w) and with hubs improved, for scores r (N,) of relu(t) and |x_i| (N, 1)."""
    units, hubs = found.units, found.hubs
    unit, ball = torch.cat([units.heights[None], units.penalized]), units.mass.sqrt()
    parts = torch.cat([unit, hubs]) / 2
    n, cone = len(reach), len(unit)
    middle, pull = found.single / reach, scores[:, None] * reach * units.heights / 2
    size = torch.linalg.vector_norm(middle, dim=1, keepdim=True).clamp_min(TINY)
    weight = torch.linalg.vector_norm(pull, dim=1, keepdim=True) / (size * units.mass) + TINY
    factor = torch.linalg.cholesky(ball**2 * torch.eye(unit.shape[1]).to(unit) + 2 * parts.T @ parts)
    turned = middle @ parts.T
    shifts = torch.stack([turned, -turned])
    own = -torch.cat([multipliers[0], multipliers[2]], 1).reshape(2, n, -1) / weight
    steep = found.steep / reach
    bound = torch.zeros_like(steep)
    sides = steep @ parts.T + shifts
    near = ball * steep
    for _ in range(steps):
        wanted = ball * (near - bound) + (sides - shifts - own).sum(0) @ parts + pull / weight
        steep = torch.cholesky_solve(wanted.T, factor).T
        moved, ahead = steep @ parts.T + shifts + own, ball * steep + bound
        near = ahead * (ball * size / torch.linalg.vector_norm(ahead, dim=1, keepdim=True).clamp_min(TINY)).clamp_max(1)
        sides = torch.cat(
            [onto_cone(moved[..., :cone].flatten(0, 1)).reshape(2, n, cone), moved[..., cone:].clamp_min(0)], 2
        )
        own, bound = moved - sides, ahead - near
    found_own = (-own * weight).flatten(0, 1)
    return [found_own[:, :cone], multipliers[1], found_own[:, cone:].clamp_min(0), multipliers[3]]
