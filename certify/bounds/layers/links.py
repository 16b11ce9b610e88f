"""Linear maps between layers: a seminorm of what comes out of one, in what goes in. Dense layers leave it as it is.

A convolution h_o = Σ_δ w_δ z_(o,δ) over the places of a window, |w| ≤ 1, with as many input channels as there are:
with T_δ z = (z_(o,δ))_o, G(h) ≤ (Σ_δ G(T_δ z)²)^(1/2) in one channel, and one channel is the worst (`peeled_scores`).
With G(h) = |Cᵀh| + Σ_b |√D_b ∘ h| that is at most |[T_δᵀC]_δᵀ z| + Σ_b |√(Σ_δ T_δᵀ D_b) ∘ z| by Minkowski.
A fixed map h = M z, as average pooling: |(MᵀC)ᵀz|, and (Σ_i M_oi z_i)² ≤ (Σ_i |M_oi|) Σ_i |M_oi| z_i².
Rows are sample by sample; maps act on the places of one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from certify.bounds.layers.peeled_scores import PeeledScores
from certify.problem.windows import PADDING


@final
@dataclass(frozen=True, slots=True)
class Convolution:
    """A convolution with trained kernels.

    Attributes:
        windows: place of every entry of every window, −1 for padding, (O, K).
        places: number P of input places.
    """

    windows: Tensor
    places: int

    def below(self, above: PeeledScores) -> PeeledScores:
        """The seminorm of the input of one channel, (n P) rows; K columns of each."""
        columns = [gathered(above.columns.T, window[:, None], self.places) for window in self.windows.T]
        return PeeledScores(torch.cat(columns).T, gathered(above.diagonals, self.windows, self.places))


@final
@dataclass(frozen=True, slots=True)
class FixedMap:
    """A map that is not trained.

    Attributes:
        matrix: M, (O, P).
    """

    matrix: Tensor

    def below(self, above: PeeledScores) -> PeeledScores:
        """The seminorm of the input, (n P) rows."""
        sizes = self.matrix.abs()
        columns = _mapped(above.columns.T, self.matrix).T
        return PeeledScores(columns, _mapped(above.diagonals, sizes.sum(1, keepdim=True) * sizes))


def gathered(values: Tensor, windows: Tensor, places: int) -> Tensor:
    """Σ over the windows (O, K) that see a place of their values; (j, n O) to (j, n P)."""
    return gathered_entries(values[:, :, None].expand(-1, -1, windows.shape[1]), windows, places)


def gathered_entries(values: Tensor, windows: Tensor, places: int) -> Tensor:
    """Σ over the windows (O, K) that see a place of their values there; (j, n O, K) to (j, n P)."""
    spread = torch.where(
        windows != PADDING, values.reshape(len(values), values.shape[1] // len(windows), *windows.shape), 0.0
    )
    index = windows.clamp_min(0).expand(spread.shape).flatten(2)
    total = values.new_zeros(*spread.shape[:2], places)
    return total.scatter_add(2, index, spread.flatten(2)).flatten(1)


def _mapped(values: Tensor, matrix: Tensor) -> Tensor:
    """Values (j, n O) times the matrix (O, P), sample by sample."""
    mapped: Tensor = values.reshape(len(values), values.shape[1] // len(matrix), len(matrix)) @ matrix
    return mapped.flatten(1)
