"""Second moments of units with the parts of a few hubs, where every row has moments of |t| of its own.

Beside V = [v; U] of `moments`, columns are units with s = |h·u| of every hub h, and every row has a number c of each
unit in place of |t|, |c|² ≤ |t|² over units. All that holds for |t| is asked of c: with z = (c ± t)/2 for rows and
s ± h·u for hubs, E[z z'] ≥ 0 of hubs with rows and with each other, and |E[z w]| ≤ E[z v]. The multipliers of all of
these in the augmented Lagrangian (Rockafellar 1974) are those of `hub_majorant`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from certify.bounds.rows.relaxations.hub_majorant import paired
from certify.bounds.rows.relaxations.moments import TINY, Moments

# In this order: rows t₊ and t₋ with (v, w), hubs with (v, w), rows with hubs, hubs with hubs.
CONES = 2


@final
@dataclass(frozen=True, slots=True)
class HubMoments:
    """Moments of units of one sign, of so many rows and hubs.

    Attributes:
        units: v and U.
        single: t of every unit, (N, r).
        steep: c, (N, r).
        turned: h·u of every unit, (J, r).
        apart: s, (J, r).
    """

    units: Moments
    single: Tensor
    steep: Tensor
    turned: Tensor
    apart: Tensor

    @property
    def mean(self) -> Tensor:
        """E[v t]."""
        return self.single @ self.units.heights

    def ends(self, mass: Tensor) -> tuple[Tensor, Tensor]:
        """E[v relu(t)], twice."""
        value = (self.single + self.steep) @ self.units.heights / 2
        return value, value

    @property
    def rows(self) -> Tensor:
        """(c + t)/2 of all rows, then (c − t)/2, (2N, r)."""
        return torch.cat([self.steep + self.single, self.steep - self.single]) / 2

    @property
    def hubs(self) -> Tensor:
        """S + h·u of all hubs, then s − h·u, (2J, r)."""
        return torch.cat([self.apart + self.turned, self.apart - self.turned])

    def products(self, reach: Tensor) -> list[Tensor]:
        """What is to be in a cone or nonnegative, rows divided by their reach (2N, 1)."""
        rows, hubs = self.rows / reach, self.hubs
        unit = torch.cat([self.units.heights[None], self.units.penalized])
        pairs = (hubs @ hubs.T).masked_fill(paired(self.turned), 0.0)
        return [rows @ unit.T, hubs @ unit.T, rows @ hubs.T, pairs]


def hub_moments(units: Moments, inputs: Tensor, directions: Tensor, steep: Tensor, apart: Tensor) -> HubMoments:
    """The moments that any numbers (N, r + 1) for c and (J, r) for s stand for, differentiable."""
    single, turned = inputs @ units.directions, directions @ units.directions
    return HubMoments(
        units,
        single,
        _lengths(single) * (steep / _lengths(steep))[:, :-1],
        turned,
        _lengths(turned) * (apart / _lengths(apart)),
    )


def projected(multipliers: list[Tensor]) -> list[Tensor]:
    """The nearest ones of the right sign: onto |w| ≤ h for rows (h, w), and onto numbers that are not negative."""
    return [_onto_cone(m) for m in multipliers[:CONES]] + [m.clamp_min(0) for m in multipliers[CONES:]]


def _onto_cone(rows: Tensor) -> Tensor:
    height, rest = rows[:, :1], rows[:, 1:]
    length = torch.linalg.vector_norm(rest, dim=1, keepdim=True)
    middle = ((height + length) / 2).clamp_min(0)
    outside = length > height
    kept = torch.where(outside, middle / length.clamp_min(TINY), 1.0)
    return torch.cat([torch.where(outside, middle, height), kept * rest], 1)


def _lengths(rows: Tensor) -> Tensor:
    lengths: Tensor = torch.linalg.vector_norm(rows, dim=1, keepdim=True).clamp_min(TINY)
    return lengths
