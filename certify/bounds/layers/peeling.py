"""Peeling: the responses σ(h) of a layer measured by the h that it reads, whatever they are.

One column q. With multipliers p > 0, g there are lin and k with
    qᵀσ(h) ≤ linᵀh + hᵀdiag(p)h + k   for all h     (`kink`, `max_pooling`).
Both sides on all scales t h, t > 0, by homogeneity:
    qᵀσ(h) ≤ linᵀh + 2 (k hᵀdiag(p)h)^(1/2) = linᵀh + |√w ∘ h|,   w = 4 k p.
−q has p, g, lin, w of its own. The two lin₊ and lin₋ ≈ −lin₊ are e + f and f − e, and |eᵀh| + |fᵀh| is above both. So
    |Sᵀσ(h)| ≤ |[E F]ᵀh| with columns (1 + |f|/|e|)^(1/2) e and (1 + |e|/|f|)^(1/2) f,  + |√(Σ_j max(w₊j, w₋j)) ∘ h|
by Cauchy-Schwarz and, for several columns, Minkowski. Of a seminorm |Cᵀσ(h)| + Σ_b |√D_b ∘ σ(h)| the columns are
peeled so, and |√D_b ∘ σ(h)| ≤ |√D'_b ∘ h|.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, final

import torch
from torch import Tensor

from certify.bounds.layers.peeled_scores import PeeledScores

# Below this |e| and |f| count as zero where one is divided by the other.
SMALLEST = 1e-300


@final
@dataclass(frozen=True, slots=True)
class Peel:
    """Multipliers of one layer for m columns; index 0 of the first axis serves S, index 1, if it is there, −S.

    Attributes:
        curvatures: p > 0, (2 or 1, N, m), or (2 or 1, N, K, m) for windows of K.
        slopes: g, of the same shape.
    """

    curvatures: Tensor
    slopes: Tensor


class Majorized(Protocol):
    """Responses σ(h), N' of them to N entries of h, below linear and quadratic functions."""

    def majorants(self, signed: Tensor, peel: Peel) -> tuple[Tensor, Tensor]:
        """Lin and w, (2 or 1, N, m) each, for every column of S and −S (2, N', m), or of S alone (1, N', m)."""
        ...

    def kept(self, diagonals: Tensor) -> Tensor:
        """D' (b, N) for D (b, N')."""
        ...

    def middle(self, columns: Tensor) -> Tensor:
        """Multipliers g of S (N', m) to begin at; those of −S are their negatives."""
        ...

    def bent(self, signed: Tensor, slopes: Tensor) -> Tensor:
        """A ≥ 0 of the shape of g, such that p = a/ρ is the best for mean squares ρ² of h."""
        ...


def peeled(above: PeeledScores, peel: Peel, responses: Majorized) -> PeeledScores:
    """The seminorm of h that is at least that of σ(h), for both signs of every column."""
    linear, weights = responses.majorants(torch.stack([above.columns, -above.columns]), peel)
    mean, rest = (linear[0] - linear[1]) / 2, (linear[0] + linear[1]) / 2
    columns = [_stretched(mean, rest)]
    if bool((rest != 0).any()):
        columns.append(_stretched(rest, mean))
    diagonal = weights.amax(0).sum(1)
    return PeeledScores(torch.cat(columns, 1), torch.cat([responses.kept(above.diagonals), diagonal[None]]))


def peeled_side(column: Tensor, peel: Peel, responses: Majorized) -> PeeledScores:
    """A seminorm of h that is at least qᵀσ(h) for one column q (N, 1), of the one sign that it has."""
    linear, weights = responses.majorants(column[None], peel)
    return PeeledScores(linear[0], weights[0].T)


def _stretched(own: Tensor, other: Tensor) -> Tensor:
    """(1 + |f|/|e|)^(1/2) e of every column."""
    sizes = [torch.linalg.vector_norm(columns, dim=0) for columns in (own, other)]
    return own * torch.where(sizes[0] > 0, 1 + sizes[1] / sizes[0].clamp_min(SMALLEST), 1.0).sqrt()
