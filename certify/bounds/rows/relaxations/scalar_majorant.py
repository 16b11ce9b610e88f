"""Proven maximum of one score column over a ball from scalar multipliers (formulas in `majorant`)."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from certify.bounds.eigenvalue import is_positive_semidefinite
from certify.bounds.proof import ScalarMajorant
from certify.bounds.rounding import SLACK, gamma, norm_upper
from certify.bounds.rows.kinked_scores import KinkedScores
from certify.bounds.rows.relaxations.direction_region import DirectionRegion
from certify.bounds.rows.relaxations.relu_majorant import ReluMajorant, convex_share, relu_majorant
from certify.bounds.rows.relaxations.tilts import Tilts

# Margins tried above the estimated maximum, relative to the size of the quadratic.
MARGINS = (1e-13, 1e-12, 1e-11, 1e-10, 1e-8, 1e-6, 1e-3, 1.0)
BISECTIONS = 200


def scalar_maximum_upper(
    region: DirectionRegion, scores: KinkedScores, multipliers: ScalarMajorant, index: int
) -> float:
    """Upper bound on max Σ q_i σ(t_i) over the region, if it is not negative, for finite numbers; +inf if none is."""
    majorant = signed_majorant(region, scores, multipliers, index)[1]
    return ball_maximum_upper(majorant, region.radius_squared, float(multipliers.offsets[index]))


def signed_majorant(
    region: DirectionRegion, scores: KinkedScores, multipliers: ScalarMajorant, index: int
) -> tuple[Tensor, ReluMajorant]:
    """The curvatures used (N,), and the majorant of one sign."""
    slopes, tilts = multipliers.slopes[index], multipliers.tilts_of(index, region.inputs.shape[1])
    curvatures = raised_curvatures(region, scores, multipliers.curvatures[index], slopes, tilts)
    return curvatures, relu_majorant(region, scores, curvatures, slopes, tilts)


def raised_curvatures(
    region: DirectionRegion, scores: KinkedScores, curvatures: Tensor, slopes: Tensor, tilts: Tilts
) -> Tensor:
    """Curvatures p_i raised to a_i/(4R_i), (N,); 0 where a_i is 0.

    p t² + a²/(16p) touches a|t|/2 at |t| = a/(4p), and touching it beyond R_i is never better for |t| ≤ R_i.
    """
    convex = convex_share(scores.rectified, slopes, tilts.lengths())
    touching = torch.where(region.reach > 0, convex / (4 * region.reach), 0.0)
    return torch.where(convex > 0, torch.maximum(curvatures, touching), 0.0)


def ball_maximum_upper(majorant: ReluMajorant, radius_squared: float, offset: float) -> float:
    """K + τ + τ'(ρ − 1) + s with [[T − M, −lin/2], [−linᵀ/2, s]] proven positive semidefinite, errors included.

    T = diag(τ, …, τ, τ') with τ' = τ + offset ≥ 0 if ρ > 1, else τ I.
    """
    if radius_squared == 1:
        offset = 0.0
    size = norm_upper(majorant.quadratic) + norm_upper(majorant.linear) + abs(offset)
    if not math.isfinite(size + majorant.constant + majorant.linear_error + majorant.quadratic_error):
        return math.inf
    if size + majorant.linear_error + majorant.quadratic_error == 0:
        return majorant.constant
    error = (majorant.quadratic_error + majorant.linear_error) * SLACK
    for margin in MARGINS:
        level, excess = ball_levels(majorant, radius_squared, offset, margin * size + 2 * error)
        # Forming τ − M_jj rounds each diagonal entry twice.
        rounding = gamma(4) * math.sqrt(len(majorant.linear)) * (abs(level) + size)
        if is_positive_semidefinite(_lifted(majorant, level, excess, offset), error + rounding):
            parts = majorant.constant, level, (level + offset) * (radius_squared - 1), excess
            return math.fsum(parts) + gamma(16) * (math.fsum(map(abs, parts)) + abs(offset))
    return math.inf


def ball_levels(majorant: ReluMajorant, radius_squared: float, offset: float, margin: float) -> tuple[float, float]:
    """Estimated τ and s, each a margin above what the block needs; offset is 0 where ρ = 1."""
    shifted = majorant.quadratic.clone()
    shifted[-1, -1] -= offset
    eigenvalues, vectors = torch.linalg.eigh(shifted)
    squares = (vectors.T @ majorant.linear) ** 2
    least = float(eigenvalues[-1]) if radius_squared == 1 else max(float(eigenvalues[-1]), -offset)
    level = _ball_level(least, eigenvalues, squares, radius_squared) + margin
    positive = squares > 0
    excess = float((squares[positive] / (4 * (level - eigenvalues[positive]).clamp_min(1e-300))).sum()) + margin
    return level, excess


def _ball_level(least: float, eigenvalues: Tensor, squares: Tensor, radius_squared: float) -> float:
    """τ minimizing ρτ + Σ β_j²/(4(τ − μ_j)) over τ ≥ least ≥ μ_j, by bisection; squares are β_j²."""
    low, high = least, least + math.sqrt(float(squares.sum()) / (4 * radius_squared))
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        if not low < middle < high:
            break
        steep = float((squares / (4 * (middle - eigenvalues) ** 2)).sum()) > radius_squared
        low, high = (middle, high) if steep else (low, middle)
    return high


def _lifted(majorant: ReluMajorant, level: float, excess: float, offset: float) -> Tensor:
    """[[T − M, −lin/2], [−linᵀ/2, s]], (d + 1, d + 1)."""
    d = majorant.linear.shape[0]
    block = majorant.quadratic.new_zeros(d + 1, d + 1)
    block[:d, :d] = -majorant.quadratic
    block[:d, :d].diagonal().add_(level)
    block[d - 1, d - 1] += offset
    block[d, :d] = block[:d, d] = -majorant.linear / 2
    block[d, d] = excess
    return block
