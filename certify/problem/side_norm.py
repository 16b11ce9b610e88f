"""The norm of one factor of a bilinear subnetwork, N(u) = a|u|₁ + b|u|₂ or c|u|_∞, and the cone that it may be kept in.

With y₊ in place of y in the cone u ≥ 0, max { y·u : N(u) ≤ 1 } is |y|₁/c for c > 0, and otherwise the least t with
|(|y| − a t)₊|₂ ≤ b t: a maximizer is sign(y) in the one case, soft(y, a t) up to its size in the other (for the second,
Zou and Hastie 2005; Jenatton, Audibert and Bach 2011).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

# Halvings of the interval of the dual norm of a mixture.
HALVINGS = 64


@final
@dataclass(frozen=True, slots=True)
class SideNorm:
    """Weights of the three norms, that of the last alone or 0, and whether entries are nonnegative.

    Attributes:
        l1: a ≥ 0.
        l2: b ≥ 0.
        linf: c ≥ 0.
        nonnegative: u ≥ 0.
    """

    l1: float = 0.0
    l2: float = 0.0
    linf: float = 0.0
    nonnegative: bool = False

    @property
    def is_l1(self) -> bool:
        """Whether unit vectors, and their negatives, are all vertices of its ball."""
        return self.l2 == self.linf == 0

    @property
    def is_l2(self) -> bool:
        """Whether N is the Euclidean norm."""
        return self.l1 == self.linf == 0 and self.l2 == 1

    def norm(self, stack: Tensor) -> Tensor:
        """N(u_i) of each row of (r, n), (r,); +inf outside the cone."""
        sizes: Tensor = self.l1 * stack.abs().sum(1) + self.l2 * torch.linalg.vector_norm(stack, dim=1)
        if self.linf and stack.shape[1]:
            sizes = sizes + self.linf * stack.abs().amax(1)
        return sizes.masked_fill((stack < 0).any(1), math.inf) if self.nonnegative else sizes

    def dual_norm(self, stack: Tensor) -> Tensor:
        """Max of y_i·u over the ball and cone for each row of (k, n), (k,), up to rounding."""
        sizes = self.felt(stack).abs()
        if self.linf:
            return sizes.sum(1) / self.linf
        if self.is_l1:
            return sizes.amax(1) / self.l1
        if self.is_l2:
            lengths: Tensor = torch.linalg.vector_norm(sizes, dim=1) / self.l2
            return lengths
        rest = lambda t: torch.linalg.vector_norm((sizes - self.l1 * t[:, None]).clamp_min(0), dim=1)  # noqa: E731
        return self._mixed(rest, sizes.new_zeros(len(sizes)))

    def grouped_dual_norm(self, values: Tensor, group: Tensor, count: int) -> Tensor:
        """The same of so many vectors, of which values (N,) with the group of each are all that is not zero."""
        sizes, blank = self.felt(values).abs(), values.new_zeros(count)
        if self.linf:
            return blank.index_add(0, group, sizes) / self.linf
        if self.is_l1:
            return blank.scatter_reduce(0, group, sizes, "amax") / self.l1

        def lengths(levels: Tensor) -> Tensor:
            return blank.index_add(0, group, (sizes - self.l1 * levels[group]).clamp_min(0) ** 2).sqrt()

        return lengths(blank) / self.l2 if self.is_l2 else self._mixed(lengths, blank)

    def maximizer(self, stack: Tensor) -> Tensor:
        """Where these maxima are attained, (k, n), N = 1; 0 where they are 0."""
        felt = self.felt(stack)
        if self.linf:
            found = felt.sign()
        elif self.is_l1:
            found = torch.zeros_like(felt).scatter(1, felt.abs().argmax(1, keepdim=True), 1.0) * felt.sign()
        else:
            found = felt.sign() * (felt.abs() - self.l1 * self.dual_norm(stack)[:, None]).clamp_min(0)
        sizes = self.norm(found)[:, None]
        return torch.where(sizes > 0, found / sizes, 0.0)

    def shrunk(self, stack: Tensor, steps: Tensor) -> Tensor:
        """The minimizer of |u − y_i|²/2 + s_i N(u) over the cone for each row of (r, n) and s (r,)."""
        felt, steps = self.felt(stack), steps[:, None]
        if self.linf:
            return felt - onto_l1_ball(felt, self.linf * steps)
        soft = felt.sign() * (felt.abs() - self.l1 * steps).clamp_min(0)
        sizes = torch.linalg.vector_norm(soft, dim=1, keepdim=True)
        return torch.where(sizes > self.l2 * steps, soft * (1 - self.l2 * steps / sizes), 0.0)

    def felt(self, stack: Tensor) -> Tensor:
        """Y, or y₊ where the cone is there."""
        return stack.clamp_min(0) if self.nonnegative else stack

    def radius(self, size: int) -> float:
        """The largest |u|₂ with N(u) ≤ 1 among vectors of so many entries."""
        return math.sqrt(size) / self.linf if self.linf else 1 / (self.l1 + self.l2)

    def squares(self, size: int) -> tuple[float, float, float]:
        """(w, w', c) with w Σ u_i² + w' (Σ|u_i|)² ≤ 1 and u_i² ≤ c wherever N(u) ≤ 1, for so many entries.

        The first holds with equality for one entry, and for equal ones.
        """
        if self.linf:
            return 0.0, 0.0, 1 / self.linf**2
        one, every = (self.l1 + self.l2) ** 2, (self.l1 * math.sqrt(size) + self.l2) ** 2
        product = (every - one) / (size - 1) if size > 1 else 0.0
        return one - product, product, math.inf

    def form_upper(self, matrix: Tensor, level: float) -> float:
        """At least uᵀMu for N(u) ≤ 1 and u in the cone, as far as floats go, from τ ≥ 0 near the diagonal of M."""
        size = len(matrix)
        if self.linf:
            felt = self.felt(matrix) if self.nonnegative else matrix.abs()
            return float(felt.sum()) / self.linf**2
        rest = matrix - level * torch.eye(size, dtype=matrix.dtype, device=matrix.device)
        most = float((self.felt(rest) if self.nonnegative else rest.abs()).max())
        ends = ((1.0, self.l1 + self.l2), (float(size), self.l1 * math.sqrt(size) + self.l2))
        return max((level + count * most) / scale**2 for count, scale in ends)

    def _mixed(self, lengths: Callable[[Tensor], Tensor], low: Tensor) -> Tensor:
        """The least t with |(|y| − a t)₊|₂ ≤ b t, given these lengths for any t, from zeros."""
        high = lengths(low) / (self.l1 + self.l2)
        for _ in range(HALVINGS):
            middle = (low + high) / 2
            fits = lengths(middle) <= self.l2 * middle
            low, high = torch.where(fits, low, middle), torch.where(fits, middle, high)
        return high


def onto_l1_ball(stack: Tensor, radii: Tensor) -> Tensor:
    """The nearest points of |u|₁ ≤ ρ_i to the rows of (r, n), for ρ (r, 1) (Duchi et al. 2008)."""
    sizes = stack.abs()
    falling = sizes.sort(1, descending=True).values
    counts = torch.arange(1, stack.shape[1] + 1, dtype=stack.dtype, device=stack.device)
    levels = (falling.cumsum(1) - radii) / counts
    last = (falling > levels).sum(1, keepdim=True).clamp_min(1) - 1
    nearest: Tensor = stack.sign() * (sizes - levels.gather(1, last).clamp_min(0)).clamp_min(0)
    return nearest


EUCLIDEAN = SideNorm(l2=1.0)
