"""What a layer's responses are measured by: the seminorm |Cᵀz| + Σ_b |√D_b ∘ z| of z, for scores |Sᵀz| alone.

It is convex and absolutely homogeneous. So for h = Σ_j w_j σ(h_j), |w| ≤ 1, its value at h is at most its largest at
σ(h_j) where (Σ_j |h_j|²)^(1/2) ≤ 1 in any norm, by the triangle inequality and Cauchy-Schwarz: one unit is the worst.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor


@final
@dataclass(frozen=True, slots=True)
class PeeledScores:
    """The seminorm.

    Attributes:
        columns: C, (N, k).
        diagonals: D ≥ 0, (b, N).
    """

    columns: Tensor
    diagonals: Tensor

    def norms(self, values: Tensor) -> Tensor:
        """The seminorm of every z of a batch (s, N); the root of 0 has gradient 0."""
        squares = values**2 @ self.diagonals.T
        roots = torch.where(squares > 0, squares, 1.0).sqrt() * (squares > 0)
        total: Tensor = torch.linalg.vector_norm(values @ self.columns, dim=1) + roots.sum(1)
        return total


def unpeeled(scores: Tensor) -> PeeledScores:
    """|Sᵀz| for scores S (N, m)."""
    return PeeledScores(scores, scores.new_zeros(0, len(scores)))
