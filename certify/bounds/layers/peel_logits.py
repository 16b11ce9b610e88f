"""Unconstrained coordinates of the multipliers of a chain.

The slopes of −S are those of S times −1, so that lin₋ = −lin₊ and a peel keeps the number of columns. Curvatures are
p = a/ρ, ρ > 0, entry by entry: for a mean y of h_i² over the h that matter, k Σ p_i y_i with k = Σ a_i²/(16 p_i) is
least at ρ_i = √y_i (Cauchy-Schwarz), so that nothing is lost; p vanishes with a, and w = 4 k p does not change with the
scale of ρ.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from certify.bounds.layers.chain import Chain, Peels
from certify.bounds.layers.peeled_scores import PeeledScores
from certify.bounds.layers.peeling import Majorized, Peel

# Curvatures where a = 0, as a share of the largest, so that all are positive.
LEAST_SHARE = 1e-12
LEAST = math.ldexp(1.0, -500)


@final
@dataclass(frozen=True, slots=True)
class LayerLogits:
    """Coordinates of one peel.

    Attributes:
        slopes: g less the middle, in multiples of the unit; of its shape.
        reaches: log ρ for S and −S, or for S alone, (2 or 1, …).
        unit: typical size of the columns.
    """

    slopes: Tensor
    reaches: Tensor
    unit: float


@final
@dataclass(frozen=True, slots=True)
class PeelLogits:
    """Coordinates of all peels of a chain, one chain a side."""

    sides: tuple[tuple[LayerLogits, ...], ...]

    @property
    def tensors(self) -> list[Tensor]:
        """What is searched over."""
        return [tensor for layers in self.sides for own in layers for tensor in (own.slopes, own.reaches)]


def starting_logits(chain: Chain, scores: Tensor, reach: Tensor) -> PeelLogits:
    """The middle g, and ρ from typical sizes (N,) of the first responses where a layer has as many rows."""
    found = []
    for side in chain.sides(scores):
        layers: list[LayerLogits] = []

        def begun(above: PeeledScores, responses: Majorized, signs: int, layers: list[LayerLogits] = layers) -> Peel:
            middle = responses.middle(above.columns)
            fits = middle.ndim == 2 and len(reach) == len(middle)
            sizes = reach.log()[:, None] if fits else middle.new_zeros(1)
            unit = float(above.columns.square().mean().sqrt()) or 1.0
            layers.append(LayerLogits(torch.zeros_like(middle), sizes.expand(signs, *middle.shape).clone(), unit))
            return _peel(above, responses, layers[-1])

        chain.seminorm(side, begun)
        found.append(tuple(layers))
    return PeelLogits(tuple(found))


def peels_at(chain: Chain, scores: Tensor, logits: PeelLogits) -> tuple[tuple[Peels, ...], list[PeeledScores]]:
    """The multipliers for scores (N, m), with the seminorms that they give; with gradients."""
    every, seminorms = [], []
    for side, layers in zip(chain.sides(scores), logits.sides, strict=True):
        peels: list[Peel] = []

        def chosen(
            above: PeeledScores,
            responses: Majorized,
            signs: int,
            peels: list[Peel] = peels,
            layers: tuple[LayerLogits, ...] = layers,
        ) -> Peel:
            peels.append(_peel(above, responses, layers[len(peels)]))
            return peels[-1]

        seminorms.append(chain.seminorm(side, chosen))
        every.append(tuple(peels))
    return tuple(every), seminorms


def _peel(above: PeeledScores, responses: Majorized, logits: LayerLogits) -> Peel:
    slopes = responses.middle(above.columns) + logits.unit * logits.slopes
    signs = len(logits.reaches)
    slopes, columns = (torch.stack([own, -own][:signs]) for own in (slopes, above.columns))
    curvatures = responses.bent(columns, slopes) / logits.reaches.exp()
    return Peel(curvatures.clamp_min(max(LEAST, LEAST_SHARE * float(curvatures.detach().max()))), slopes)
