"""Unconstrained coordinates of majorant multipliers, and the differentiable bound that they give (see `majorant`).

With a = r_+ and b = r_-: p = a exp φ, g = b tanh γ, and no tilts. Estimates only: the proof is `majorant_upper` at the
multipliers that `multipliers_at` returns.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from certify.bounds.proof import VectorMajorant
from certify.bounds.rows.kinked_scores import KinkedScores, kinked_scores
from certify.bounds.rows.relaxations.direction_region import DirectionRegion
from certify.bounds.rows.relaxations.matrix_gradients import matrix_absolute, weighted_gram
from certify.problem import Rows

# p, g and a, (2, m, N) each.
_Multipliers = tuple[Tensor, Tensor, Tensor]


@final
@dataclass(frozen=True, slots=True)
class MajorantLogits:
    """Coordinates; leading axis 2 for S and −S.

    Attributes:
        bend: φ, (2, m, N).
        tilt: γ, (2, m, N).
        mixing: log κ, (2, m).
        ratio: log r, a scalar.
    """

    bend: Tensor
    tilt: Tensor
    mixing: Tensor
    ratio: Tensor

    @property
    def tensors(self) -> list[Tensor]:
        """All coordinates."""
        return [self.bend, self.tilt, self.mixing, self.ratio]


def starting_logits(region: DirectionRegion, columns: int) -> MajorantLogits:
    """Coordinates that touch a|t| at a typical |t| = R/√h, for m score columns."""
    n, d = region.inputs.shape
    typical = region.reach.clamp_min(1e-12 * float(region.reach.max()) + 1e-100) / math.sqrt(d)
    blank = region.inputs.new_zeros
    return MajorantLogits(
        bend=(-(4 * typical).log()).expand(2, columns, n).clone(),
        tilt=blank(2, columns, n),
        mixing=blank(2, columns),
        ratio=blank(()),
    )


def upper_estimate(form: Rows, region: DirectionRegion, scores: Tensor, logits: MajorantLogits) -> Tensor:
    """U (scalar tensor) for scores S (N, m), with gradient; the region is that of ratio 1."""
    signed = _signed(form, scores)
    majorants = _majorants(form, region, signed, _multipliers(signed, logits), logits)
    radius = 1 + logits.ratio.exp() if form.view.free_inputs else torch.ones_like(logits.ratio)
    largest = torch.linalg.eigvalsh(_envelopes(*majorants, logits).sum(0))[-1]
    upper: Tensor = (largest * radius).clamp_min(1e-300).sqrt()
    return upper


def multipliers_at(
    form: Rows, region: DirectionRegion, scores: Tensor, logits: MajorantLogits, center: Tensor
) -> VectorMajorant:
    """The multipliers that the coordinates stand for at scores S (N, m); the region is that of ratio 1."""
    signed = _signed(form, scores)
    multipliers = curvatures, slopes, _ = _multipliers(signed, logits)
    envelopes = _envelopes(*_majorants(form, region, signed, multipliers, logits), logits)
    ratio = float(logits.ratio.exp())
    return VectorMajorant(curvatures.mT, slopes.mT, logits.mixing.exp(), envelopes, center, ratio)


def _signed(form: Rows, scores: Tensor) -> KinkedScores:
    """The parts of S and −S, (2, m, N)."""
    return kinked_scores(form.slopes, torch.stack([scores.T, -scores.T]))


def _multipliers(signed: KinkedScores, logits: MajorantLogits) -> _Multipliers:
    convex, concave = signed.rectified.clamp_min(0), (-signed.rectified).clamp_min(0)
    return convex * logits.bend.exp(), concave * logits.tilt.tanh(), convex


def _majorants(
    form: Rows, region: DirectionRegion, signed: KinkedScores, multipliers: _Multipliers, logits: MajorantLogits
) -> tuple[Tensor, Tensor, Tensor]:
    """Constants k (2, m), lin (2, m, h) and M (2, m, h, h) where r is the ratio: 1/√r on the axis of a free bias."""
    curvatures, slopes, convex = multipliers
    d, m = region.inputs.shape[1], convex.shape[1]
    scale = region.inputs.new_ones(d)
    if form.view.free_inputs:
        scale = torch.cat([scale[:-1], logits.ratio.exp().rsqrt()[None]])
    linears = ((signed.rectified - slopes) / 2 + signed.linear) @ region.inputs
    quadratics = weighted_gram(region.inputs, curvatures.flatten(0, 1)).reshape(2, m, d, d)
    constants = (convex / logits.bend.exp()).sum(2) / 16
    return constants, linears * scale, quadratics * scale[:, None] * scale


def _envelopes(constants: Tensor, linears: Tensor, quadratics: Tensor, logits: MajorantLogits) -> Tensor:
    """N_j = (N_+ + N_−)/2 + |N_+ − N_−|/2, (m, h, h)."""
    mixing = logits.mixing.exp()
    outer = (1 + 1 / mixing)[..., None, None] * linears[..., :, None] * linears[..., None, :]
    squares = outer + (4 * (1 + mixing) * constants)[..., None, None] * quadratics
    return (squares[0] + squares[1]) / 2 + matrix_absolute(squares[0] - squares[1]) / 2
