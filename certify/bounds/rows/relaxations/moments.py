"""Second moments of (v, u) over units with v = |w|, and what they say of the responses of one row, t = x·u.

Units (v_k, u_k) with weights w_k inside u_k, v_k = |w_k|, make Y = V Vᵀ, V = [v; U]. For one row, E = Σ_k,
    max(|E[t w]|, |E[t v]|)  ≤  E[v |t|]  ≤  √E[v²] √E[t²],
the first by v |t| ≥ |t w|, the second by Cauchy and Schwarz, and E[v relu(t)] = (E[v t] + E[v |t|])/2. By the convexity
of the ends in Y each stands for a quadratic majorant (see `majorant`), touching at Y: for a score r of relu(t)
    r > 0:  p = r √E[v²]/(4 √E[t²]),           r < 0:  g = −r (1 − π) sign E[v t],  w = −r π E[t w]/|E[t w]|,
π the weight of the first in the maximum. All w are combinations of the few columns of V. Roots and maxima are smoothed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

# Keeps quotients finite where a sign has no units.
TINY = 1e-150


@final
@dataclass(frozen=True, slots=True)
class Moments:
    """V, so scaled that Σ_k |w_k|² = Σ_k v_k², and Σ_k β_k² ≤ Σ_k v_k² of a free coordinate.

    Attributes:
        heights: v, (r,).
        directions: U, (h, r).
        free: number of trailing rows of U without penalty, 0 or 1.
    """

    heights: Tensor
    directions: Tensor
    free: int

    @property
    def mass(self) -> Tensor:
        """E[v²]."""
        return self.heights.square().sum()

    @property
    def penalized(self) -> Tensor:
        """The rows of U that v is the norm of."""
        return self.directions[: len(self.directions) - self.free]


def moments(factor: Tensor, free: int) -> Moments:
    """The moments that any numbers (1 + h, r) stand for, differentiable; with a free coordinate (2 + h, r).

    Then the last row but one is that of the coordinate, and the last row is as large as what is missing to its bound.
    """
    heights, rest = factor[0], factor[1:]
    size = torch.linalg.vector_norm(heights)
    parts = rest[: len(rest) - 2 * free], rest[len(rest) - 2 * free :]
    scaled = [part * (size / torch.linalg.vector_norm(part).clamp_min(TINY)) for part in parts if len(part)]
    return Moments(heights, torch.cat(scaled)[: len(rest) - free], free)


@final
@dataclass(frozen=True, slots=True)
class Responses:
    """What is known of every row, (N,) each, smoothed upward.

    Attributes:
        single: t of every unit, (N, r).
        root: √E[t²].
        mean: E[v t].
        twist: |E[t w]|.
        steady: |E[v t]|.
        floor: by how much maxima are smoothed; a number.
    """

    single: Tensor
    root: Tensor
    mean: Tensor
    twist: Tensor
    steady: Tensor
    floor: Tensor

    @property
    def split(self) -> Tensor:
        """√((|E[t w]| − |E[v t]|)² + floor²)."""
        return ((self.twist - self.steady) ** 2 + self.floor**2).sqrt()

    def ends(self, mass: Tensor) -> tuple[Tensor, Tensor]:
        """The least and the largest E[v relu(t)]."""
        least = (self.twist + self.steady + self.split) / 2
        return (self.mean + least) / 2, (self.mean + mass.sqrt() * self.root) / 2


def responses(inputs: Tensor, of: Moments, smoothing: float) -> Responses:
    """Responses of rows x (N, h), smoothed as if by a typical t of that size at E[v²] = 1."""
    single, mass = inputs @ of.directions, of.mass
    floor = smoothing * mass
    gram = of.penalized.T @ of.penalized
    mean = single @ of.heights

    def rooted(squares: Tensor, size: Tensor) -> Tensor:
        return (squares.clamp_min(0) + size.clamp_min(TINY) ** 2).sqrt()

    return Responses(
        single=single,
        root=rooted(single.square().sum(1), smoothing * mass.sqrt()),
        mean=mean,
        twist=rooted((single @ gram * single).sum(1), floor),
        steady=rooted(mean.square(), floor),
        floor=floor.clamp_min(TINY),
    )


def touching(rectified: Tensor, found: Responses, of: Moments) -> tuple[Tensor, Tensor, Tensor]:
    """P, g (N,) and C (N, r), w = C Wᵀ, of the majorant that touches Σ r_i E[v relu(t_i)] for r (N,)."""
    concave = (-rectified).clamp_min(0)
    share = (1 + (found.twist - found.steady) / found.split) / 2
    curvatures = rectified.clamp_min(0) * of.mass.sqrt() / (4 * found.root)
    slopes = concave * (1 - share) * found.mean / found.steady
    return curvatures, slopes, (concave * share / found.twist)[:, None] * found.single
