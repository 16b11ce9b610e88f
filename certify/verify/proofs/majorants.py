"""ReLU polar by quadratic majorants: any multipliers p, c ≥ 0 and g prove a bound.

With q = a − b, a, b ≥ 0, |t| ≤ R and b ≥ |g| + R c: a|t|/2 ≤ p t² + a²/(16 p) and b|t| ≥ g t + c t², hence
    Σ q_i relu(t_i) = Σ q_i t_i/2 + Σ q_i |t_i|/2 ≤ lin·u + uᵀ M u + k,   t = X̃ u,
    lin = X̃ᵀ(q − g)/2,   M = X̃ᵀ diag(p − c/2) X̃,   k = Σ a_i²/(16 p_i),   b = max(−q, |g| + R c),   a = q + b.

Region: |u|² ≤ ρ = 1, X̃ = H, R_i = |h_i|. With a free bias t_i = (x_i − m)·w + β and Σ q_i = 0, β beyond ± B, B = max
|x_i − m|, changes nothing; so X̃ = [X − m, κ], u = (w, β/κ), ρ = 1 + (B/κ)², R_i = |x_i − m| + B, for any m and κ > 0.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from certify.verify.statement.certificate import Certificate
from certify.verify.reals import Arithmetic, Array, Mask, Reals
from certify.verify.rejection import require

Region = tuple[Reals, Reals, Reals]
Majorant = tuple[Reals, Reals, Reals]


def scalar_majorant_holds(certificate: Certificate, arithmetic: Arithmetic) -> bool:
    """For both signs of q: [[τ I − M, −lin/2], [−linᵀ/2, U − k − ρ τ]] ⪰ 0, which bounds the maximum by U."""
    arrays, real = certificate.arrays, arithmetic.real
    require(arrays["A"].shape[1] == 1, "majorant-outputs", "a scalar majorant serves one output")
    require(bool((arrays["levels"] >= 0).all()), "majorant-levels", "τ must be nonnegative")
    for index, sign in enumerate((-1.0, 1.0)):
        region = _region(certificate, index, real)
        own = (arrays["curvatures"][index], arrays["slopes"][index], arrays["caps"][index])
        linear, quadratic, constant = _majorant(region, sign * arrays["A"][:, 0], *own)
        level = float(arrays["levels"][index])
        rest = real(certificate.polar_upper) - constant - region[2] * level
        if not arithmetic.proves_semidefinite(_bordered(real(level), quadratic, linear * 0.5, rest)):
            return False
    return True


def vector_majorant_holds(certificate: Certificate, arithmetic: Arithmetic) -> bool:
    """N_j ⪰ (1 + 1/κ) lin linᵀ + 4 (1 + κ) k M for both signs of every output, and U² I ⪰ ρ Σ N_j.

    Without c a majorant holds on every scale, so (Σ q relu)₊² ≤ (lin·u + 2 √(k uᵀMu))², at most uᵀ of the right side.
    """
    arrays, real = certificate.arrays, arithmetic.real
    region = _region(certificate, 0, real)
    require(bool((arrays["mixings"] > 0).all()), "majorant-mixings", "κ must be positive")
    total = real(np.zeros_like(arrays["envelopes"][0]))
    for j, envelope in enumerate(arrays["envelopes"]):
        symmetric = np.tril(envelope) + np.tril(envelope, -1).T
        for index, sign in enumerate((-1.0, 1.0)):
            own = (arrays["curvatures"][index, :, j], arrays["slopes"][index, :, j])
            linear, quadratic, constant = _majorant(region, sign * arrays["A"][:, j], *own, np.zeros_like(own[0]))
            mixing = real(arrays["mixings"][index, j])
            outer = linear[:, None] * linear[None, :] * (real(1.0) / mixing + 1.0)
            if not arithmetic.proves_semidefinite(
                real(symmetric) - outer - quadratic * (constant * (mixing + 1.0) * 4.0)
            ):
                return False
        total = total + symmetric
    return arithmetic.dominates(real(certificate.polar_upper) * certificate.polar_upper, total * region[2])


def _region(certificate: Certificate, index: int, real: Callable[[npt.ArrayLike], Reals]) -> Region:
    """X̃ (n, D), R (n,) and ρ."""
    inputs = real(certificate.arrays["X"])
    if not certificate.free_hidden:
        if certificate.hidden_bias == "penalized":
            inputs = _with_column(inputs, 1.0)
        return inputs, inputs.row_norms(), real(1.0)
    column = float(certificate.arrays["column"][index])
    require(column > 0, "majorant-column", f"κ = {column!r} must be positive")
    centered = inputs - certificate.arrays["center"]
    norms = centered.row_norms()
    reach = real(max(float(norms.high.max()), 0.0))
    share = reach / column
    return _with_column(centered, column), norms + reach, share * share + 1.0


def _with_column(inputs: Reals, value: float) -> Reals:
    return inputs.joined([inputs, inputs.of(np.full((inputs.shape[0], 1), value))], 1)


def _majorant(region: Region, scores: Array, curvatures: Array, slopes: Array, caps: Array) -> Majorant:
    """Lin (D,), M (D, D) and k; samples with x̃ = 0 contribute nothing."""
    inputs, reach, _ = region
    require(bool((caps >= 0).all()), "majorant-caps", "c must be nonnegative")
    real = inputs.of
    live: Mask = np.asarray(~inputs.is_zero.all(1))
    convex = (real(scores) + real(-scores).maximum(real(slopes).absolute() + reach * caps)).only(live)
    require(bool((curvatures >= 0).all()), "majorant-curvatures", "p must be nonnegative")
    # Any p > 0 will do; where none is given, the one that touches a|t|/2 at R. None is needed where a = 0.
    touching = convex.high / (4 * reach.high) + 2.0**-200
    curved = live & ~convex.is_zero
    used = np.where(curved, np.where(curvatures > 0, curvatures, touching), 0.0)
    safe = np.where(curved, used, 1.0)
    constant = (convex * convex / (real(safe) * 16.0)).sum()
    linear = inputs.T @ ((real(scores) - slopes) * 0.5).only(live)
    weights = (real(used) - real(caps) * 0.5).only(live)
    return linear, inputs.T @ (weights[:, None] * inputs), constant


def _bordered(level: Reals, quadratic: Reals, half: Reals, corner: Reals) -> Reals:
    """[[τ I − M, −half], [−halfᵀ, corner]]."""
    identity: Array = np.eye(half.shape[0])
    top = level.joined([level * identity - quadratic, -half[:, None]], 1)
    bottom = level.joined([-half[None, :], corner.reshape(1, 1)], 1)
    return level.joined([top, bottom], 0)
