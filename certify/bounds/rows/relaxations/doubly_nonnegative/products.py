"""The quadratic form that a bound of the doubly nonnegative relaxation rests on, and its proof.

For |v| = |u| = 1, t = X u, z± = max(±t, 0), g = |t|/2 (so z± = g ± t/2) and Q = ±S the scores, vᵀQᵀσ(t) ≤ U if

    α|v|² + β|u|² − vᵀQᵀ(s₊ z₊ − s₋ z₋) − z₊ᵀP z₊ − 2 z₊ᵀC z₋ − z₋ᵀM z₋ − Σ z±·(h± v + W± u) ≥ 0   for all v, u, g

with P, M ≥ 0, C ≥ 0 off its diagonal, |W±| ≤ h±, β ≥ 0 and α + ρβ ≤ U: what is subtracted besides the pairing is
nonnegative there, since z ≥ 0, z₊ᵢz₋ᵢ = 0 and |u| ≤ v for one output, whose sign is that of Q (elsewhere h = 0, W = 0).
|u|² ≤ ρ for the u that count (`direction_region`); a free bias, last in u, is not among what W meets. The matrix K over
(v, u) and g of this form has the blocks

    K_gg = −(P + M + C + Cᵀ),   K_gv = −((s₊ − s₋) Q + h₊ + h₋)/2,   K_gu = −((P − M + Cᵀ − C) X + W₊ + W₋)/2,
    K_vv = α I,   K_uu = β I − Xᵀ(P + M − C − Cᵀ)X/4 − sym(Xᵀ(W₊ − W₋))/2,
    K_vu = −((s₊ + s₋) QᵀX + (h₊ − h₋)ᵀX)/4.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from certify.bounds.eigenvalue import is_positive_semidefinite
from certify.bounds.proof import ProductMultipliers
from certify.bounds.rounding import SLACK, gamma, norm_upper
from certify.bounds.rows.relaxations.direction_region import DirectionRegion
from certify.problem import Slopes

# Room above the levels that are needed, relative to their sum.
MARGINS = (1e-12, 1e-11, 1e-10, 1e-9, 1e-8, 1e-7, 1e-6, 1e-5)


@final
@dataclass(frozen=True, slots=True)
class ProductForm:
    """K without the levels.

    Attributes:
        products: K_gg, (N, N).
        rim: K_g(v,u), (N, m + D).
        core: K_(v,u)(v,u), (m + D, m + D).
        error: bound on the Frobenius norm of what rounding changed.
    """

    products: Tensor
    rim: Tensor
    core: Tensor
    error: float


def product_form(
    region: DirectionRegion, slopes: Slopes, scores: Tensor, multipliers: ProductMultipliers
) -> ProductForm:
    """The form for Q (N, m) and the multipliers of one sign; P and M are read as symmetric."""
    inputs, m = region.inputs, scores.shape[1]
    both, cross, none = multipliers.both, multipliers.cross, multipliers.none
    total, twist = both + none, cross + cross.T
    skew = both - none + cross.T - cross
    products, rim = -(total + twist), skew @ inputs
    core = inputs.new_zeros(m + inputs.shape[1], m + inputs.shape[1])
    spread = inputs.T @ ((total - twist) @ inputs)
    core[m:, m:] = spread / -4
    pairing = scores * (slopes.positive + slopes.negative)
    level = slopes.bend * scores
    heights = torch.nn.functional.pad(multipliers.heights, (0, m - multipliers.heights.shape[2]))
    pairing = pairing + (heights[0] - heights[1])
    level = level + heights.sum(0)
    slack = 2 * norm_upper(heights)
    if multipliers.tilts is not None:
        tilts = torch.nn.functional.pad(multipliers.tilts, (0, inputs.shape[1] - multipliers.tilts.shape[2]))
        rim = rim + tilts.sum(0)
        mixed = inputs.T @ (tilts[0] - tilts[1])
        core[m:, m:] -= (mixed + mixed.T) / 4
        slack += 2 * norm_upper(tilts)
    core[:m, m:] = pairing.T @ inputs / -4
    core[m:, :m] = core[:m, m:].T
    size = norm_upper(inputs)
    weight = norm_upper(both) + norm_upper(none) + 2 * norm_upper(cross)
    paired = norm_upper(pairing) + slack + norm_upper(level)
    magnitude = weight * (1 + size + size * size) + (paired + slack) * (1 + size)
    error = gamma(2 * len(inputs) + inputs.shape[1] + 40) * magnitude * SLACK
    return ProductForm(products, torch.cat([level, rim], 1) / -2, core, error)


def sign_patterns(outputs: int, split: int) -> Tensor:
    """The signs of v in every block, (2ʲ, m): those of its first j entries in all ways, 1 for what has none."""
    negative = (torch.arange(2**split)[:, None] >> torch.arange(outputs)) & (torch.arange(outputs) < split)
    return 1.0 - 2.0 * negative.to(torch.float64)


def is_nonnegative(form: ProductForm, outputs: int, levels: tuple[float, float]) -> bool:
    """Whether the form with levels (α, β) is proven nonnegative."""
    p, n = len(form.core), len(form.products)
    matrix = form.core.new_empty(p + n, p + n)
    matrix[:p, :p] = form.core
    matrix[p:, p:] = form.products
    matrix[p:, :p] = form.rim
    matrix[:p, p:] = form.rim.T
    diagonal = matrix.diagonal()
    diagonal[:outputs] += levels[0]
    diagonal[outputs:p] += levels[1]
    # Adding a level rounds each entry once.
    rounding = gamma(2) * math.sqrt(p) * (sum(map(abs, levels)) + float(form.core.diagonal().abs().max()))
    return is_positive_semidefinite(matrix, form.error + rounding * SLACK)
