"""Scores of two columns by single columns: |Sᵀz| = max over |v| ≤ 1 of (S v)ᵀz.

What is sought, the largest (S v)ᵀz over responses z, is convex in v. So it is at most the largest at corners v_k of a
polygon that contains the unit disk. Peeled apart, each with multipliers of its own, they lose far less than two columns
together do. For one column the corners are ±1.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

CORNERS = 16
# Room for the rounding of the corners.
ROOM = 1 + 2.0**-40


def fan_of(scores: Tensor) -> Tensor | None:
    """Corners v_k (m, K) for scores (N, m) of one column or two; None for more."""
    if scores.shape[1] == 1:
        return scores.new_tensor([[1.0, -1.0]])
    if scores.shape[1] != 2:
        return None
    angles = 2 * math.pi / CORNERS * torch.arange(CORNERS, dtype=scores.dtype, device=scores.device)
    return torch.stack([angles.cos(), angles.sin()]) * (ROOM / math.cos(math.pi / CORNERS))
