"""σ(t) = s₊ max(t, 0) + s₋ min(t, 0), entry by entry, below a linear and a quadratic function.

The parts r = (s₊ − s₋) q and l = s₋ q: Σ q_i σ(h_i) = Σ r_i relu(h_i) + Σ l_i h_i. For any p > 0 and g, with
b_i = max(−r_i, |g_i|) and a = r + b ≥ 0, as in `bounds.rows.relaxations.majorant` without a region,
    qᵀσ(h) ≤ linᵀh + hᵀdiag(p)h + k,   lin = (r − g)/2 + l,   k = Σ a_i²/(16 p_i).
Where a_i = 0 nothing is needed of p_i, which counts as 0 there. And σ(t)² ≤ s² t², s = max(|s₊|, |s₋|).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from certify.bounds.layers.peeling import Peel
from certify.bounds.rows.kinked_scores import kinked_scores
from certify.problem import Slopes


@final
@dataclass(frozen=True, slots=True)
class Kink:
    """Responses σ(h)."""

    slopes: Slopes

    def majorants(self, signed: Tensor, peel: Peel) -> tuple[Tensor, Tensor]:
        """Lin and w of every column of S and −S, or of S alone, (2 or 1, N, m) each."""
        parts = kinked_scores(self.slopes, signed)
        linear = (parts.rectified - peel.slopes) / 2 + parts.linear
        bent = self.bent(signed, peel.slopes)
        curvatures = torch.where(bent > 0, peel.curvatures, 1.0)
        constant = (bent**2 / (16 * curvatures)).sum(1, keepdim=True)
        return linear, 4 * constant * torch.where(bent > 0, curvatures, 0.0)

    def kept(self, diagonals: Tensor) -> Tensor:
        """S² D."""
        return self.slopes.steepest**2 * diagonals

    def middle(self, columns: Tensor) -> Tensor:
        """G = 0: half of the kink on either side."""
        return torch.zeros_like(columns)

    def bent(self, signed: Tensor, slopes: Tensor) -> Tensor:
        """A = r + max(−r, |g|), of the shape of g."""
        rectified = self.slopes.bend * signed
        return rectified + torch.maximum(-rectified, slopes.abs())
