"""Polar of a kink by quadratic majorants: any multipliers p ≥ 0, g and w = C B prove a bound.

With q = a − b, a, b ≥ 0, and b ≥ |g| + |w|: a|t|/2 ≤ p t² + a²/(16 p) and b|t| ≥ g t + (w·u) t, hence
    Σ q_i relu(t_i) = Σ q_i t_i/2 + Σ q_i |t_i|/2 ≤ lin·u + uᵀ M u + k,   t = X̃ u,
    lin = X̃ᵀ(q − g)/2,  M = X̃ᵀ diag(p) X̃ − (X̃ᵀW + WᵀX̃)/4,  k = Σ a_i²/(16 p_i),  b = max(−q, |g| + |w|),  a = q + b.
A kink is σ(t) = (above − below) relu(t) + below t: q is (above − below) times the scores S, lin gains below X̃ᵀS.

Region: |u|² ≤ ρ = 1, X̃ = H. With a free column t_i = (h_i − m)·x + β, |x| ≤ 1, and 1ᵀS = 0, β beyond ± B, B = max
|h_i − m|, changes nothing; so X̃ = [H − m, κ], u = (x, β/κ), ρ = 1 + (B/κ)², for any m and κ > 0; w is zero at β.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from certify.verify.forms.form import Form, with_column
from certify.verify.proofs.hubs import Hubs, hub_sides, hub_terms, hubs_of, padded
from certify.verify.proofs.proof import Proof
from certify.verify.reals import Arithmetic, Array, Mask, Reals
from certify.verify.rejection import require
from certify.verify.statement.activations import Kink, Square


class Region(NamedTuple):
    """X̃ (N, D), R (N,), ρ, and σ."""

    inputs: Reals
    reach: Reals
    radius: Reals
    activation: Kink


def scalar_majorant_holds(form: Form, proof: Proof, arithmetic: Arithmetic) -> bool:
    """For both signs of q: diag(U − τ − τ' (ρ − 1), T, 0) − F ⪰ 0 over (1, u, s), which bounds the maximum by U ≥ 0.

    T is τ but for τ' ≥ 0 of a free column. It is enough to look at |x| = 1, u = x or (x, β/κ), as f is homogeneous.
    Without hubs F = [[k, linᵀ/2], [lin/2, M]].
    """
    arrays, real = proof.arrays, arithmetic.real
    require(form.scores.shape[1] == 1, "majorant-outputs", "a scalar majorant serves one output")
    require(bool((arrays["levels"][:, 1:] >= 0).all()), "majorant-levels", "τ' must be nonnegative")
    for index, scores in enumerate((-form.scores[:, 0], form.scores[:, 0])):
        region = region_of(form, proof, index)
        curvatures, slopes, tilts, axes = (arrays[name][index] for name in ("curvatures", "slopes", "tilts", "axes"))
        axes = np.pad(axes, ((0, 0), (0, int(form.free))))
        hubs = hubs_of(proof, index, form.free, real)
        whole = _majorant(region, scores, (curvatures, slopes), real(tilts), real(axes), hubs)
        levels, others = arrays["levels"][index], region.inputs.shape[1] - form.free
        diagonal = np.concatenate([[0.0], np.full(others, levels[0]), levels[1:]])
        diagonal = np.diag(np.append(diagonal, np.zeros(whole.shape[0] - len(diagonal))))
        corner = np.zeros_like(diagonal)
        corner[0, 0] = 1.0
        rest: Reals = (real(proof.upper) - real(levels[0]) - ((region.radius - 1.0) * levels[1:]).sum()).reshape(1, 1)
        stated: Reals = rest * corner + diagonal
        if not arithmetic.proves_semidefinite(stated - whole):
            return False
    return True


def vector_majorant_holds(form: Form, proof: Proof, arithmetic: Arithmetic) -> bool:
    """N_j ⪰ (1 + 1/μ) lin linᵀ + 4 (1 + μ) k M for both signs of every output, and U² I ⪰ ρ Σ N_j.

    Without w a majorant holds on every scale, so (Σ q σ)₊² ≤ (lin·u + 2 √(k uᵀMu))², at most uᵀ of the right side.
    """
    arrays, real = proof.arrays, arithmetic.real
    region = region_of(form, proof, 0)
    tilts, axes = real(np.zeros((len(arrays["curvatures"][0]), 0))), real(np.zeros((0, region.inputs.shape[1])))
    require(bool((arrays["mixings"] > 0).all()), "majorant-mixings", "μ must be positive")
    total = real(np.zeros_like(arrays["envelopes"][0]))
    for j, envelope in enumerate(arrays["envelopes"]):
        symmetric = np.tril(envelope) + np.tril(envelope, -1).T
        for index, scores in enumerate((-form.scores[:, j], form.scores[:, j])):
            curvatures, slopes = arrays["curvatures"][index, :, j], arrays["slopes"][index, :, j]
            whole = _majorant(region, scores, (curvatures, slopes), tilts, axes, None)
            linear, quadratic, constant = whole[1:, 0] * 2.0, whole[1:, 1:], whole[0, 0]
            mixing = real(arrays["mixings"][index, j])
            outer = linear[:, None] * linear[None, :] * (real(1.0) / mixing + 1.0)
            rest = real(symmetric) - outer - quadratic * (constant * (mixing + 1.0) * 4.0)
            if not arithmetic.proves_semidefinite(rest):
                return False
        total = total + symmetric
    return arithmetic.dominates(real(proof.upper) * proof.upper, total * region.radius)


def region_of(form: Form, proof: Proof, index: int) -> Region:
    """X̃, R and ρ, with the column of the given index where a bias is free."""
    activation = form.activation
    if isinstance(activation, Square):
        raise TypeError("majorants serve kinks")
    if not form.free:
        return Region(form.rows, form.rows.row_norms(), form.rows.of(1.0), activation)
    column = float(proof.arrays["column"][index])
    require(column > 0, "majorant-column", f"κ = {column!r} must be positive")
    centered = form.rows - proof.arrays["center"]
    norms = centered.row_norms()
    reach = norms.of(max(float(norms.high.max()), 0.0))
    share = reach / column
    return Region(with_column(centered, norms.of(column)), norms + reach, share * share + 1.0, activation)


def _majorant(
    region: Region, scores: Reals, multipliers: tuple[Array, Array], tilts: Reals, axes: Reals, hubs: Hubs | None
) -> Reals:
    """F from p, g (N,), C (N, K), B (K, D) and hubs; rows with x̃ = 0 contribute nothing."""
    inputs, (curvatures, slopes) = region.inputs, multipliers
    require(bool((curvatures >= 0).all()), "majorant-curvatures", "p must be nonnegative")
    real = inputs.of
    live: Mask = np.asarray(~inputs.is_zero.all(1))
    bent, tilted = region.activation.gap(scores), tilts @ axes
    if hubs is None:
        # a = q + max(−q, |g| + |w|).
        lengths = tilted.row_norms().only(np.asarray(~tilts.is_zero.all(1)))
        sides = (bent + real(slopes).absolute() + lengths).maximum(0.0)[:, None]
    else:
        sides = hub_sides(hubs, bent, slopes, tilted, tilts, axes)
    sides = sides.only(np.broadcast_to(live[:, None], sides.shape))
    # Any p > 0 will do; where none is given, the one that touches a|t|/2 at |x̃|. None is needed where a = 0.
    touching = np.abs(sides[:, 0].high) / (4 * inputs.row_norms().high) + 2.0**-200
    curved: Mask = np.asarray(~sides.is_zero.all(1))
    used = np.where(curved, np.where(curvatures > 0, curvatures, touching), 0.0)
    safe = np.where(curved, used, 1.0)
    outer = sides.T @ (sides / (real(safe) * 16.0)[:, None])
    weights = (bent - slopes) * 0.5
    if region.activation.below != 0.0:
        weights = weights + scores * region.activation.below
    linear = (inputs.T @ weights.only(live))[:, None] * 0.5
    turned = (inputs.T @ tilts) @ axes * 0.25
    quadratic = inputs.T @ (real(used)[:, None] * inputs) - (turned + turned.T)
    if hubs is None:
        return bordered(outer, linear, quadratic)
    half, terms = hub_terms(hubs, inputs)
    size = half.shape[0]
    linear, wide = half + padded(linear, size), padded(padded(quadratic, size).T, size)
    return outer + bordered(real(np.zeros((1, 1))), linear, terms + wide)


def bordered(corner: Reals, rim: Reals, rest: Reals) -> Reals:
    """[[corner, rimᵀ], [rim, rest]]."""
    return corner.joined([corner.joined([corner, rim.T], 1), corner.joined([rim, rest], 1)], 0)
