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
    """For both signs of q: [[T − M, −lin/2], [−linᵀ/2, U − k − τ − τ' (ρ − 1)]] ⪰ 0, which bounds the maximum by U ≥ 0.

    T is τ but for τ' ≥ 0 of a free column. It is enough to look at |x| = 1, u = x or (x, β/κ), as f is homogeneous.
    """
    arrays, real = proof.arrays, arithmetic.real
    require(form.scores.shape[1] == 1, "majorant-outputs", "a scalar majorant serves one output")
    require(bool((arrays["levels"][:, 1:] >= 0).all()), "majorant-levels", "τ' must be nonnegative")
    for index, scores in enumerate((-form.scores[:, 0], form.scores[:, 0])):
        region = region_of(form, proof, index)
        curvatures, slopes, tilts, axes = (arrays[name][index] for name in ("curvatures", "slopes", "tilts", "axes"))
        axes = np.pad(axes, ((0, 0), (0, int(form.free))))
        linear, quadratic, constant = _majorant(region, scores, (curvatures, slopes), real(tilts), real(axes))
        levels, others = arrays["levels"][index], region.inputs.shape[1] - form.free
        diagonal = np.diag(np.append(np.full(others, levels[0]), levels[1:]))
        rest = real(proof.upper) - constant - real(levels[0]) - ((region.radius - 1.0) * levels[1:]).sum()
        half = (linear * -0.5)[:, None]
        if not arithmetic.proves_semidefinite(bordered(rest.reshape(1, 1), half, real(diagonal) - quadratic)):
            return False
    return True


def vector_majorant_holds(form: Form, proof: Proof, arithmetic: Arithmetic) -> bool:
    """N_j ⪰ (1 + 1/μ) lin linᵀ + 4 (1 + μ) k M for both signs of every output, and U² I ⪰ ρ Σ N_j.

    Without w a majorant holds on every scale, so (Σ q σ)₊² ≤ (lin·u + 2 √(k uᵀMu))², at most uᵀ of the right side.
    """
    arrays, real = proof.arrays, arithmetic.real
    region = region_of(form, proof, 0)
    untilted = [real(np.zeros(shape)) for shape in ((len(arrays["curvatures"][0]), 0), (0, region.inputs.shape[1]))]
    require(bool((arrays["mixings"] > 0).all()), "majorant-mixings", "μ must be positive")
    total = real(np.zeros_like(arrays["envelopes"][0]))
    for j, envelope in enumerate(arrays["envelopes"]):
        symmetric = np.tril(envelope) + np.tril(envelope, -1).T
        for index, scores in enumerate((-form.scores[:, j], form.scores[:, j])):
            curvatures, slopes = arrays["curvatures"][index, :, j], arrays["slopes"][index, :, j]
            linear, quadratic, constant = _majorant(region, scores, (curvatures, slopes), *untilted)
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
    region: Region, scores: Reals, multipliers: tuple[Array, Array], tilts: Reals, axes: Reals
) -> tuple[Reals, Reals, Reals]:
    """Lin (D,), M (D, D) and k from p, g (N,), C (N, K) and B (K, D); rows with x̃ = 0 contribute nothing."""
    inputs, (curvatures, slopes) = region.inputs, multipliers
    require(bool((curvatures >= 0).all()), "majorant-curvatures", "p must be nonnegative")
    real = inputs.of
    live: Mask = np.asarray(~inputs.is_zero.all(1))
    bent = region.activation.gap(scores)
    # a = q + max(−q, |g| + |w|).
    lengths = (tilts @ axes).row_norms().only(np.asarray(~tilts.is_zero.all(1)))
    convex = (bent + real(slopes).absolute() + lengths).maximum(0.0).only(live)
    # Any p > 0 will do; where none is given, the one that touches a|t|/2 at |x̃|. None is needed where a = 0.
    touching = convex.high / (4 * inputs.row_norms().high) + 2.0**-200
    curved = live & ~convex.is_zero
    used = np.where(curved, np.where(curvatures > 0, curvatures, touching), 0.0)
    safe = np.where(curved, used, 1.0)
    constant = (convex * convex / (real(safe) * 16.0)).sum()
    weights = (bent - slopes) * 0.5
    if region.activation.below != 0.0:
        weights = weights + scores * region.activation.below
    linear = inputs.T @ weights.only(live)
    tilted = (inputs.T @ tilts) @ axes * 0.25
    return linear, inputs.T @ (real(used)[:, None] * inputs) - (tilted + tilted.T), constant


def bordered(corner: Reals, rim: Reals, rest: Reals) -> Reals:
    """[[corner, rimᵀ], [rim, rest]]."""
    return corner.joined([corner.joined([corner, rim.T], 1), corner.joined([rim, rest], 1)], 0)
