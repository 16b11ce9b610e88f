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
# p, g, c and a, (2, m, N) each.
_Multipliers = tuple[Tensor, Tensor, Tensor, Tensor]


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
    majorants = _majorants(form, region, signed, _multipliers(region, signed, logits), logits)
    radii = 1 + logits.ratio.exp() if form.view.free_inputs else torch.ones_like(logits.ratio)
    if scores.shape[1] > 1:
        largest = torch.linalg.eigvalsh(_envelopes(*majorants, logits).sum(0))[-1]
        upper: Tensor = (largest * radii[0]).clamp_min(1e-300).sqrt()
        return upper
    constants, linears, quadratics = (part[:, 0] for part in majorants)
    return (constants + torch.stack(list(map(_ball_maximum, quadratics, linears, radii)))).max()


def multipliers_at(
    form: Rows, region: DirectionRegion, scores: Tensor, logits: MajorantLogits, center: Tensor
) -> QuadraticMajorant:
    """The multipliers that the coordinates stand for at scores S (N, m); the region is that of ratio 1."""
    signed = _signed(form, scores)
    multipliers = curvatures, slopes, caps, _ = _multipliers(region, signed, logits)
    ratios = logits.ratio.exp()
    if scores.shape[1] == 1:
        return ScalarMajorant(curvatures[:, 0], slopes[:, 0], caps[:, 0], center, ratios)
    envelopes = _envelopes(*_majorants(form, region, signed, multipliers, logits), logits)
    return VectorMajorant(curvatures.mT, slopes.mT, logits.mixing.exp(), envelopes, center, float(ratios[0]))


def _signed(form: Rows, scores: Tensor) -> KinkedScores:
    """The parts of S and −S, (2, m, N)."""
    return kinked_scores(form.slopes, torch.stack([scores.T, -scores.T]))


def _multipliers(region: DirectionRegion, signed: KinkedScores, logits: MajorantLogits) -> _Multipliers:
    convex, concave = signed.rectified.clamp_min(0), (-signed.rectified).clamp_min(0)
    share = logits.cap.sigmoid() if concave.shape[1] == 1 else torch.zeros_like(concave[:, :1])
    reach = torch.where(region.reach > 0, region.reach, 1.0)
    slopes = concave * (1 - share) * logits.tilt.tanh()
    return convex * logits.bend.exp(), slopes, concave * share / reach, convex


def _majorants(
    form: Rows, region: DirectionRegion, signed: KinkedScores, multipliers: _Multipliers, logits: MajorantLogits
) -> tuple[Tensor, Tensor, Tensor]:
    """Constants k (2, m), lin (2, m, h) and M (2, m, h, h) where r is the ratio: 1/√r on the axis of a free bias."""
    curvatures, slopes, caps, convex = multipliers
    d, m = region.inputs.shape[1], convex.shape[1]
    scale = region.inputs.new_ones(2, d)
    if form.view.free_inputs:
        ratios = logits.ratio if m == 1 else logits.ratio[:1].expand(2)
        scale = torch.cat([scale[:, :-1], ratios.exp().rsqrt()[:, None]], 1)
    linears = ((signed.rectified - slopes) / 2 + signed.linear) @ region.inputs
    quadratics = weighted_gram(region.inputs, (curvatures - caps / 2).flatten(0, 1)).reshape(2, m, d, d)
    constants = (convex / logits.bend.exp()).sum(2) / 16
    return constants, linears * scale[:, None], quadratics * scale[:, None, None] * scale[:, None, :, None]


def _envelopes(constants: Tensor, linears: Tensor, quadratics: Tensor, logits: MajorantLogits) -> Tensor:
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
