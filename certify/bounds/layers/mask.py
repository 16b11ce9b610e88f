"""The mask bound: a polar of ReLU layers, however many, from polars of two layers with scores of one sign.

relu(h) = max over 0 ≤ s ≤ 1 of s ∘ h, so that layer by layer a functional q of the last responses becomes one of the
first, s ∘ q₊ at most (MATH of deep subnetworks): for one column q,
    max qᵀrelu(h) ≤ max over |u| ≤ 1 of q₊ᵀrelu(H u),   and with −q the larger of q₊ and q₋ serves both signs.
For several columns, vᵀQᵀz ≤ Σ_i |Q_i| z_i for z ≥ 0, |v| ≤ 1. σ = s relu gives s^(K−2) times that in K layers.
"""

from __future__ import annotations

import torch
from torch import Tensor

from certify.bounds.layers.peeled_scores import PeeledScores, unpeeled
from certify.problem import Slopes


def mask_applies(slopes: Slopes) -> bool:
    """Whether σ is a multiple of max(t, 0)."""
    return slopes.negative == 0 and slopes.positive > 0


def mask_seminorms(scores: Tensor, slopes: Slopes, layers: int) -> list[PeeledScores]:
    """Seminorms of the first responses σ(H u) for scores S (N, m) of K layers; the polar is at most the largest."""
    if scores.shape[1] == 1:
        masked = [scores.clamp_min(0), (-scores).clamp_min(0)]
    else:
        masked = [torch.linalg.vector_norm(scores, dim=1, keepdim=True)]
    return [unpeeled(slopes.positive ** (layers - 2) * own) for own in masked]
