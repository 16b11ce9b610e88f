"""The two ends of a claim: the network's objective from above, and the dual value from below.

    minimize over all widths   l(Z) + penalty,   Z = σ(X W1ᵀ + 1 b1ᵀ) W2ᵀ + 1 b2ᵀ + X Sᵀ

Weak duality (Haeffele and Vidal 2017, Bach 2013): if D lies in dom l*, the columns of D sum to zero where a bias is
free, XᵀD = 0 where the skip is, and Ω°(−D) ≤ λ, then no network has an objective below −l*(D) − Σ |EᵀD|²/(2μ), the
sum over what is penalized outside the subnetworks: ones for b2, X for S, μ the weight decay.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy.typing as npt

from certify.verify.statement.certificate import Certificate
from certify.verify.statement.dual_point import DualPoint
from certify.verify.statement.losses import BoundLoss
from certify.verify.reals import Reals, sums_to_zero
from certify.verify.rejection import require

Real = Callable[[npt.ArrayLike], Reals]


def require_supported(certificate: Certificate) -> None:
    """The penalty has the degree of the subnetworks, and every penalized parameter has a penalty.

    Raises:
        Rejection: not so, or a free part that this version cannot check.
    """
    degrees = (2, 1) if certificate.family == "quadratic" else (1, 1)
    decay = certificate.penalty == "weight-decay"
    powers = () if decay else degrees
    matched = certificate.powers == powers and not (decay and certificate.family == "quadratic")
    require(matched and certificate.strength > 0, "degree", f"{certificate.penalty} {powers} is needed")
    outside = "penalized" in (certificate.output_bias, certificate.skip)
    require(decay or not outside, "ridge", "product-of-norms does not penalize an output bias or a skip")
    parts = (certificate.hidden_bias, certificate.skip, len(certificate.arrays["W1"]))
    alone = certificate.family != "single-layer" or (decay and parts == ("absent", "penalized", 0))
    require(alone, "single-layer", "needs weight decay on S, and neither hidden units nor a hidden bias")
    unbounded = certificate.family == "quadratic" and certificate.hidden_bias == "free"
    require(not unbounded, "unbounded-polar", "a free hidden bias under a square")


def objective(certificate: Certificate, loss: BoundLoss) -> Reals:
    """The objective of the network in the certificate."""
    return loss.value(_outputs(certificate, loss.real)) + _penalty(certificate, loss.real)


def _outputs(certificate: Certificate, real: Real) -> Reals:
    arrays = certificate.arrays
    inputs = real(arrays["X"])
    hidden = inputs @ arrays["W1"].T
    hidden = hidden + arrays["b1"] if "b1" in arrays else hidden
    match certificate.family:
        case "relu":
            hidden = hidden.maximum(0.0)
        case "quadratic":
            hidden = hidden * hidden
    outputs = hidden @ arrays["W2"].T
    outputs = outputs + arrays["b2"] if "b2" in arrays else outputs
    return outputs + inputs @ arrays["S"].T if "S" in arrays else outputs


def _penalty(certificate: Certificate, real: Real) -> Reals:
    arrays = certificate.arrays
    policies = {"b1": certificate.hidden_bias, "b2": certificate.output_bias, "S": certificate.skip}
    if certificate.penalty == "weight-decay":
        total = real(0.0)
        for name in ("W1", "b1", "W2", "b2", "S"):
            if policies.get(name, "penalized") == "penalized":
                total = total + _square(real(arrays[name])).sum()
        return total * certificate.strength * 0.5
    first = _square(real(arrays["W1"])).sum(1)
    first = first + _square(real(arrays["b1"])) if certificate.hidden_bias == "penalized" else first
    second = _square(real(arrays["W2"])).sum(0).square_root()
    first = first if certificate.family == "quadratic" else first.square_root()
    return (first * second).sum() * certificate.strength


def _square(values: Reals) -> Reals:
    return values * values


def require_dual_point(certificate: Certificate, loss: BoundLoss, point: DualPoint) -> None:
    """The real matrix s A' satisfies everything but the polar constraint.

    Raises:
        Rejection: it does not.
    """
    dual, scale = certificate.arrays["A"], certificate.dual_scale
    require(scale >= 0, "dual-scale", f"s = {scale!r}")
    loss.require_domain(point.values, scale)
    if loss.kind.couples:
        balanced = all(sums_to_zero(row) for row in dual.tolist())
        require(balanced, "dual-row-sums", "a row of A does not sum to zero")
    if "free" in (certificate.hidden_bias, certificate.output_bias):
        balanced = all(sums_to_zero(column) for column in dual.T.tolist())
        require(balanced, "dual-column-sums", "free bias, but a column of A does not sum to zero")


def dual_value(certificate: Certificate, loss: BoundLoss, point: DualPoint) -> Reals:
    """−l*(s A') − Σ |Eᵀ s A'|²/(2μ), the sum over what is penalized."""
    dual = point.values * certificate.dual_scale
    value = -loss.conjugate(dual)
    moments = []
    if certificate.output_bias == "penalized":
        moments.append(dual.sum(0))
    if certificate.skip == "penalized":
        moments.append(loss.real(certificate.arrays["X"].T) @ dual)
    for moment in moments:
        value = value - (moment * moment).sum() / (loss.real(certificate.strength) * 2.0)
    return value
