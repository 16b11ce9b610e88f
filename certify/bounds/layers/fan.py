"""Scores of two columns by single columns: |Sᵀz| = max over |v| ≤ 1 of (S v)ᵀz.

What is sought, the largest (S v)ᵀz over responses z, is convex in v. So it is at most the largest at corners v_k of a
polygon that contains the unit disk. Peeled apart, each with multipliers of its own, they lose far less than two columns
together do. For one column the corners are ±1. Three columns that sum to zero in every row, as those of cross-entropy,
are two: v may be taken orthogonal to (1, 1, 1).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

CORNERS = 16
# Room for the rounding of the corners.
ROOM = 1 + 2.0**-40


# Orthonormal columns that are orthogonal to (1, 1, 1).
PLANE = ((2**-0.5, 6**-0.5), (-(2**-0.5), 6**-0.5), (0.0, -2 * 6**-0.5))


def fan_of(columns: int, *, zero_sums: bool = False) -> Tensor | None:
    """Corners v_k (m, K) for scores of m columns, which may sum to zero exactly in every row; None for too many."""
    if columns == 1:
        return torch.tensor([[1.0, -1.0]], dtype=torch.float64)
    angles = 2 * math.pi / CORNERS * torch.arange(CORNERS, dtype=torch.float64)
    corners = torch.stack([angles.cos(), angles.sin()]) * (ROOM / math.cos(math.pi / CORNERS))
    if columns == 2:
        return corners
    return torch.tensor(PLANE, dtype=torch.float64) @ corners if columns == 3 and zero_sums else None
