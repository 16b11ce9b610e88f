"""Proven maximum of one score column over a ball from scalar multipliers (formulas in `majorant`)."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from certify.bounds.eigenvalue import is_positive_semidefinite
from certify.bounds.rounding import SLACK, gamma, norm_upper
from certify.bounds.rows.kinked_scores import KinkedScores
from certify.bounds.rows.relaxations.direction_region import SLACK_FEW, DirectionRegion
from certify.bounds.rows.relaxations.relu_majorant import ReluMajorant, convex_share, relu_majorant
from certify.bounds.rows.relaxations.tilts import Tilts

# Margins tried above the estimated maximum, relative to the size of the quadratic.
MARGINS = (1e-13, 1e-12, 1e-11, 1e-10, 1e-8, 1e-6, 1e-3, 1.0)
BISECTIONS = 200


def scalar_maximum_upper(
    region: DirectionRegion, scores: KinkedScores, curvatures: Tensor, slopes: Tensor, tilts: Tilts
) -> float:
    """Upper bound on max Σ q_i σ(t_i) over the region for finite scores, p, g (N,) and w; +inf if none is proven."""
    curvatures = raised_curvatures(region, scores, curvatures, slopes, tilts)
    majorant = relu_majorant(region, scores, curvatures, slopes, tilts)
    return ball_maximum_upper(majorant, region.radius_squared)


def raised_curvatures(
    region: DirectionRegion, scores: KinkedScores, curvatures: Tensor, slopes: Tensor, tilts: Tilts
) -> Tensor:
    """Curvatures p_i raised to a_i/(4R_i), (N,); 0 where a_i is 0.

    p t² + a²/(16p) touches a|t|/2 at |t| = a/(4p), and touching it beyond R_i is never better for |t| ≤ R_i.
    """
    convex = convex_share(scores.rectified, slopes, tilts.lengths())
    touching = torch.where(region.reach > 0, convex / (4 * region.reach), 0.0)
    return torch.where(convex > 0, torch.maximum(curvatures, touching), 0.0)


def ball_maximum_upper(majorant: ReluMajorant, radius_squared: float) -> float:
    """K + ρτ + s with [[τ I − M, −lin/2], [−linᵀ/2, s]] proven positive semidefinite, errors included."""
    size = norm_upper(majorant.quadratic) + norm_upper(majorant.linear)
    if not math.isfinite(size + majorant.constant + majorant.linear_error + majorant.quadratic_error):
        return math.inf
    if size + majorant.linear_error + majorant.quadratic_error == 0:
        return majorant.constant
    error = (majorant.quadratic_error + majorant.linear_error) * SLACK
    for margin in MARGINS:
        level, excess = _levels(majorant, radius_squared, margin * size + 2 * error)
        # Forming τ − M_jj rounds each diagonal entry once.
        rounding = gamma(2) * math.sqrt(len(majorant.linear)) * (level + size)
        if is_positive_semidefinite(_lifted(majorant, level, excess), error + rounding):
            return (majorant.constant + radius_squared * level + excess) * SLACK_FEW
    return math.inf


def ball_level(eigenvalues: Tensor, squares: Tensor, radius_squared: float) -> float:
    """τ minimizing ρτ + Σ β_j²/(4(τ − μ_j)) over τ ≥ max(0, μ_j), by bisection; squares are β_j²."""
    low = max(0.0, float(eigenvalues[-1]))
    high = low + math.sqrt(float(squares.sum()) / (4 * radius_squared))
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        if not low < middle < high:
            break
        steep = float((squares / (4 * (middle - eigenvalues) ** 2)).sum()) > radius_squared
        low, high = (middle, high) if steep else (low, middle)
    return high


def _levels(majorant: ReluMajorant, radius_squared: float, margin: float) -> tuple[float, float]:
    """Estimated τ and s, each a margin above what the block needs."""
    eigenvalues, vectors = torch.linalg.eigh(majorant.quadratic)
    squares = (vectors.T @ majorant.linear) ** 2
    level = ball_level(eigenvalues, squares, radius_squared) + margin
    positive = squares > 0
    excess = float((squares[positive] / (4 * (level - eigenvalues[positive]))).sum()) + margin
    return level, excess


def _lifted(majorant: ReluMajorant, level: float, excess: float) -> Tensor:
    """[[τ I − M, −lin/2], [−linᵀ/2, s]], (d + 1, d + 1)."""
    d = majorant.linear.shape[0]
    block = majorant.quadratic.new_zeros(d + 1, d + 1)
    block[:d, :d] = -majorant.quadratic
    block[:d, :d].diagonal().add_(level)
    block[d, :d] = block[:d, d] = -majorant.linear / 2
    block[d, d] = excess
    return block
