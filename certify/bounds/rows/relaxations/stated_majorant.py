"""Quadratic majorants as certificates state them: multipliers with the levels and envelopes that dominate.

Levels and envelopes have room beside what floating point found, so that a checker with other roundings agrees.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from certify.bounds.polar import PolarBound
from certify.bounds.proof import Hubs, ScalarMajorant, VectorMajorant
from certify.bounds.rows.kinked_scores import kinked_scores
from certify.bounds.rows.relaxations.direction_region import DirectionRegion, direction_region
from certify.bounds.rows.relaxations.hub_majorant import paired
from certify.bounds.rows.relaxations.relu_majorant import ReluMajorant, convex_share
from certify.bounds.rows.relaxations.scalar_majorant import ball_levels, signed_majorant, without_hubs
from certify.bounds.rows.relaxations.vector_majorant import dominating, square_majorants
from certify.bounds.stated_arrays import Array, array_of
from certify.problem import Rows, View

Stated = tuple[float, dict[str, Array]]


def stated_scalar(form: Rows, scores: Tensor, bound: PolarBound, proof: ScalarMajorant, margin: float) -> Stated:
    """U and arrays for one score column S (N, 1), with relative room `margin`."""
    parts, region = kinked_scores(form.slopes, scores), direction_region(form.view, proof.center, 1.0)
    levels, curvatures, upper, free = [], [], 0.0, form.view.free_inputs
    for index, sign in enumerate((1.0, -1.0)):
        used, majorant = signed_majorant(region, parts.column(0, sign), proof, index)
        own, maximum = _leveled(majorant, region, float(proof.offsets[index]) * free, bound.upper, margin)
        upper = max(upper, maximum)
        levels.append(own[: 1 + free])
        curvatures.append(used)
    arrays = {
        "curvatures": array_of(torch.stack(curvatures)),
        "slopes": array_of(proof.slopes),
        "tilts": array_of(proof.tilts),
        "axes": array_of(proof.axes),
        "levels": np.array(levels),
    }
    arrays |= _region_arrays(form.view, proof.center, [float(region.inputs[0, -1])] * 2)
    return upper * (1 + margin), arrays if proof.hubs is None else arrays | _hub_arrays(proof.hubs)


def stated_vector(form: Rows, scores: Tensor, proof: VectorMajorant, margin: float) -> Stated:
    """U and arrays for score columns S (N, m), with relative room `margin`."""
    region = direction_region(form.view, proof.center, proof.ratio)
    parts = kinked_scores(form.slopes, scores)
    mixings = torch.where((proof.mixings > 1e-100) & (proof.mixings < 1e100), proof.mixings, 1.0)
    signed = torch.stack([parts.rectified, -parts.rectified])
    convex = convex_share(signed, proof.slopes, torch.zeros_like(signed))
    used = torch.where(convex > 0, proof.curvatures.clamp_min(0), 0.0)
    envelopes = []
    for j, guess in enumerate(proof.envelopes):
        lifted, _ = dominating(guess, square_majorants(region, parts, proof, j))
        size = float(torch.linalg.matrix_norm(lifted))
        envelopes.append(lifted + margin / 4 * size * torch.eye(len(lifted)).to(lifted))
    largest = float(torch.linalg.eigvalsh(torch.stack(envelopes).sum(0))[-1])
    upper = math.sqrt(max(largest, 0.0) * region.radius_squared) * (1 + margin)
    arrays = {
        "curvatures": array_of(used),
        "slopes": array_of(proof.slopes),
        "mixings": array_of(mixings),
        "envelopes": array_of(torch.stack(envelopes)),
    }
    return upper, arrays | _region_arrays(form.view, proof.center, [float(region.inputs[0, -1])])


def _leveled(
    majorant: ReluMajorant, region: DirectionRegion, offset: float, claimed: float, margin: float
) -> tuple[tuple[float, float], float]:
    """(τ, τ') and the maximum that they show, both with room."""
    # One sign may bound almost nothing; rounding is relative to the larger.
    parts = majorant.quadratic, majorant.linear
    size = max(sum(float(torch.linalg.vector_norm(part)) for part in parts) + abs(offset), claimed)
    reduced = without_hubs(majorant, region.inputs.shape[1])
    if reduced is None:
        raise ArithmeticError("the block of the hubs is not definite")
    level, excess = ball_levels(reduced, region.radius_squared, offset, margin / 4 * size)
    last = max(level + offset, 0.0)
    return (level, last), majorant.constant + level + last * (region.radius_squared - 1) + excess + margin * size


def _hub_arrays(hubs: Hubs) -> dict[str, Array]:
    return {
        "hubs": array_of(hubs.directions),
        "links": array_of(hubs.links.clamp_min(0).flatten(0, 1)),
        "lifts": array_of(hubs.lifts),
        "hub-products": array_of(torch.where(paired(hubs.directions[0]), hubs.products, hubs.products.clamp_min(0))),
        "hub-tilts": array_of(hubs.tilts),
    }


def _region_arrays(view: View, center: Tensor, columns: list[float]) -> dict[str, Array]:
    return {"center": array_of(center), "column": np.array(columns)} if view.free_inputs else {}
