"""The quadratic lin·u + uᵀ M u + k above one score column, with proven rounding errors (formulas in `majorant`)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from certify.bounds.rounding import SLACK, gamma, sum_upper
from certify.bounds.rows.kinked_scores import KinkedScores
from certify.bounds.rows.relaxations.direction_region import SLACK_FEW, DirectionRegion
from certify.bounds.rows.relaxations.tilts import Tilts

# Far above anything lost to underflow, far below any datum.
UNDERFLOW = 1e-290


@final
@dataclass(frozen=True, slots=True)
class ReluMajorant:
    """lin·u + uᵀ M u + k, where lin and M stand for anything within their errors.

    Attributes:
        linear: lin, (d,).
        quadratic: M, (d, d), symmetric.
        constant: k, rounded up.
        linear_error: bound on the Euclidean norm of the error of lin.
        quadratic_error: bound on the Frobenius norm of the error of M.
    """

    linear: Tensor
    quadratic: Tensor
    constant: float
    linear_error: float
    quadratic_error: float


def relu_majorant(
    region: DirectionRegion, scores: KinkedScores, curvatures: Tensor, slopes: Tensor, tilts: Tilts
) -> ReluMajorant:
    """The majorant of Σ r_i relu(t_i) + Σ l_i t_i for scores r, l and finite multipliers p, g (N,) and w.

    Errors: M sums N products of three factors and (XᵀC) B with a few further roundings, so that
    |ΔM|_F ≤ γ Σ (p_i|x_i| + Σ_k |C_ik||B_k|)|x_i| with γ = γ_{N+K+h+16}: the Frobenius norm of |X|ᵀ D |X|, D ≥ 0, is at
    most its trace. Likewise |Δlin| ≤ γ Σ ((|r_i| + |g_i|)/2 + |l_i|)|x_i|, the two roundings of r and l included.
    """
    live = region.reach > 0
    slopes = torch.where(live, slopes, 0.0)
    rectified = torch.where(live, scores.rectified, 0.0)
    convex = convex_share(rectified, slopes, torch.where(live, tilts.lengths(), 0.0))
    usable = torch.where(curvatures > 0, curvatures, convex / (4 * region.reach).clamp_min(1e-300))
    curvatures = torch.where(convex > 0, usable, 0.0)
    constant = torch.where(convex > 0, convex * (convex / (16 * curvatures)) + UNDERFLOW, 0.0)
    inputs, n = region.inputs, region.inputs.shape[0]
    norms = torch.linalg.vector_norm(inputs, dim=1)
    product = inputs.T @ (curvatures[:, None] * inputs) - (inputs.T @ tilts.coefficients) @ tilts.axes / 2
    magnitude = float(((curvatures * norms + tilts.magnitude()) * norms).sum())
    weight = float((((rectified.abs() + slopes.abs()) / 2 + scores.linear.abs()) * norms).sum())
    error = gamma(n + len(tilts.axes) + inputs.shape[1] + 16) * SLACK
    return ReluMajorant(
        linear=inputs.T @ ((rectified - slopes) / 2 + scores.linear),
        quadratic=(product + product.T) / 2,
        constant=sum_upper(constant * SLACK_FEW),
        linear_error=error * weight + UNDERFLOW * bool(weight),
        quadratic_error=error * magnitude + UNDERFLOW * bool(magnitude),
    )


def convex_share(scores: Tensor, slopes: Tensor, lengths: Tensor) -> Tensor:
    """A = r + max(−r, |g| + |w|), rounded up, for r within two roundings, finite g and |w| of equal shape."""
    needed = (slopes.abs() + lengths) * SLACK_FEW
    excess = (needed - (-scores).clamp_min(0)).clamp_min(0) * SLACK_FEW
    return (scores.clamp_min(0) + excess) * SLACK_FEW
