"""Proven maximum of |Sᵀσ(H u)| over a ball from vector multipliers (formulas in `majorant`)."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from certify.bounds.eigenvalue import is_positive_semidefinite, largest_eigenvalue_upper
from certify.bounds.proof import VectorMajorant
from certify.bounds.rounding import SLACK, gamma, norm_upper
from certify.bounds.rows.kinked_scores import KinkedScores
from certify.bounds.rows.relaxations.direction_region import SLACK_FEW, DirectionRegion
from certify.bounds.rows.relaxations.relu_majorant import ReluMajorant, relu_majorant
from certify.bounds.rows.relaxations.scalar_majorant import MARGINS
from certify.bounds.rows.relaxations.tilts import no_tilts


def vector_maximum_upper(region: DirectionRegion, scores: KinkedScores, multipliers: VectorMajorant) -> float:
    """Upper bound on max |Sᵀσ(t)| over the region, where t = X u, for finite numbers; +inf if none is proven.

    Not positive κ are replaced by 1, and N_j are guesses, lifted where they do not dominate.
    """
    d = region.inputs.shape[1]
    total, error = region.inputs.new_zeros(d, d), 0.0
    for j, guess in enumerate(multipliers.envelopes):
        envelope, uncertainty = dominating(guess, square_majorants(region, scores, multipliers, j))
        total = total + envelope
        # Adding m matrices rounds each entry m times.
        error += uncertainty + gamma(2 * len(multipliers.envelopes) + 4) * norm_upper(envelope)
    if not math.isfinite(error) or not bool(torch.isfinite(total).all()):
        return math.inf
    largest = max(0.0, largest_eigenvalue_upper(total, error * SLACK))
    return math.sqrt(region.radius_squared * largest * SLACK_FEW) * SLACK_FEW


def square_majorants(
    region: DirectionRegion, scores: KinkedScores, multipliers: VectorMajorant, column: int
) -> list[tuple[Tensor, float]]:
    """N_+ and N_− of one column, (d, d), with bounds on the Frobenius norms of their errors."""
    squares, untilted = [], no_tilts(region.inputs)
    for index, sign in enumerate((1.0, -1.0)):
        own = multipliers.curvatures[index, :, column], multipliers.slopes[index, :, column], untilted
        majorant = relu_majorant(region, scores.column(column, sign), *own)
        squares.append(_square_majorant(majorant, float(multipliers.mixings[index, column])))
    return squares


def _square_majorant(majorant: ReluMajorant, mixing: float) -> tuple[Tensor, float]:
    """N = (1 + 1/κ) lin linᵀ + 4 (1 + κ) k M, (d, d), with a bound on the Frobenius norm of its error."""
    mixing = mixing if 1e-100 < mixing < 1e100 else 1.0
    outer, inner = (1 + 1 / mixing) * SLACK_FEW, 4 * (1 + mixing) * SLACK_FEW * majorant.constant
    linear = majorant.linear
    matrix = outer * linear[:, None] * linear + inner * majorant.quadratic
    size, doubt = norm_upper(linear), majorant.linear_error
    quadratic_size = norm_upper(majorant.quadratic)
    rounding = gamma(16) * (outer * size**2 + inner * quadratic_size)
    error = outer * doubt * (2 * size + doubt) + inner * majorant.quadratic_error + rounding
    return (matrix + matrix.T) / 2, error * SLACK


def dominating(envelope: Tensor, squares: list[tuple[Tensor, float]]) -> tuple[Tensor, float]:
    """A symmetric N near the guess and an error e with N + e I ⪰ every matrix of `squares` within its own error."""
    error = max(uncertainty for _, uncertainty in squares)
    guess = envelope / 2 + envelope.T / 2
    size = norm_upper(guess) + sum(norm_upper(matrix) for matrix, _ in squares)
    if not math.isfinite(size + error):
        return guess, math.inf
    if size == 0:
        return guess, error
    deficit = max(float(torch.linalg.eigvalsh(matrix - guess)[-1]) for matrix, _ in squares)
    rounding = gamma(4) * size
    identity = torch.eye(guess.shape[0], dtype=guess.dtype, device=guess.device)
    for margin in MARGINS:
        lifted = guess + (max(deficit, 0.0) + margin * size) * identity
        if all(is_positive_semidefinite(lifted - matrix, rounding) for matrix, _ in squares):
            return lifted, error
    return guess, math.inf
