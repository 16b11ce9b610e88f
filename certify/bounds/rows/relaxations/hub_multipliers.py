"""Majorants with hubs from moments and their multipliers (see `hub_moments`).

Rows for which their multipliers bound less than none of hubs would have the majorant of `moments`. Curvatures and pairs
of hubs are such that the majorant touches at the moments: p = √E[l²]/(4 √E[t²]), and the block of s has no slope there.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import final

import torch
from torch import Tensor

from certify.bounds.proof import Hubs, ScalarMajorant
from certify.bounds.rows.kinked_scores import KinkedScores
from certify.bounds.rows.relaxations.direction_region import DirectionRegion
from certify.bounds.rows.relaxations.hub_majorant import hub_share, paired, signed_hubs
from certify.bounds.rows.relaxations.hub_moments import HubMoments
from certify.bounds.rows.relaxations.moments import TINY, responses, touching
from certify.bounds.rows.relaxations.relu_majorant import relu_majorant

# Smoothing of what is known of rows without hubs.
SMOOTHING = 1e-6


def hub_multipliers(
    region: DirectionRegion,
    directions: Tensor,
    found: list[HubMoments],
    multipliers: list[list[Tensor]],
    parts: KinkedScores,
) -> ScalarMajorant:
    """The majorant of both signs from multipliers of `HubMoments.products`, without a center."""
    n, count = len(region.inputs), len(directions)
    reach = torch.linalg.vector_norm(region.inputs, dim=1).clamp_min(TINY)[:, None]
    spread = SMOOTHING * float(torch.linalg.vector_norm(region.inputs)) / math.sqrt(n)
    signs = []
    for index, sign in enumerate((1.0, -1.0)):
        own, rectified = found[index], parts.column(0, sign).rectified
        plain = touching(rectified, responses(region.inputs, own.units, spread), own.units)
        signs.append(_of_rows(own, multipliers[index], reach).without_waste(own, rectified, *plain[1:]))
    hubs = Hubs(
        torch.stack([directions] * 2),
        torch.stack([rows.links.reshape(2, n, 2, count).transpose(1, 2).reshape(4, n, count) for rows in signs]),
        torch.stack([rows.lifts for rows in signs]),
        torch.stack([(m[3] + m[3].T) / 2 for m in multipliers]),
        torch.stack([m[1][:, 1:] for m in multipliers]),
    )
    majorant = ScalarMajorant(
        parts.rectified.new_zeros(2, n),
        torch.stack([rows.slopes for rows in signs]),
        torch.stack([rows.tilts for rows in signs]),
        torch.stack([own.units.penalized.T for own in found]),
        region.inputs.new_zeros(0),
        parts.rectified.new_zeros(2),
        hubs,
    )
    return _touched(majorant, found, parts, region)


def shifted(majorant: ScalarMajorant, shift: float) -> ScalarMajorant:
    """The majorant with a shift from the squares of all s to those of h·u."""
    own = _hubs(majorant)
    products = own.products - shift / 2 * paired(own.directions[0])
    return replace(majorant, hubs=replace(own, products=products))


def _hubs(majorant: ScalarMajorant) -> Hubs:
    if majorant.hubs is None:
        raise TypeError("a majorant without hubs")
    return majorant.hubs


@final
@dataclass(frozen=True, slots=True)
class _RowMultipliers:
    """Multipliers of rows of one sign: g, w, V and A as in `hub_majorant`, w and V as combinations of units."""

    slopes: Tensor
    tilts: Tensor
    lifts: Tensor
    links: Tensor

    def without_waste(self, found: HubMoments, scores: Tensor, slopes: Tensor, tilts: Tensor) -> _RowMultipliers:
        """These where they bound rows better at the moments than others g and w without hubs, else those."""
        zero = torch.zeros_like
        plain = _RowMultipliers(slopes, tilts, zero(self.lifts), zero(self.links))
        kept = self._value(found, scores, False) < plain._value(found, scores, True)
        mine = torch.where(kept, self.slopes, slopes), torch.where(kept[:, None], self.tilts, tilts)
        return _RowMultipliers(*mine, self.lifts * kept[:, None], self.links * kept[None, :, None])

    def _value(self, found: HubMoments, scores: Tensor, floored: bool) -> Tensor:
        """E of what stands above r v |t|/2, (N,)."""
        units = found.units
        gram, heights = units.penalized.T @ units.penalized, units.heights
        after, before = (
            ((self.lifts + side) @ gram * (self.lifts + side)).sum(1).clamp_min(0).sqrt()
            for side in (self.tilts, -self.tilts)
        )
        level = scores + torch.maximum(before + self.slopes, after - self.slopes)
        level = level.clamp_min(0) if floored else level
        side = level[:, None] * heights + self.lifts @ gram + self.links.sum(0) @ found.hubs
        slant = (self.links[0] - self.links[1]) @ found.hubs - self.slopes[:, None] * heights - self.tilts @ gram
        lengths = torch.linalg.vector_norm(side, dim=1) * torch.linalg.vector_norm(found.single, dim=1)
        value: Tensor = ((slant * found.single).sum(1) + lengths) / 2
        return value


def _of_rows(found: HubMoments, multipliers: list[Tensor], reach: Tensor) -> _RowMultipliers:
    n = len(reach)
    rows, gram = found.rows, found.units.penalized.T @ found.units.penalized
    cones = multipliers[0] / torch.cat([reach, reach])
    lengths = torch.linalg.vector_norm(cones[:, 1:], dim=1)
    sizes = (rows @ gram * rows).sum(1).clamp_min(0).sqrt().clamp_min(TINY)
    after, before = (-(lengths / sizes)[:, None] * rows).reshape(2, n, -1)
    links = (multipliers[2] / torch.cat([reach, reach])).reshape(2, n, -1)
    return _RowMultipliers(cones[n:, 0] - cones[:n, 0], before - after, after + before, links)


def _touched(
    majorant: ScalarMajorant, found: list[HubMoments], parts: KinkedScores, region: DirectionRegion
) -> ScalarMajorant:
    """The majorant with curvatures and pairs of hubs at which it touches at the moments."""
    all_hubs = _hubs(majorant)
    count, size = all_hubs.directions.shape[1], region.inputs.shape[1]
    for index, (own, sign) in enumerate(zip(found, (1.0, -1.0), strict=True)):
        scores, hubs = parts.column(0, sign), signed_hubs(all_hubs, index, size)
        tilts, slopes = majorant.tilts_of(index, size), majorant.slopes[index]
        share, gram = hub_share(scores.rectified, slopes, tilts, hubs), own.units.penalized.T @ own.units.penalized
        sides = share[:, None] * own.units.heights + hubs.lifts @ gram + hubs.links.sum(0) @ own.hubs
        reach = torch.linalg.vector_norm(own.single, dim=1).clamp_min(TINY)
        majorant.curvatures[index] = torch.linalg.vector_norm(sides, dim=1) / (4 * reach)
        form = relu_majorant(region, scores, majorant.curvatures[index], slopes, tilts, hubs)
        lifted = torch.cat([own.units.directions, own.apart])
        slope = form.linear[size:, None] / 2 * own.units.heights + form.quadratic[size:] @ lifted
        pairs = (slope * own.apart).sum(1) / own.apart.square().sum(1).clamp_min(TINY)
        products = all_hubs.products[index]
        products[:count, count:] -= torch.diag(pairs) / 2
        products[count:, :count] -= torch.diag(pairs) / 2
    return majorant
