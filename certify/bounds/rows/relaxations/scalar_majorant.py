"""Proven maximum of one score column over a ball from scalar multipliers (formulas in `majorant`)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from certify.bounds.eigenvalue import is_positive_semidefinite
from certify.bounds.proof import ScalarMajorant
from certify.bounds.rounding import SLACK, gamma, norm_upper
from certify.bounds.rows.kinked_scores import KinkedScores
from certify.bounds.rows.relaxations.direction_region import DirectionRegion
from certify.bounds.rows.relaxations.hub_majorant import SignedHubs, signed_hubs
from certify.bounds.rows.relaxations.relu_majorant import ReluMajorant, relu_majorant, share_of, usable_curvatures

# Margins tried above the estimated maximum, relative to the size of the quadratic.
MARGINS = (1e-13, 1e-12, 1e-11, 1e-10, 1e-8, 1e-6, 1e-3, 1.0)
BISECTIONS = 200


@final
@dataclass(frozen=True, slots=True)
class Reduced:
    """lin·u + uᵀ M u and a constant."""

    linear: Tensor
    quadratic: Tensor
    constant: float


def scalar_maximum_upper(
    region: DirectionRegion, scores: KinkedScores, multipliers: ScalarMajorant, index: int
) -> float:
    """Upper bound on max Σ q_i σ(t_i) over the region, if it is not negative, for finite numbers; +inf if none is."""
    majorant = signed_majorant(region, scores, multipliers, index)[1]
    coordinates = region.inputs.shape[1]
    return ball_maximum_upper(majorant, region.radius_squared, float(multipliers.offsets[index]), coordinates)


def signed_majorant(
    region: DirectionRegion, scores: KinkedScores, multipliers: ScalarMajorant, index: int
) -> tuple[Tensor, ReluMajorant]:
    """The curvatures used (N,), and the majorant of one sign."""
    size = region.inputs.shape[1]
    slopes, tilts = multipliers.slopes[index], multipliers.tilts_of(index, size)
    hubs = None if multipliers.hubs is None else signed_hubs(multipliers.hubs, index, size)
    convex = share_of(scores.rectified, slopes, tilts, hubs)
    curvatures = raised_curvatures(region, convex, multipliers.curvatures[index], hubs)
    return curvatures, relu_majorant(region, scores, curvatures, slopes, tilts, hubs)


def raised_curvatures(
    region: DirectionRegion, convex: Tensor, curvatures: Tensor, hubs: SignedHubs | None = None
) -> Tensor:
    """Curvatures p_i raised to a_i/(4R_i), (N,); 0 where a_i is 0; with hubs only made positive.

    p t² + a²/(16p) touches a|t|/2 at |t| = a/(4p), and touching it beyond R_i is never better for |t| ≤ R_i.
    """
    if hubs is not None:
        return usable_curvatures(region, convex, curvatures, hubs)
    touching = torch.where(region.reach > 0, convex / (4 * region.reach), 0.0)
    return torch.where(convex > 0, torch.maximum(curvatures, touching), 0.0)


def ball_maximum_upper(majorant: ReluMajorant, radius_squared: float, offset: float, coordinates: int) -> float:
    """K + τ + τ'(ρ − 1) + e with [[T − M, −lin/2], [−linᵀ/2, e]] proven positive semidefinite, errors included.

    T = diag(τ, …, τ, τ') over the coordinates of u, with τ' = τ + offset ≥ 0 if ρ > 1, else τ I, and 0 over s.
    """
    if radius_squared == 1:
        offset = 0.0
    size = norm_upper(majorant.quadratic) + norm_upper(majorant.linear) + abs(offset)
    if not math.isfinite(size + majorant.constant + majorant.linear_error + majorant.quadratic_error):
        return math.inf
    if size + majorant.linear_error + majorant.quadratic_error == 0:
        return majorant.constant
    error = (majorant.quadratic_error + majorant.linear_error) * SLACK
    reduced = without_hubs(majorant, coordinates)
    if reduced is None:
        return math.inf
    for margin in MARGINS:
        level, excess = ball_levels(reduced, radius_squared, offset, margin * size + 2 * error)
        # Forming τ − M_jj rounds each diagonal entry twice.
        rounding = gamma(4) * math.sqrt(len(majorant.linear)) * (abs(level) + size)
        if is_positive_semidefinite(_lifted(majorant, level, excess, offset, coordinates), error + rounding):
            parts = majorant.constant, level, (level + offset) * (radius_squared - 1), excess
            return math.fsum(parts) + gamma(16) * (math.fsum(map(abs, parts)) + abs(offset))
    return math.inf


def without_hubs(majorant: ReluMajorant, coordinates: int) -> Reduced | None:
    """An estimate of the majorant at the largest s, as one of u; None where there is no largest."""
    linear, quadratic = majorant.linear, majorant.quadratic
    if len(linear) == coordinates:
        return Reduced(linear, quadratic, 0.0)
    factor, info = torch.linalg.cholesky_ex(-quadratic[coordinates:, coordinates:])
    if int(info) != 0:
        return None
    pull = torch.linalg.solve_triangular(factor, quadratic[coordinates:, :coordinates], upper=False)
    push = torch.linalg.solve_triangular(factor, linear[coordinates:, None] / 2, upper=False)[:, 0]
    raised = quadratic[:coordinates, :coordinates] + pull.T @ pull
    return Reduced(linear[:coordinates] + 2 * pull.T @ push, raised, float(push @ push))


def ball_levels(reduced: Reduced, radius_squared: float, offset: float, margin: float) -> tuple[float, float]:
    """Estimated τ and e, each a margin above what the block needs; offset is 0 where ρ = 1."""
    shifted = reduced.quadratic.clone()
    shifted[-1, -1] -= offset
    eigenvalues, vectors = torch.linalg.eigh(shifted)
    squares = (vectors.T @ reduced.linear) ** 2
    least = float(eigenvalues[-1]) if radius_squared == 1 else max(float(eigenvalues[-1]), -offset)
    level = _ball_level(least, eigenvalues, squares, radius_squared) + margin
    positive = squares > 0
    excess = float((squares[positive] / (4 * (level - eigenvalues[positive]).clamp_min(1e-300))).sum()) + margin
    return level, excess + reduced.constant


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


def _lifted(majorant: ReluMajorant, level: float, excess: float, offset: float, coordinates: int) -> Tensor:
    """[[T − M, −lin/2], [−linᵀ/2, e]], one more than the majorant has coordinates in each direction."""
    d = majorant.linear.shape[0]
    block = majorant.quadratic.new_zeros(d + 1, d + 1)
    block[:d, :d] = -majorant.quadratic
    block[:coordinates, :coordinates].diagonal().add_(level)
    block[coordinates - 1, coordinates - 1] += offset
    block[d, :d] = block[:d, d] = -majorant.linear / 2
    block[d, d] = excess
    return block
