"""Losses l(Z) = Σ ω l0(z, y): value, conjugate and domain of the conjugate, each enclosed.

l*(D) = Σ ω l0*(D/ω, y) with D = s A (Rockafellar 1970, Theorem 16.1). Where ω = 0, D must vanish and nothing is due.
The domain of l0*(·, y) is an interval [−lo, hi] with lo, hi ≥ 0; cross-entropy also needs zero row sums.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, final

import numpy as np

from certify.verify.reals import Array, Mask, Real, Reals
from certify.verify.rejection import require
from certify.verify.statement.certificate import Certificate

Terms = Callable[[Reals, Array, Reals], Reals]


def _unlimited(low: bool, high: bool) -> Callable[[Array], tuple[Mask, Mask]]:
    return lambda y: (np.full(y.shape, low), np.full(y.shape, high))


@final
@dataclass(frozen=True, slots=True)
class Loss:
    """One loss.

    Attributes:
        targets: whether all targets are allowed.
        value: ω l0(Z, Y) from (Z, Y, ω).
        conjugate: ω l0*(D/ω, Y) from (D, Y, ω), for D in the domain and ω > 0.
        domain: lo and hi from Y, where the domain [−ω lo, ω hi] ends.
        unlimited: from Y, where there is no lo, and where there is no hi.
        couples: whether an atom takes a row; then `mean` divides by n, and rows of D sum to zero.
    """

    targets: Callable[[Array], Any]
    value: Terms
    conjugate: Terms
    domain: Callable[[Reals], tuple[Reals, Reals]]
    unlimited: Callable[[Array], tuple[Mask, Mask]] = _unlimited(False, False)
    couples: bool = False


def _ends(low: float, high: float) -> Callable[[Reals], tuple[Reals, Reals]]:
    return lambda y: (y.of(np.full(y.shape, low)), y.of(np.full(y.shape, high)))


def _huber(z: Reals, y: Array, omega: Reals) -> Reals:
    # r²/2 for |r| ≤ 1, |r| − 1/2 beyond: with t = min(|r|, 1), t²/2 + max(|r| − 1, 0).
    size = (z - y).absolute()
    inner = -(-size).maximum(-1.0)
    return omega * (inner * inner * 0.5 + (size - 1.0).maximum(0.0))


def _hinge(z: Reals, y: Array, omega: Reals) -> Reals:
    margin = (-(z * y) + 1.0).maximum(0.0)
    return omega * (margin * margin)


def _binary_entropy(p: Reals, omega: Reals) -> Reals:
    """Ω (xlog(p/ω) + xlog(1 − p/ω)) for 0 ≤ p ≤ ω."""
    share = p / omega
    return omega * (share.entropy() + (-share + 1.0).entropy())


def _poisson_conjugate(dual: Reals, y: Array, omega: Reals) -> Reals:
    p = dual + omega * y
    return omega * (p / omega).entropy() - p


def _cross_entropy(z: Reals, y: Array, omega: Reals) -> Reals:
    top = z.near.max(1, keepdims=True)
    lse: Reals = ((z - top).exponential().sum(1).logarithm() + top[:, 0])[:, None]
    total = omega.of(y).sum(1)[:, None]
    return omega[:, :1] * (total * lse - (z * y).sum(1)[:, None])


def _cross_entropy_conjugate(dual: Reals, y: Array, omega: Reals) -> Reals:
    mass = omega * omega.of(y).sum(1)[:, None]
    live = np.broadcast_to(y.sum(1, keepdims=True) > 0, y.shape)
    safe = mass.only(live) + np.where(live, 0.0, 1.0)
    return (mass * ((dual + omega * y) / safe).entropy()).only(live)


def _signs(y: Array) -> Any:  # noqa: ANN401
    return np.abs(y) == 1


LOSSES = {
    "mse": Loss(
        targets=np.isfinite,
        value=lambda z, y, omega: omega * ((z - y) * (z - y)),
        conjugate=lambda dual, y, omega: dual * dual / (omega * 4.0) + dual * y,
        domain=_ends(0.0, 0.0),
        unlimited=_unlimited(True, True),
    ),
    "huber": Loss(
        targets=np.isfinite,
        value=_huber,
        conjugate=lambda dual, y, omega: dual * dual / (omega * 2.0) + dual * y,
        domain=_ends(1.0, 1.0),
    ),
    "binary-cross-entropy": Loss(
        targets=lambda y: (y >= 0) & (y <= 1),
        value=lambda z, y, omega: omega * (z.softplus() - z * y),
        conjugate=lambda dual, y, omega: _binary_entropy(dual + omega * y, omega),
        domain=lambda y: (y, -y + 1.0),
    ),
    "soft-margin": Loss(
        targets=_signs,
        value=lambda z, y, omega: omega * (-(z * y)).softplus(),
        conjugate=lambda dual, y, omega: _binary_entropy(-(dual * y), omega),
        domain=lambda y: (y.maximum(0.0), (-y).maximum(0.0)),
    ),
    "squared-hinge": Loss(
        targets=_signs,
        value=_hinge,
        conjugate=lambda dual, y, omega: dual * dual / (omega * 4.0) + dual * y,
        domain=_ends(0.0, 0.0),
        unlimited=lambda y: (y > 0, y <= 0),
    ),
    "poisson": Loss(
        targets=lambda y: y >= 0,
        value=lambda z, y, omega: omega * (z.exponential() - z * y),
        conjugate=_poisson_conjugate,
        domain=lambda y: (y, y.of(np.zeros(y.shape))),
        unlimited=_unlimited(False, True),
    ),
    "cross-entropy": Loss(
        targets=lambda y: (y >= 0) & (y.shape[1] >= 2),
        value=_cross_entropy,
        conjugate=_cross_entropy_conjugate,
        domain=lambda y: (y, y.of(np.zeros(y.shape))),
        unlimited=_unlimited(False, True),
        couples=True,
    ),
}


@final
@dataclass(frozen=True, slots=True)
class BoundLoss:
    """A loss with its targets Y and weights ω, both (n, c)."""

    kind: Loss
    targets: Array
    omega: Reals
    live: Mask
    real: Real

    def value(self, outputs: Reals) -> Reals:
        """l(Z)."""
        return self.kind.value(outputs, self.targets, self.omega).sum()

    def conjugate(self, dual: Reals) -> Reals:
        """l*(D) for D in the domain."""
        safe = self.omega.only(self.live) + np.where(self.live, 0.0, 1.0)
        return self.kind.conjugate(dual, self.targets, safe).only(self.live).sum()

    def require_domain(self, dual: Reals, scale: float) -> None:
        """The real matrix s A lies in the interval of every entry of the domain of l*, exactly.

        Raises:
            Rejection: it does not, or this cannot be shown.
        """
        require(bool(dual.is_zero[~self.live].all()), "dual-domain", "A is not zero where the loss has no weight")
        low, high = self.kind.domain(self.real(self.targets))
        no_low, no_high = self.kind.unlimited(self.targets)
        scaled, is_zero = dual * scale, dual.is_zero
        above = no_low | is_zero | (dual.low >= 0) | ((self.omega * low + scaled).low >= 0)
        below = no_high | is_zero | (dual.high <= 0) | ((self.omega * high - scaled).low >= 0)
        inside = (above & below) | ~self.live
        worst = np.unravel_index(int(np.argmin(inside)), dual.shape)
        found = f"{int((~inside).sum())} entries, the first at {tuple(map(int, worst))}: {float(dual.near[worst])!r}"
        require(bool(inside.all()), "dual-domain", f"s A leaves the domain of the conjugate loss in {found}")


def bind_loss(certificate: Certificate, real: Real) -> BoundLoss:
    """The loss of a certificate, ω = observed · scale / denominator · sample weight.

    Raises:
        Rejection: unknown loss, or targets, weights or mask out of range.
    """
    terms, arrays = certificate.problem.loss, certificate.arrays
    require(terms.name in LOSSES, "loss", f"unknown loss {terms.name!r:.40}")
    kind = LOSSES[terms.name]
    targets = arrays["Y"]
    require(bool(np.all(kind.targets(targets))), "targets", f"a target is not allowed by {terms.name}")
    require(terms.scale > 0, "scale", f"the factor on the loss is {terms.scale!r}")
    mask = arrays.get("mask", np.ones(targets.shape, np.uint8))
    weights = arrays.get("sample_weights", np.ones(len(targets)))
    require(bool((mask <= 1).all()) and not (kind.couples and "mask" in arrays), "mask", "not 0 or 1, or not allowed")
    require(bool((weights >= 0).all()), "sample-weights", "one is negative")
    count = len(targets) if kind.couples else int(mask.sum(dtype=np.int64))
    require(count > 0, "mask", "nothing is observed")
    unit = real(terms.scale) / (float(count) if terms.reduction == "mean" else 1.0)
    live = (mask > 0) & (weights[:, None] > 0)
    omega = (real(mask.astype(np.float64)) * (real(weights)[:, None] * unit)).only(live)
    return BoundLoss(kind, targets, omega, live, real)
