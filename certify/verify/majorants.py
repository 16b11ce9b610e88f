"""ReLU polar by quadratic majorants: any multipliers p, c ≥ 0 and g prove a bound.

With q = a − b, a, b ≥ 0, |t| ≤ R and b ≥ |g| + R c: a|t|/2 ≤ p t² + a²/(16 p) and b|t| ≥ g t + c t², hence
    Σ q_i relu(t_i) = Σ q_i t_i/2 + Σ q_i |t_i|/2 ≤ lin·u + uᵀ M u + k,   t = X̃ u,
    lin = X̃ᵀ(q − g)/2,   M = X̃ᵀ diag(p − c/2) X̃,   k = Σ a_i²/(16 p_i),   b = max(−q, |g| + R c),   a = q + b.

Region: |u|² ≤ ρ = 1, X̃ = H, R_i = |h_i|. With a free bias t_i = (x_i − m)·w + β and Σ q_i = 0, β beyond ± B, B = max
|x_i − m|, changes nothing; so X̃ = [X − m, κ], u = (w, β/κ), ρ = 1 + (B/κ)², R_i = |x_i − m| + B, for any m and κ > 0.
"""

from __future__ import annotations

import numpy as np

from certify.verify.certificate import Certificate
from certify.verify.enclosure import Array, Enclosure, absolute, maximum, row_norms
from certify.verify.rejection import require
from certify.verify.semidefinite import dominates, proves_semidefinite

Region = tuple[Enclosure, Enclosure, Enclosure]
Majorant = tuple[Enclosure, Enclosure, Enclosure]


def scalar_majorant_holds(certificate: Certificate) -> bool:
    """For both signs of q: [[τ I − M, −lin/2], [−linᵀ/2, U − k − ρ τ]] ⪰ 0, which bounds the maximum by U."""
    arrays = certificate.arrays
    require(arrays["A"].shape[1] == 1, "majorant-outputs", "a scalar majorant serves one output")
    require(bool((arrays["levels"] >= 0).all()), "majorant-levels", "τ must be nonnegative")
    for index, sign in enumerate((-1.0, 1.0)):
        region = _region(certificate, index)
        own = (arrays["curvatures"][index], arrays["slopes"][index], arrays["caps"][index])
        linear, quadratic, constant = _majorant(region, sign * arrays["A"][:, 0], *own)
        level = float(arrays["levels"][index])
        rest = Enclosure(certificate.polar_upper) - constant - region[2] * level
        if not proves_semidefinite(_bordered(Enclosure(level), quadratic, linear * 0.5, rest)):
            return False
    return True


def vector_majorant_holds(certificate: Certificate) -> bool:
    """N_j ⪰ (1 + 1/κ) lin linᵀ + 4 (1 + κ) k M for both signs of every output, and U² I ⪰ ρ Σ N_j.

    Without c a majorant holds on every scale, so (Σ q relu)₊² ≤ (lin·u + 2 √(k uᵀMu))², at most uᵀ of the right side.
    """
    arrays = certificate.arrays
    region = _region(certificate, 0)
    require(bool((arrays["mixings"] > 0).all()), "majorant-mixings", "κ must be positive")
    total = Enclosure(np.zeros_like(arrays["envelopes"][0]))
    for j, envelope in enumerate(arrays["envelopes"]):
        symmetric = np.tril(envelope) + np.tril(envelope, -1).T
        for index, sign in enumerate((-1.0, 1.0)):
            own = (arrays["curvatures"][index, :, j], arrays["slopes"][index, :, j])
            linear, quadratic, constant = _majorant(region, sign * arrays["A"][:, j], *own, np.zeros_like(own[0]))
            mixing = Enclosure(arrays["mixings"][index, j])
            outer = linear[:, None] * linear[None, :] * (Enclosure(1.0) / mixing + 1.0)
            if not proves_semidefinite(Enclosure(symmetric) - outer - quadratic * (constant * (mixing + 1.0) * 4.0)):
                return False
        total = total + symmetric
    return dominates(Enclosure(certificate.polar_upper) * certificate.polar_upper, total * region[2])


def _region(certificate: Certificate, index: int) -> Region:
    """X̃ (n, D), R (n,) and ρ."""
    inputs = Enclosure(certificate.arrays["X"])
    if not certificate.free_hidden:
        if certificate.hidden_bias == "penalized":
            inputs = _with_column(inputs, 1.0)
        return inputs, row_norms(inputs), Enclosure(1.0)
    column = float(certificate.arrays["column"][index])
    require(column > 0, "majorant-column", f"κ = {column!r} must be positive")
    centered = inputs - certificate.arrays["center"]
    norms = row_norms(centered)
    reach = Enclosure(max(float(norms.high.max()), 0.0))
    share = reach / column
    return _with_column(centered, column), norms + reach, share * share + 1.0


def _with_column(inputs: Enclosure, value: float) -> Enclosure:
    column = np.full((len(inputs.mid), 1), value)
    return Enclosure(np.concatenate([inputs.mid, column], 1), np.concatenate([inputs.rad, 0 * column], 1))


def _majorant(region: Region, scores: Array, curvatures: Array, slopes: Array, caps: Array) -> Majorant:
    """Lin (D,), M (D, D) and k; samples with x̃ = 0 contribute nothing."""
    inputs, reach, _ = region
    require(bool((caps >= 0).all()), "majorant-caps", "c must be nonnegative")
    live = (inputs.mid != 0).any(1) | (inputs.rad != 0).any(1)
    convex = (Enclosure(scores) + maximum(Enclosure(-scores), absolute(Enclosure(slopes)) + reach * caps)).only(live)
    require(bool((curvatures >= 0).all()), "majorant-curvatures", "p must be nonnegative")
    # Any p > 0 will do; where none is given, the one that touches a|t|/2 at R. None is needed where a = 0.
    touching = convex.high / (4 * reach.high) + 2.0**-200
    curved = live & ((convex.mid != 0) | (convex.rad != 0))
    used = np.where(curved, np.where(curvatures > 0, curvatures, touching), 0.0)
    safe = np.where(curved, used, 1.0)
    constant = (convex * convex / (Enclosure(safe) * 16.0)).sum()
    linear = inputs.T @ ((Enclosure(scores) - slopes) * 0.5).only(live)
    weights = (Enclosure(used) - Enclosure(caps) * 0.5).only(live)
    return linear, inputs.T @ (weights[:, None] * inputs), constant


def _bordered(level: Enclosure, quadratic: Enclosure, half: Enclosure, corner: Enclosure) -> Enclosure:
    """[[τ I − M, −half], [−halfᵀ, corner]]."""
    d = len(half.mid)
    top = level * np.eye(d) - quadratic
    mid, rad = np.zeros((d + 1, d + 1)), np.zeros((d + 1, d + 1))
    mid[:d, :d], mid[d, :d], mid[d, d] = top.mid, -half.mid, corner.mid
    rad[:d, :d], rad[d, :d], rad[d, d] = top.rad, half.rad, corner.rad
    return Enclosure(mid, rad)
