"""Losses l(Z) = Σ ω l0(z, y): value, conjugate and domain of the conjugate, each enclosed.

l*(D) = Σ ω l0*(D/ω, y) with D = s A (Rockafellar 1970, Theorem 16.1). Where ω = 0, D must vanish and nothing is due.
The domain of l0*(·, y) is an interval [−lo, hi] with lo, hi ≥ 0; cross-entropy also needs zero row sums.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, final

import numpy as np
import numpy.typing as npt

from certify.verify.certificate import Certificate
from certify.verify.enclosure import Array, Enclosure, entropy, exponential, logarithm, maximum, softplus
from certify.verify.enclosure import absolute as size_of
from certify.verify.rejection import require

Terms = Callable[[Enclosure, Array, Enclosure], Enclosure]


@final
@dataclass(frozen=True, slots=True)
class Loss:
    """One loss.

    Attributes:
        targets: whether all targets are allowed.
        value: ω l0(Z, Y) from (Z, Y, ω).
        conjugate: ω l0*(D/ω, Y) from (D, Y, ω), for D in the domain and ω > 0.
        domain: lo and hi from Y; the domain is [−ω lo, ω hi].
        couples: whether an atom takes a row; then `mean` divides by n, and rows of D sum to zero.
    """

    targets: Callable[[Array], Any]
    value: Terms
    conjugate: Terms
    domain: Callable[[Array], tuple[Array, Array]]
    couples: bool = False


def _squared_domain(y: Array) -> tuple[Array, Array]:
    return np.full_like(y, np.inf), np.full_like(y, np.inf)


def _huber(z: Enclosure, y: Array, omega: Enclosure) -> Enclosure:
    # r²/2 for |r| ≤ 1, |r| − 1/2 beyond: with t = min(|r|, 1), t²/2 + max(|r| − 1, 0).
    size = size_of(z - y)
    inner = -maximum(-size, -np.ones_like(y))
    return omega * (inner * inner * 0.5 + maximum(size - 1.0, 0.0))


def _hinge(z: Enclosure, y: Array, omega: Enclosure) -> Enclosure:
    margin = maximum(-(z * y) + 1.0, 0.0)
    return omega * (margin * margin)


def _binary_entropy(p: Enclosure, omega: Enclosure) -> Enclosure:
    """Ω (xlog(p/ω) + xlog(1 − p/ω)) for 0 ≤ p ≤ ω."""
    share = p / omega
    return omega * (entropy(share) + entropy(-share + 1.0))


def _poisson_conjugate(dual: Enclosure, y: Array, omega: Enclosure) -> Enclosure:
    p = dual + omega * y
    return omega * entropy(p / omega) - p


def _cross_entropy(z: Enclosure, y: Array, omega: Enclosure) -> Enclosure:
    top = z.mid.max(1, keepdims=True)
    lse: Enclosure = (logarithm(exponential(z - top).sum(1)) + top[:, 0])[:, None]
    total = Enclosure(y).sum(1)[:, None]
    row = total * lse - (z * y).sum(1)[:, None]
    weighted: Enclosure = omega[:, :1] * row
    return weighted


def _cross_entropy_conjugate(dual: Enclosure, y: Array, omega: Enclosure) -> Enclosure:
    mass = omega * Enclosure(y).sum(1)[:, None]
    live = np.broadcast_to(y.sum(1, keepdims=True) > 0, y.shape)
    safe = mass.only(live) + np.where(live, 0.0, 1.0)
    return (mass * entropy((dual + omega * y) / safe)).only(live)


def _signs(y: Array) -> Any:  # noqa: ANN401
    return np.abs(y) == 1


LOSSES = {
    "mse": Loss(
        targets=np.isfinite,
        value=lambda z, y, omega: omega * ((z - y) * (z - y)),
        conjugate=lambda dual, y, omega: dual * dual / (omega * 4.0) + dual * y,
        domain=_squared_domain,
    ),
    "huber": Loss(
        targets=np.isfinite,
        value=_huber,
        conjugate=lambda dual, y, omega: dual * dual / (omega * 2.0) + dual * y,
        domain=lambda y: (np.ones_like(y), np.ones_like(y)),
    ),
    "binary-cross-entropy": Loss(
        targets=lambda y: (y >= 0) & (y <= 1),
        value=lambda z, y, omega: omega * (softplus(z) - z * y),
        conjugate=lambda dual, y, omega: _binary_entropy(dual + omega * y, omega),
        domain=lambda y: (y, 1 - y),
    ),
    "soft-margin": Loss(
        targets=_signs,
        value=lambda z, y, omega: omega * softplus(-(z * y)),
        conjugate=lambda dual, y, omega: _binary_entropy(-(dual * y), omega),
        domain=lambda y: (np.maximum(y, 0.0), np.maximum(-y, 0.0)),
    ),
    "squared-hinge": Loss(
        targets=_signs,
        value=_hinge,
        conjugate=lambda dual, y, omega: dual * dual / (omega * 4.0) + dual * y,
        domain=lambda y: (np.where(y > 0, np.inf, 0.0), np.where(y > 0, 0.0, np.inf)),
    ),
    "poisson": Loss(
        targets=lambda y: y >= 0,
        value=lambda z, y, omega: omega * (exponential(z) - z * y),
        conjugate=_poisson_conjugate,
        domain=lambda y: (y, np.full_like(y, np.inf)),
    ),
    "cross-entropy": Loss(
        targets=lambda y: (y >= 0) & (y.shape[1] >= 2),
        value=_cross_entropy,
        conjugate=_cross_entropy_conjugate,
        domain=lambda y: (y, np.full_like(y, np.inf)),
        couples=True,
    ),
}


@final
@dataclass(frozen=True, slots=True)
class BoundLoss:
    """A loss with its targets Y and weights ω, both (n, c)."""

    kind: Loss
    targets: Array
    omega: Enclosure
    live: npt.NDArray[np.bool_]

    def value(self, outputs: Enclosure) -> Enclosure:
        """l(Z)."""
        return self.kind.value(outputs, self.targets, self.omega).sum()

    def conjugate(self, dual: Enclosure) -> Enclosure:
        """l*(D) for D in the domain."""
        safe = self.omega.only(self.live) + np.where(self.live, 0.0, 1.0)
        return self.kind.conjugate(dual, self.targets, safe).only(self.live).sum()

    def require_domain(self, dual: Array, scale: float) -> None:
        """The real matrix s A lies in the domain of l*, exactly.

        Raises:
            Rejection: it does not, or this cannot be shown.
        """
        require(bool((dual[~self.live] == 0).all()), "dual-domain", "A is not zero where the loss has no weight")
        low, high = self.kind.domain(self.targets)
        scaled, weight = Enclosure(dual) * scale, self.omega.low * (1 - 2.0**-50)
        with np.errstate(invalid="ignore"):
            above = (dual >= 0) | (-scaled.low <= weight * low)
            below = (dual <= 0) | (scaled.high <= weight * high)
        inside = (above & below) | ~self.live
        worst = np.unravel_index(int(np.argmin(inside)), dual.shape)
        found = f"{int((~inside).sum())} entries, the first at {tuple(map(int, worst))}: {float(dual[worst])!r}"
        require(bool(inside.all()), "dual-domain", f"s A leaves the domain of the conjugate loss in {found}")
        if self.kind.couples:
            require(
                all(math.fsum(row) == 0 for row in dual.tolist()), "dual-row-sums", "a row of A does not sum to zero"
            )


def bind_loss(certificate: Certificate) -> BoundLoss:
    """The loss of a certificate, ω = observed · scale / denominator · sample weight.

    Raises:
        Rejection: unknown loss, or targets, weights or mask out of range.
    """
    require(certificate.loss in LOSSES, "loss", f"unknown loss {certificate.loss!r:.40}")
    kind, arrays = LOSSES[certificate.loss], certificate.arrays
    targets = arrays["Y"]
    require(bool(np.all(kind.targets(targets))), "targets", f"a target is not allowed by {certificate.loss}")
    require(certificate.scale > 0, "scale", f"the factor on the loss is {certificate.scale!r}")
    mask = arrays.get("mask", np.ones(targets.shape, np.uint8))
    weights = arrays.get("sample_weights", np.ones(len(targets)))
    require(bool((mask <= 1).all()) and not (kind.couples and "mask" in arrays), "mask", "not 0 or 1, or not allowed")
    require(bool((weights >= 0).all()), "sample-weights", "one is negative")
    count = len(targets) if kind.couples else int(mask.sum(dtype=np.int64))
    require(count > 0, "mask", "nothing is observed")
    unit = Enclosure(certificate.scale) / (float(count) if certificate.reduction == "mean" else 1.0)
    live = (mask > 0) & (weights[:, None] > 0)
    omega = (Enclosure(mask.astype(np.float64)) * (Enclosure(weights)[:, None] * unit)).only(live)
    return BoundLoss(kind, targets, omega, live)
