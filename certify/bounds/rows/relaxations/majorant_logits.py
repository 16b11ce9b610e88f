"""Unconstrained coordinates of majorant multipliers, and the differentiable bound that they give (see `majorant`).

With a = r_+ and b = r_-: p = a exp φ, c = b σ(η)/R, g = b (1 − σ(η)) tanh γ for one column; the same without c for
several. Estimates only: the proof is `majorant_upper` at the multipliers that `multipliers_at` returns.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from certify.bounds.proof import QuadraticMajorant, ScalarMajorant, VectorMajorant
from certify.bounds.rows.kinked_scores import KinkedScores, kinked_scores
from certify.bounds.rows.relaxations.direction_region import DirectionRegion
from certify.bounds.rows.relaxations.matrix_gradients import matrix_absolute, weighted_gram
from certify.bounds.rows.relaxations.scalar_majorant import ball_level
from certify.problem import Rows

# Smoothing of the ball maximum: as if lin had this share of the level more in every direction.
SMOOTHING = 3e-3


@final
@dataclass(frozen=True, slots=True)
class MajorantLogits:
    """Coordinates; leading axis 2 for S and −S.

    Attributes:
        bend: φ, (2, m, N).
        tilt: γ, (2, m, N).
        cap: η, (2, 1, N) for one column, else (0,).
        mixing: log κ, (2, m).
        ratio: log r of each sign, (2,); of all for several columns.
    """

    bend: Tensor
    tilt: Tensor
    cap: Tensor
    mixing: Tensor
    ratio: Tensor

    @property
    def tensors(self) -> list[Tensor]:
        """All coordinates."""
        return [self.bend, self.tilt, self.cap, self.mixing, self.ratio]


def starting_logits(region: DirectionRegion, columns: int) -> MajorantLogits:
    """Coordinates that touch a|t| at a typical |t| = R/√h, for m score columns."""
    n, d = region.inputs.shape
    typical = region.reach.clamp_min(1e-12 * float(region.reach.max()) + 1e-100) / math.sqrt(d)
    blank = region.inputs.new_zeros
    return MajorantLogits(
        bend=(-(4 * typical).log()).expand(2, columns, n).clone(),
        tilt=blank(2, columns, n),
        cap=blank(2, 1, n) - 3 if columns == 1 else blank(0),
        mixing=blank(2, columns),
        ratio=blank(2),
    )


def upper_estimate(form: Rows, region: DirectionRegion, scores: Tensor, logits: MajorantLogits) -> Tensor:
    """U (scalar tensor) for scores S (N, m), with gradient; the region is that of ratio 1."""
    signed = _signed(form, scores)
    curvatures, slopes, caps, convex = _multipliers(region, signed, logits)
    constants = (convex / logits.bend.exp()).sum(2) / 16
    linears = ((signed.rectified - slopes) / 2 + signed.linear) @ region.inputs
    flat = (curvatures - caps / 2).flatten(0, 1)
    d, free_inputs = region.inputs.shape[1], form.view.free_inputs
    quadratics = weighted_gram(region.inputs, flat).reshape(2, -1, d, d)
    ratios = logits.ratio.exp() if free_inputs else torch.zeros_like(logits.ratio)
    if scores.shape[1] > 1:
        scale = _axis_scale(d, free_inputs, ratios[0])
        total = _envelopes(linears * scale, quadratics * scale * scale[:, None], constants, logits).sum(0)
        largest = torch.linalg.eigvalsh(total)[-1]
        upper: Tensor = (largest * (1 + ratios[0])).clamp_min(1e-300).sqrt()
        return upper
    uppers = []
    for index in range(2):
        scale = _axis_scale(d, free_inputs, ratios[index])
        quadratic = quadratics[index, 0] * scale * scale[:, None]
        maximum = _ball_maximum(quadratic, linears[index, 0] * scale, 1 + ratios[index])
        uppers.append(constants[index, 0] + maximum)
    return torch.stack(uppers).max()


def multipliers_at(
    form: Rows, region: DirectionRegion, scores: Tensor, logits: MajorantLogits, center: Tensor
) -> QuadraticMajorant:
    """The multipliers that the coordinates stand for at scores S (N, m); the region is that of ratio 1."""
    signed = _signed(form, scores)
    curvatures, slopes, caps, convex = _multipliers(region, signed, logits)
    ratios = logits.ratio.exp()
    if scores.shape[1] == 1:
        return ScalarMajorant(curvatures[:, 0], slopes[:, 0], caps[:, 0], center, ratios)
    constants = (convex / logits.bend.exp()).sum(2) / 16
    d = region.inputs.shape[1]
    scale = _axis_scale(d, form.view.free_inputs, ratios[0])
    linears = ((signed.rectified - slopes) / 2 + signed.linear) @ region.inputs * scale
    quadratics = weighted_gram(region.inputs, curvatures.flatten(0, 1)).reshape(2, -1, d, d)
    envelopes = _envelopes(linears, quadratics * scale * scale[:, None], constants, logits)
    mixings = logits.mixing.exp()
    return VectorMajorant(curvatures.mT, slopes.mT, mixings, envelopes, center, float(ratios[0]))


def _signed(form: Rows, scores: Tensor) -> KinkedScores:
    """The parts of S and −S, (2, m, N)."""
    return kinked_scores(form.slopes, torch.stack([scores.T, -scores.T]))


def _multipliers(
    region: DirectionRegion, signed: KinkedScores, logits: MajorantLogits
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """p, g, c and a, (2, m, N) each."""
    convex, concave = signed.rectified.clamp_min(0), (-signed.rectified).clamp_min(0)
    share = logits.cap.sigmoid() if concave.shape[1] == 1 else torch.zeros_like(concave[:, :1])
    reach = torch.where(region.reach > 0, region.reach, 1.0)
    slopes = concave * (1 - share) * logits.tilt.tanh()
    return convex * logits.bend.exp(), slopes, concave * share / reach, convex


def _axis_scale(dimension: int, free_inputs: int, ratio: Tensor) -> Tensor:
    """Diagonal that takes the coordinates of ratio 1 to those of ratio r: 1/√r on the axis of a free bias."""
    scale = torch.ones(dimension, dtype=ratio.dtype, device=ratio.device)
    if free_inputs == 0:
        return scale
    return torch.cat([scale[:-1], ratio.rsqrt()[None]])


def _envelopes(linears: Tensor, quadratics: Tensor, constants: Tensor, logits: MajorantLogits) -> Tensor:
    """N_j = (N_+ + N_−)/2 + |N_+ − N_−|/2, (m, h, h)."""
    mixing = logits.mixing.exp()
    outer = (1 + 1 / mixing)[..., None, None] * linears[..., :, None] * linears[..., None, :]
    squares = outer + (4 * (1 + mixing) * constants)[..., None, None] * quadratics
    return (squares[0] + squares[1]) / 2 + matrix_absolute(squares[0] - squares[1]) / 2


def _ball_maximum(quadratic: Tensor, linear: Tensor, radius_squared: Tensor) -> Tensor:
    """Min over τ of ρτ + linᵀ(τ I − M)⁻¹lin/4 with smoothing; τ is constant by the envelope theorem."""
    with torch.no_grad():
        values, vectors = torch.linalg.eigh(quadratic)
        squares = (vectors.T @ linear) ** 2
        rough = ball_level(values, squares, float(radius_squared))
        extra = (SMOOTHING * rough) ** 2 + 1e-300
        level = ball_level(values, squares + extra, float(radius_squared))
    identity = torch.eye(len(linear), dtype=linear.dtype, device=linear.device)
    inverse = torch.linalg.inv(level * identity - quadratic)
    maximum: Tensor = radius_squared * level + (linear @ inverse @ linear + extra * inverse.trace()) / 4
    return maximum
