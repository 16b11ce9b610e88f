"""The hidden directions u over which a polar is maximized, enclosed by a ball in suitable coordinates.

All weights penalized: |u| ≤ 1 and t_i = x_i·u has |t_i| ≤ |x_i|.

The last one, of a constant, free: t_i = x_i·w + β, |w| ≤ 1, β free. Put β = β' − m·w for any center m, so that
t_i = (x_i − m)·w + β', and let B ≥ max_i |x_i − m|. For β' ≥ B every t_i ≥ 0, for β' ≤ −B every t_i ≤ 0, and
Σ_i q_i σ(t_i) does not change with β' there since Σ_i q_i = 0. So |β'| ≤ B loses nothing, |t_i| ≤ |x_i − m| + B, and
for any ratio r > 0 the point u = (w, √r β'/B) has |u|² ≤ 1 + r, with t_i = (x_i − m, B/√r)·u.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from certify.bounds.rounding import gamma
from certify.errors import UnsupportedError
from certify.problem import View

# Added to norms: covers underflow of squares, and the reach of points that all coincide, where any B serves.
SMALLEST_REACH = 1e-140
# Covers the rounding of a few operations on nonnegative numbers.
SLACK_FEW = 1 + gamma(16)
SMALLEST_RATIO = 1e-8


@final
@dataclass(frozen=True, slots=True)
class DirectionRegion:
    """Directions that count: all have |u|² ≤ radius_squared and |t_i| ≤ reach_i, where t_i = inputs_i · u.

    Attributes:
        inputs: (N, h) float64; each entry within two roundings of the exact one.
        reach: (N,) R, rounded up; 0 marks rows that vanish.
        radius_squared: 1, or 1 + r with a free hidden bias, rounded up.
    """

    inputs: Tensor
    reach: Tensor
    radius_squared: float


def direction_region(view: View, center: Tensor, ratio: float) -> DirectionRegion:
    """The region for rows H (N, h).

    Args:
        view: H; its last column is constant where a bias is free.
        center: m, (h − 1,), used with a free bias only.
        ratio: r, used with a free bias only; brought into [SMALLEST_RATIO, 1/SMALLEST_RATIO], 1 if not a number.

    Raises:
        UnsupportedError: more than one free weight, or one whose column is not constant.
    """
    if view.free_inputs == 0:
        return DirectionRegion(view.rows, _norm_up(view.rows), 1.0)
    constant = view.rows[:, -1]
    if view.free_inputs > 1 or not bool(((constant == constant[:1]) & (constant != 0)).all()):
        raise UnsupportedError("a quadratic majorant needs the unpenalized input to be one constant column")
    centered = view.penalized - center
    norms = _norm_up(centered)
    largest = max(float(norms.max()), SMALLEST_REACH)
    ratio = min(max(ratio, SMALLEST_RATIO), 1 / SMALLEST_RATIO) if math.isfinite(ratio) else 1.0
    column = largest / math.sqrt(ratio)
    # The last entry of u is β'/column; the ratio that counts is what follows from the rounded column.
    proven_ratio = (largest / column) ** 2 * SLACK_FEW
    widened = torch.cat([centered, torch.full_like(centered[:, :1], column)], 1)
    return DirectionRegion(widened, (norms + largest) * SLACK_FEW, (1 + proven_ratio) * SLACK_FEW)


def center_of(view: View, live: Tensor) -> Tensor:
    """The mean of the live rows (N,), a good m; (0,) where no bias is free."""
    return view.rows[live, :-1].mean(0) if view.free_inputs else view.rows.new_zeros(0)


def _norm_up(rows: Tensor) -> Tensor:
    """Upper bounds on the Euclidean norms of rows (N, h), 0 only for zero rows."""
    norms = torch.linalg.vector_norm(rows, dim=1) * (1 + gamma(rows.shape[1] + 8))
    return torch.where((rows != 0).any(1), norms + SMALLEST_REACH, 0.0)
