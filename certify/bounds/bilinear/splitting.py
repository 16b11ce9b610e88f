"""The semidefinite relaxation of a bilinear form over two balls and cones, by splitting.

    max <G, S₁₂>   over   S = [[S₁₁, S₁₂], [S₁₂ᵀ, S₂₂]] ⪰ 0,

with what uuᵀ, vvᵀ satisfy in place of S₁₁ and S₂₂ (`SideNorm.squares`), and entries ≥ 0 where cones make products so
(Nesterov 1998 for l∞; doubly nonnegative for cones). Over-relaxed alternating directions (Boyd et al. 2011) on S ⪰ 0
and the rest; their multiplier Y of S = T always lies in the normal cone of the rest, and Y − [[0, G], [Gᵀ, 0]]/2 ⪰ 0
is all that is left to repair.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from certify.problem import SideNorm

RELAXATION = 1.6
# Steps between two multipliers handed out, where the step size may change as well.
STEPS = 25
# Residuals may differ by this factor before the step size changes by the other.
IMBALANCE, CHANGE = 4.0, 1.6
# The weighted sum of a projection is right up to this.
NEWTON_STEPS, NEWTON_ACCURACY = 60, 1e-14


@final
@dataclass(frozen=True, slots=True)
class Relaxation:
    """The relaxation of G (k, m) with norms of u (k) and v (m), all of about unit size."""

    moments: Tensor
    left: SideNorm
    right: SideNorm

    def multipliers(self) -> Iterator[Tensor]:
        """Y of better and better approximations, (k + m, k + m)."""
        k, m = self.moments.shape
        goal = self.moments.new_zeros(k + m, k + m)
        goal[:k, k:], goal[k:, :k] = self.moments / 2, self.moments.T / 2
        feasible, y, rho = torch.zeros_like(goal), torch.zeros_like(goal), 1.0
        while True:
            for _ in range(STEPS):
                whole = positive_part(feasible + (goal - y) / rho)
                relaxed = RELAXATION * whole + (1 - RELAXATION) * feasible
                before, feasible = feasible, self.nearest(relaxed + y / rho)
                y = y + rho * (relaxed - feasible)
            yield y
            apart, moved = float((whole - feasible).norm()), rho * float((feasible - before).norm())
            if apart > IMBALANCE * moved:
                rho *= CHANGE
            elif moved > IMBALANCE * apart:
                rho /= CHANGE

    def nearest(self, whole: Tensor) -> Tensor:
        """The nearest point that satisfies everything but S ⪰ 0."""
        k = len(self.moments)
        found = whole.clone()
        found[:k, :k] = _within(self.left, whole[:k, :k])
        found[k:, k:] = _within(self.right, whole[k:, k:])
        if self.left.nonnegative and self.right.nonnegative:
            found[:k, k:], found[k:, :k] = whole[:k, k:].clamp_min(0), whole[k:, :k].clamp_min(0)
        return found


def positive_part(matrix: Tensor) -> Tensor:
    """The nearest positive semidefinite matrix."""
    values, vectors = torch.linalg.eigh(matrix)
    kept = values > 0
    positive: Tensor = (vectors[:, kept] * values[kept]) @ vectors[:, kept].T
    return positive


def _within(side: SideNorm, block: Tensor) -> Tensor:
    """The nearest block of products of the entries of a factor."""
    diagonal, product, most = side.squares(len(block))
    found = side.felt(block)
    found.diagonal().clamp_(0, most)
    if side.linf:
        return found
    if product == 0:
        found.diagonal().copy_(_shrunk(found.diagonal(), torch.full_like(found.diagonal(), diagonal)))
        return found
    return _shrunk(found, product + diagonal * torch.eye(len(block), dtype=block.dtype, device=block.device))


def _shrunk(values: Tensor, weights: Tensor) -> Tensor:
    """The nearest values with Σ w|x| ≤ 1, by Newton's method on the level of their soft threshold, from below."""
    sizes, level = values.abs(), 0.0
    for _ in range(NEWTON_STEPS):
        left = (sizes - level * weights).clamp_min(0)
        excess = float((weights * left).sum()) - 1
        if excess <= NEWTON_ACCURACY:
            break
        level += excess / float((weights**2)[left > 0].sum())
    return values.sign() * (sizes - level * weights).clamp_min(0)
