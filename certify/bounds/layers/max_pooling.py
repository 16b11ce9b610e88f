"""The maxima m_o of s max(t, 0) over windows of t, below a linear and a quadratic function.

q max(0, t_1, …, t_K), one window, p > 0 and any g: with t free, the maximum of q m − gᵀt − tᵀdiag(p)t is at most
    q > 0: Σ g_i²/(4 p_i) + max(0, max_j (q² − 2 q g_j)/(4 p_j)),   which it attains, m being 0 or one of the t_j;
    q ≤ 0: Σ (g_i − q β_i)²/(4 p_i) for any β ≥ 0 with Σ β_i ≤ 1, since m ≥ βᵀt; β is g/q, cut to that.
So lin and p are the sums over the windows that see an entry, and k is the sum over all. And m² ≤ Σ t_i² over them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from certify.bounds.layers.links import gathered, gathered_entries
from certify.bounds.layers.peeling import Peel
from certify.problem.windows import PADDING


@final
@dataclass(frozen=True, slots=True)
class MaxPooling:
    """Responses m; g of a window's entries are the multipliers (2 or 1, N', K, m).

    Attributes:
        steepness: s > 0.
        windows: place of every entry of every window, −1 for padding, (O, K).
        places: number P of places of t.
    """

    steepness: float
    windows: Tensor
    places: int

    def majorants(self, signed: Tensor, peel: Peel) -> tuple[Tensor, Tensor]:
        """Lin and w of every column of S and −S, or of S alone, (2 or 1, N, m) each."""
        inside = self._inside(signed.shape[1])
        slopes = torch.where(inside, peel.slopes, 0.0)
        bent = self.bent(signed, slopes)
        curvatures = torch.where(bent > 0, peel.curvatures, 1.0)
        scores = self.steepness * signed[:, :, None]
        rising = (scores**2 - 2 * scores * slopes) / (4 * curvatures)
        rising = torch.where(inside, rising, 0.0).clamp_min(0).amax(2) + (slopes**2 / (4 * curvatures)).sum(2)
        falling = (self._excess(scores, slopes) ** 2 / (4 * curvatures)).sum(2)
        constant = torch.where(scores[:, :, 0] > 0, rising, falling).sum(1, keepdim=True)
        curvatures = torch.where(inside & (bent > 0), curvatures, 0.0)
        return self._spread(slopes), 4 * constant * self._spread(curvatures)

    def kept(self, diagonals: Tensor) -> Tensor:
        """S² D of every window that sees an entry."""
        return self.steepness**2 * gathered(diagonals, self.windows, self.places)

    def middle(self, columns: Tensor) -> Tensor:
        """The share of each entry, half of it at most."""
        count = self.windows.shape[1]
        return (self.steepness * columns / max(2, count))[:, None].expand(-1, count, -1)

    def bent(self, signed: Tensor, slopes: Tensor) -> Tensor:
        """The distance of g to where nothing is needed, times two, of the shape of g."""
        scores = self.steepness * signed[:, :, None]
        rising = torch.maximum(slopes.abs(), (scores - slopes).abs())
        return 2 * torch.where(scores > 0, rising, self._excess(scores, slopes).abs())

    def _excess(self, scores: Tensor, slopes: Tensor) -> Tensor:
        """G − q β, with β = 0 where q = 0."""
        share = torch.where(scores < 0, slopes / torch.where(scores < 0, scores, 1.0), 0.0).clamp(0, 1)
        return slopes - scores * share / share.sum(2, keepdim=True).clamp_min(1)

    def _inside(self, rows: int) -> Tensor:
        """Which entries of the windows are none of padding, (N', K, 1)."""
        inside = self.windows != PADDING
        return inside.repeat(rows // len(inside), 1)[:, :, None]

    def _spread(self, values: Tensor) -> Tensor:
        """Sums over the windows that see an entry; (s, N', K, m) to (s, N, m)."""
        total = gathered_entries(values.movedim(3, 1).flatten(0, 1), self.windows, self.places)
        return total.reshape(len(values), values.shape[3], -1).movedim(1, 2)
