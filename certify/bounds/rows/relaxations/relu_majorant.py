"""The quadratic lin·u + uᵀ M u + k above one score column, with proven rounding errors (formulas in `majorant`).

With hubs (see `hub_majorant`) it is one of (u, s).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from certify.bounds.rounding import SLACK, gamma, norm_upper, sum_upper
from certify.bounds.rows.kinked_scores import KinkedScores
from certify.bounds.rows.relaxations.direction_region import SLACK_FEW, DirectionRegion
from certify.bounds.rows.relaxations.hub_majorant import SignedHubs, hub_share
from certify.bounds.rows.relaxations.tilts import Tilts

# Far above anything lost to underflow, far below any datum.
UNDERFLOW = 1e-290


@final
@dataclass(frozen=True, slots=True)
class ReluMajorant:
    """lin·y + yᵀ M y + k, y = u or (u, s), where lin and M stand for anything within their errors.

    Attributes:
        linear: lin, (d,) or (d + J,).
        quadratic: M, (d, d) or (d + J, d + J), symmetric.
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
    region: DirectionRegion,
    scores: KinkedScores,
    curvatures: Tensor,
    slopes: Tensor,
    tilts: Tilts,
    hubs: SignedHubs | None = None,
) -> ReluMajorant:
    """The majorant of Σ r_i relu(t_i) + Σ l_i t_i for scores r, l and finite multipliers p, g (N,) and w.

    Errors: M sums N products of three factors and (XᵀC) B with a few further roundings, so that
    |ΔM|_F ≤ γ Σ (p_i|x_i| + Σ_k |C_ik||B_k|)|x_i| with γ = γ_{N+K+h+16}: the Frobenius norm of |X|ᵀ D |X|, D ≥ 0, is at
    most its trace. Likewise |Δlin| ≤ γ Σ ((|r_i| + |g_i|)/2 + |l_i|)|x_i|, the two roundings of r and l included.
    """
    live = region.reach > 0
    slopes = torch.where(live, slopes, 0.0)
    rectified = torch.where(live, scores.rectified, 0.0)
    convex = torch.where(live, share_of(rectified, slopes, tilts, hubs), 0.0)
    curvatures = torch.where(live, usable_curvatures(region, convex, curvatures, hubs), 0.0)
    constant = torch.where(curvatures > 0, convex * (convex / (16 * curvatures)) + UNDERFLOW, 0.0)
    inputs, n = region.inputs, region.inputs.shape[0]
    norms = torch.linalg.vector_norm(inputs, dim=1)
    product = inputs.T @ (curvatures[:, None] * inputs) - (inputs.T @ tilts.coefficients) @ tilts.axes / 2
    magnitude = float(((curvatures * norms + tilts.magnitude()) * norms).sum())
    weight = float((((rectified.abs() + slopes.abs()) / 2 + scores.linear.abs()) * norms).sum())
    error = gamma(n + len(tilts.axes) + inputs.shape[1] + 16) * SLACK
    found = ReluMajorant(
        linear=inputs.T @ ((rectified - slopes) / 2 + scores.linear),
        quadratic=(product + product.T) / 2,
        constant=sum_upper(constant * SLACK_FEW),
        linear_error=error * weight + UNDERFLOW * bool(weight),
        quadratic_error=error * magnitude + UNDERFLOW * bool(magnitude),
    )
    return found if hubs is None else _with_hubs(found, region, convex, curvatures, tilts, hubs)


def _with_hubs(
    without: ReluMajorant,
    region: DirectionRegion,
    convex: Tensor,
    curvatures: Tensor,
    tilts: Tilts,
    hubs: SignedHubs,
) -> ReluMajorant:
    """The majorant of (u, s): what hubs add, with the squares l²/(16 p) of which the constant has a²/(16 p)."""
    inputs, h = region.inputs, region.inputs.shape[1]
    linear, quadratic = hubs.terms(inputs)
    sides = hubs.sums()
    sides[:, :h] += hubs.lifts @ tilts.axes
    weights = torch.where(curvatures > 0, 1 / (16 * curvatures.clamp_min(1e-300)), 0.0)
    square = sides.T @ (weights[:, None] * sides)
    linear, quadratic = linear + 2 * sides.T @ (weights * convex), quadratic + (square + square.T) / 2
    linear[:h] += without.linear
    quadratic[:h, :h] += without.quadratic
    sizes = hubs.sizes()[0] + Tilts(hubs.lifts, tilts.axes).magnitude()
    magnitude = float((weights * sizes * (sizes + 2 * convex.abs())).sum())
    error = gamma(len(inputs) + len(tilts.axes) + 3 * len(hubs.parts) + h + 16) * SLACK * magnitude
    error += hubs.error(inputs) + gamma(4) * (norm_upper(linear) + norm_upper(quadratic)) + UNDERFLOW
    return ReluMajorant(
        linear, quadratic, without.constant, without.linear_error + error, without.quadratic_error + error
    )


def share_of(scores: Tensor, slopes: Tensor, tilts: Tilts, hubs: SignedHubs | None) -> Tensor:
    """The constant a of l in every row, rounded up, (N,)."""
    return convex_share(scores, slopes, tilts.lengths()) if hubs is None else hub_share(scores, slopes, tilts, hubs)


def usable_curvatures(region: DirectionRegion, convex: Tensor, curvatures: Tensor, hubs: SignedHubs | None) -> Tensor:
    """Curvatures p that are positive where l is not 0, and 0 elsewhere, (N,)."""
    sizes = convex.abs() if hubs is None else convex.abs() + hubs.sizes()[0] + hubs.lifts.abs().sum(1)
    usable = torch.where(curvatures > 0, curvatures, sizes / (4 * region.reach).clamp_min(1e-300) + UNDERFLOW)
    return torch.where(sizes > 0, usable, 0.0)


def convex_share(scores: Tensor, slopes: Tensor, lengths: Tensor) -> Tensor:
    """A = r + max(−r, |g| + |w|), rounded up, for r within two roundings, finite g and |w| of equal shape."""
    needed = (slopes.abs() + lengths) * SLACK_FEW
    excess = (needed - (-scores).clamp_min(0)).clamp_min(0) * SLACK_FEW
    return (scores.clamp_min(0) + excess) * SLACK_FEW
