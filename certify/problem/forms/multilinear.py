"""Multilinear: maximize T(u_1, …, u_K) = Σ_i S_i Π_k u_k[i_k] over N_k(u_k) ≤ 1 and cones, S scores of Q on entries.

For K = 2 and Euclidean norms it is the largest singular value of the sparse matrix that holds S.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import final

from torch import Tensor

from certify.problem.entries import Entries
from certify.problem.side_norm import EUCLIDEAN, SideNorm


@final
@dataclass(frozen=True, slots=True)
class Multilinear:
    """The form on entries.

    Attributes:
        entries: where S stands.
        norms: of the factors; none where all are Euclidean.
    """

    entries: Entries
    norms: tuple[SideNorm, ...] = ()

    @property
    def sides(self) -> tuple[SideNorm, ...]:
        """N_k."""
        return self.norms or (EUCLIDEAN,) * self.entries.order

    def under(self, sides: tuple[SideNorm, ...]) -> Multilinear:
        """The form under other norms."""
        return Multilinear(self.entries, sides)

    def values(self, scores: Tensor) -> Tensor:
        """What the tensor T holds on the entries, (N,), for scores S (N, 1)."""
        return self.entries.split(scores[:, 0])[0]

    def added(self, scores: Tensor) -> tuple[Tensor, ...] | None:
        """Factors of the matrix that is added to that at all places, under Euclidean norms; None for none."""
        return self.entries.split(scores[:, 0])[1]

    def rounded(self, values: Tensor) -> list[Tensor]:
        """Tensors whose polars over Euclidean norms are no smaller than T's (N,): of T₊ too if factors are nonnegative.

        They are times the largest |u_k|₂ with N_k(u_k) ≤ 1 of every factor.
        """
        radii = (side.radius(extent) for side, extent in zip(self.sides, self.entries.shape, strict=True))
        wide = values * math.prod(radii)
        cones = all(side.nonnegative for side in self.sides)
        return [wide, wide.clamp_min(0)] if cones and bool((wide < 0).any()) else [wide]

    @property
    def is_round(self) -> bool:
        """Whether all norms are Euclidean, without cones."""
        return set(self.sides) == {EUCLIDEAN}
