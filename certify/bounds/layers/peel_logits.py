"""Unconstrained coordinates of the multipliers of a chain.

The slopes of −S are those of S times −1, so that lin₋ = −lin₊ and a peel keeps the number of columns. Curvatures are
p = a/ρ, ρ > 0: for a mean y of h_i² over the h that matter, k Σ p_i y_i with k = Σ a_i²/(16 p_i) is least at ρ_i = √y_i
(Cauchy-Schwarz), so that nothing is lost; p vanishes with a, and w = 4 k p does not change with the scale of ρ.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from certify.bounds.layers.chain import Chain, Peels
from certify.bounds.layers.peeled_scores import PeeledScores, unpeeled
from certify.bounds.layers.peeling import Peel, convex_part

# Curvatures where a = 0, as a share of the largest, so that all are positive.
LEAST_SHARE = 1e-12
LEAST = math.ldexp(1.0, -500)


@final
@dataclass(frozen=True, slots=True)
class LayerLogits:
    """Coordinates of one peel.

    Attributes:
        slopes: g in multiples of the unit, (N, m).
        reaches: log ρ for S and −S, (2, N, m).
        unit: typical size of the columns.
    """

    slopes: Tensor
    reaches: Tensor
    unit: float


@final
@dataclass(frozen=True, slots=True)
class PeelLogits:
    """Coordinates of all peels of a chain, for every sign that has its own."""

    signs: tuple[tuple[LayerLogits, ...], ...]

    @property
    def tensors(self) -> list[Tensor]:
        """What is searched over."""
        return [tensor for layers in self.signs for own in layers for tensor in (own.slopes, own.reaches)]


def starting_logits(chain: Chain, scores: Tensor, reach: Tensor) -> PeelLogits:
    """G = 0, and ρ from typical sizes (N,) of the first responses where every layer has as many rows."""
    found = []
    for sign in chain.signs(scores):
        form, layers = unpeeled(scores), []
        for level, link in enumerate(chain.links):
            shape = form.columns.shape
            sizes = reach.log()[:, None] if len(reach) == shape[0] else scores.new_zeros(1, 1)
            unit = float(form.columns.square().mean().sqrt()) or 1.0
            own = LayerLogits(scores.new_zeros(shape), sizes.expand(2, *shape).clone(), unit)
            form = link.below(chain.peeled_at(level, form, _peel(chain, form, own), sign))
            layers.append(own)
        found.append(tuple(layers))
    return PeelLogits(tuple(found))


def peels_at(chain: Chain, scores: Tensor, logits: PeelLogits) -> tuple[tuple[Peels, ...], list[PeeledScores]]:
    """The multipliers for scores (N, m), with the seminorms that they give; with gradients."""
    every, seminorms = [], []
    for sign, layers in zip(chain.signs(scores), logits.signs, strict=True):
        form, peels = unpeeled(scores), []
        for level, (link, own) in enumerate(zip(chain.links, layers, strict=True)):
            peels.append(_peel(chain, form, own))
            form = link.below(chain.peeled_at(level, form, peels[-1], sign))
        every.append(tuple(peels))
        seminorms.append(form)
    return tuple(every), seminorms


def _peel(chain: Chain, above: PeeledScores, logits: LayerLogits) -> Peel:
    slopes = logits.unit * torch.stack([logits.slopes, -logits.slopes])
    rectified = chain.slopes.bend * torch.stack([above.columns, -above.columns])
    curvatures = convex_part(rectified, slopes) / logits.reaches.exp()
    return Peel(curvatures.clamp_min(max(LEAST, LEAST_SHARE * float(curvatures.detach().max()))), slopes)
