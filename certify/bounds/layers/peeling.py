"""Peeling: the responses σ(h) of a layer measured by the h that it reads, whatever they are.

One column q, the parts r = (s₊ − s₋) q and l = s₋ q of σ: Σ q_i σ(h_i) = Σ r_i relu(h_i) + Σ l_i h_i. For any p > 0 and
g, with b_i = max(−r_i, |g_i|) and a = r + b ≥ 0, as in `bounds.rows.relaxations.majorant` without a region,
    qᵀσ(h) ≤ linᵀh + hᵀdiag(p)h + k   for all h,   lin = (r − g)/2 + l,   k = Σ a_i²/(16 p_i),
where p_i counts for nothing if a_i = 0. Both sides on all scales t h, t > 0, by homogeneity:
    qᵀσ(h) ≤ linᵀh + 2 (k hᵀdiag(p)h)^(1/2) = linᵀh + |√w ∘ h|,   w = 4 k p.
−q has p, g, lin, w of its own. The two lin₊ and lin₋ ≈ −lin₊ are e + f and f − e, and |eᵀh| + |fᵀh| is above both. So
    |Sᵀσ(h)| ≤ |[E F]ᵀh| with columns (1 + |f|/|e|)^(1/2) e and (1 + |e|/|f|)^(1/2) f,  + |√(Σ_j max(w₊j, w₋j)) ∘ h|
by Cauchy-Schwarz and, for several columns, Minkowski. Of a seminorm |Cᵀσ(h)| + Σ_b |√D_b ∘ σ(h)| the columns are
peeled so, and |√D_b ∘ σ(h)| ≤ s |√D_b ∘ h|, s = max(|s₊|, |s₋|).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from certify.bounds.layers.peeled_scores import PeeledScores
from certify.bounds.rows.kinked_scores import kinked_scores
from certify.problem import Slopes

# Below this |e| and |f| count as zero where one is divided by the other.
SMALLEST = 1e-300


@final
@dataclass(frozen=True, slots=True)
class Peel:
    """Multipliers of one layer for m columns; index 0 of the first axis serves S, index 1 serves −S.

    Attributes:
        curvatures: p > 0, (2, N, m).
        slopes: g, (2, N, m).
    """

    curvatures: Tensor
    slopes: Tensor


def peeled(above: PeeledScores, peel: Peel, slopes: Slopes) -> PeeledScores:
    """The seminorm of h that is at least that of σ(h), for both signs of every column."""
    linear, weights = majorants(above.columns, peel, slopes)
    mean, rest = (linear[0] - linear[1]) / 2, (linear[0] + linear[1]) / 2
    columns = [_stretched(mean, rest)]
    if bool((rest != 0).any()):
        columns.append(_stretched(rest, mean))
    diagonal = weights.amax(0).sum(1)
    kept = slopes.steepest**2 * above.diagonals
    return PeeledScores(torch.cat(columns, 1), torch.cat([kept, diagonal[None]]))


def peeled_sign(scores: Tensor, peel: Peel, slopes: Slopes, index: int) -> PeeledScores:
    """A seminorm of h that is at least qᵀσ(h), q = S for index 0 and −S for index 1, for one column S (N, 1)."""
    linear, weights = majorants(scores, peel, slopes)
    return PeeledScores(linear[index], weights[index].T)


def majorants(scores: Tensor, peel: Peel, slopes: Slopes) -> tuple[Tensor, Tensor]:
    """Lin and w of every column and sign, (2, N, m) each."""
    parts = kinked_scores(slopes, scores)
    rectified = torch.stack([parts.rectified, -parts.rectified])
    linear = (rectified - peel.slopes) / 2 + torch.stack([parts.linear, -parts.linear])
    bent = convex_part(rectified, peel.slopes)
    curvatures = torch.where(bent > 0, peel.curvatures, 1.0)
    constant = (bent**2 / (16 * curvatures)).sum(1, keepdim=True)
    return linear, 4 * constant * torch.where(bent > 0, curvatures, 0.0)


def convex_part(rectified: Tensor, slopes: Tensor) -> Tensor:
    """A = r + max(−r, |g|), of the shape of r."""
    return rectified + torch.maximum(-rectified, slopes.abs())


def _stretched(own: Tensor, other: Tensor) -> Tensor:
    """(1 + |f|/|e|)^(1/2) e of every column."""
    sizes = [torch.linalg.vector_norm(columns, dim=0) for columns in (own, other)]
    return own * torch.where(sizes[0] > 0, 1 + sizes[1] / sizes[0].clamp_min(SMALLEST), 1.0).sqrt()
