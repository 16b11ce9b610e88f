"""From any multipliers to a proven bound: the diagonal of C and the levels are chosen again, the rest is clipped."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import torch
from scipy.linalg.lapack import dpotrf, dpotrs
from scipy.optimize import minimize, minimize_scalar
from torch import Tensor

from certify.bounds.proof import DoublyNonnegative, ProductMultipliers
from certify.bounds.rounding import gamma
from certify.bounds.rows.relaxations.direction_region import (
    SMALLEST_REACH,
    DirectionRegion,
    direction_region,
)
from certify.bounds.rows.relaxations.doubly_nonnegative.products import (
    MARGINS,
    ProductForm,
    is_nonnegative,
    product_form,
    sign_patterns,
)
from certify.bounds.stated_arrays import Array, array_of
from certify.problem import Rows

# Accuracy of the logarithms of the levels, which only costs tightness.
ACCURACY = 1e-4
# Room between a tilt and its height, relative, so that every checker agrees.
TILT_MARGIN = 1e-12
# Largest shift tried, over the smallest that makes K_gg positive semidefinite or the size of K_gg.
LARGEST_SHIFT = 1e3
# Levels beyond are none.
LARGEST_LOGARITHM = 600.0


@np.errstate(all="ignore")
def doubly_nonnegative_upper(form: Rows, scores: Tensor, proof: DoublyNonnegative) -> tuple[float, DoublyNonnegative]:
    """A proven upper bound on max |Sᵀσ(H u)| with the multipliers that show it; +inf if none is proven.

    Args:
        form: H and σ.
        scores: S, (N, m) float64; its columns must sum to zero exactly where a bias is free.
        proof: any finite numbers; N is clipped at 0, C is shifted on its diagonal and the levels are found again.
    """
    m, split = scores.shape[1], proof.signs[0].heights.shape[2]
    if form.view.free_inputs and any(math.fsum(column) != 0 for column in scores.T.tolist()):
        return math.inf, proof
    upper, found = 0.0, []
    for pattern, own in zip(sign_patterns(m, split).to(scores), proof.signs, strict=True):
        bound, used = _sign_upper(form, pattern * scores, own, proof.center)
        upper = max(upper, bound)
        found.append(used)
    return upper, DoublyNonnegative(tuple(found), proof.center)


def _sign_upper(
    form: Rows, scores: Tensor, own: ProductMultipliers, center: Tensor
) -> tuple[float, ProductMultipliers]:
    # The levels of u and of a free bias are told apart where that is scaled to the reach of the rows.
    region, m = direction_region(form.view, center, 1.0), scores.shape[1]
    clipped = _clipped(own)
    base = product_form(region, form.slopes, scores, clipped)
    whole = torch.cat([base.rim.flatten(), base.core.flatten(), base.products.flatten()])
    if not (bool(torch.isfinite(whole).all()) and math.isfinite(base.error)):
        return math.inf, own
    shift, (alpha, beta, bias) = _searched(base, region, m, form.view.free_inputs)
    if not math.isfinite(alpha + beta + bias):
        return math.inf, own
    cross = clipped.cross.clone()
    cross.diagonal().sub_(shift)
    shifted = replace(clipped, cross=cross, ratio=bias / beta if form.view.free_inputs else 1.0)
    region = direction_region(form.view, center, shifted.ratio)
    built = product_form(region, form.slopes, scores, shifted)
    size = abs(alpha) + abs(beta)
    for margin in MARGINS:
        levels = alpha + margin * size, max(beta + margin * size, 0.0)
        if is_nonnegative(built, m, levels):
            spread = region.radius_squared * levels[1]
            upper = levels[0] + spread + gamma(8) * (abs(levels[0]) + spread)
            return max(upper, 0.0), replace(shifted, levels=levels)
    return math.inf, own


def _clipped(own: ProductMultipliers) -> ProductMultipliers:
    """Nonnegative where products are, and symmetric."""
    cross = own.cross.clamp_min(0)
    cross.diagonal().copy_(own.cross.diagonal())
    both, none = (values.clamp_min(0) / 2 + values.clamp_min(0).T / 2 for values in (own.both, own.none))
    clipped = replace(own, both=both, cross=cross, none=none)
    if own.tilts is None:
        return replace(clipped, heights=own.heights.clamp_min(0))
    lengths = torch.linalg.vector_norm(own.tilts, dim=2, keepdim=True) * (1 + TILT_MARGIN) + SMALLEST_REACH
    return replace(clipped, heights=torch.maximum(own.heights, lengths))


def _searched(
    base: ProductForm, region: DirectionRegion, outputs: int, free: int
) -> tuple[float, tuple[float, float, float]]:
    """A shift δ of the diagonal of C and levels with a small sum, as far as floating point tells.

    δ adds 2δ I to K_gg and −δ XᵀX/2 to K_uu. Then K ⪰ 0 is a matter of the Schur complement over (v, u).
    """
    values, vectors = torch.linalg.eigh(base.products)
    rim, gram = vectors.T @ base.rim, torch.zeros_like(base.core)
    gram[outputs:, outputs:] = region.inputs.T @ region.inputs / 2
    scale = float(values.abs().max()) or 1.0
    least = max(-float(values[0]) / 2, 0.0) + 1e-12 * scale

    def shift(logarithm: float) -> float:
        return least * (1 + math.exp(logarithm))

    def levels(logarithm: float) -> tuple[float, float, float]:
        lifted = (values + 2 * shift(logarithm))[:, None]
        return _levels(array_of(base.core - shift(logarithm) * gram - rim.T @ (rim / lifted)), outputs, free)

    bounds = math.log(1e-6), math.log(max(LARGEST_SHIFT, scale / least))
    options = {"xatol": 1e-2}
    found = minimize_scalar(lambda at: sum(levels(at)), bounds=bounds, method="bounded", options=options)
    return shift(float(found.x)), levels(float(found.x))


def _levels(matrix: Array, outputs: int, free: int) -> tuple[float, float, float]:
    """Levels α of v, β of u and γ of a free bias with diag(α, β, γ) + the matrix ⪰ 0 and a small α + β + γ."""
    corner, across, rest = matrix[:outputs, :outputs], matrix[outputs:, :outputs], matrix[outputs:, outputs:]
    place = np.arange(len(rest)) >= len(rest) - free

    def alpha(beta: float, bias: float) -> float:
        factor, failed = dpotrf(rest + np.diag(np.where(place, bias, beta)), lower=1)
        if failed:
            return math.inf
        # Not dtrtrs: OpenBLAS starts threads for it at any size.
        solved, _ = dpotrs(factor, across, lower=1)
        return float(np.linalg.eigvalsh(across.T @ solved - corner)[-1])

    def levels(logarithms: Array) -> tuple[float, float]:
        beta, *bias = (math.exp(min(value, LARGEST_LOGARITHM)) for value in logarithms)
        return beta, sum(bias)

    def total(logarithms: Array) -> float:
        return alpha(*levels(logarithms)) + sum(levels(logarithms))

    # A uniform level serves; from there on each finds its own.
    uniform = max(-float(np.linalg.eigvalsh(matrix)[0]), SMALLEST_REACH)
    start = np.full(1 + free, math.log(2 * uniform))
    options = {"xatol": ACCURACY, "fatol": math.inf, "maxfev": 60 * (1 + free)}
    found = levels(minimize(total, start, method="Nelder-Mead", options=options).x)
    return alpha(*found), *found
