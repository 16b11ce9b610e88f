"""The verdict on a certificate: each rule in turn, and the numbers that the checker itself found."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal, final

import numpy as np

from certify.verify.statement.certificate import Certificate, read_certificate, within_tolerance
from certify.verify.proofs.cone_tree import cone_tree_upper
from certify.verify.statement.duality import dual_value, objective, require_dual_point, require_supported
from certify.verify.enclosure import Enclosure
from certify.verify.statement.dual_point import DualPoint, change_to_kernel, dual_point
from certify.verify.links.data_link import require_data, require_model
from certify.verify.statement.losses import bind_loss
from certify.verify.proofs.polar import changed_polar, polar_upper
from certify.verify.reals import Arithmetic, Reals
from certify.verify.rejection import Rejection, require
from certify.verify.semidefinite import proves_semidefinite

FLOATING_POINT = Arithmetic("floating-point", Enclosure, proves_semidefinite, cone_tree_upper, change_to_kernel)
LINKED_TO_NOTHING = "only the claim about the arrays inside the certificate was checked, not where they came from"

FEATURES_NOT_COMPARED = (
    "the claim is about the head given its features; that the frozen layers of the model compute these features from "
    "the data was not checked, and takes running them"
)


@final
@dataclass(frozen=True, slots=True)
class Verdict:
    """What the checker found; numbers are None where it did not come so far.

    Attributes:
        status: `valid`; `invalid`: a rule does not hold; `refused`: not a certificate.
        rule: name of the rule that does not hold, or empty.
        message: why, with numbers.
        upper: claimed bound on the objective.
        lower: claimed bound on the optimum over all widths.
        objective: proven interval of the network's objective.
        dual_value: proven interval of the dual value at s A.
        polar_upper: bound on the polar that the proof shows; +inf if it shows none.
        certified: whether valid and a − b is within the tolerance of the certificate.
        tolerance: largest a − b that the certificate calls optimal, relative and absolute.
        kind: of the proof.
        failure_probability: bound on the probability that this check accepts a false claim; None if it is not random.
        problem: the problem that the claim is about, in words.
        model_linked: whether the weights were compared with the model file.
        data_linked: whether the data were compared with the data file.
        arithmetic: `floating-point`, rounding counted, or `exact`, integers and balls.
        features: digest of the features that the claim is given, None where it is about the whole model.
    """

    status: Literal["valid", "invalid", "refused"]
    rule: str = ""
    message: str = ""
    upper: float | None = None
    lower: float | None = None
    objective: tuple[float, float] | None = None
    dual_value: tuple[float, float] | None = None
    polar_upper: float | None = None
    certified: bool = False
    tolerance: tuple[float, float] | None = None
    kind: str = ""
    failure_probability: float | None = None
    problem: str = ""
    model_linked: bool = False
    data_linked: bool = False
    arithmetic: str = FLOATING_POINT.name
    features: str | None = None

    @property
    def gap(self) -> float | None:
        """Difference a − b as claimed, rounded up; bounds objective − optimum where the certificate is valid."""
        return None if self.upper is None or self.lower is None else math.nextafter(self.upper - self.lower, math.inf)

    @property
    def relative_gap(self) -> float | None:
        """The gap over |a|."""
        return None if self.gap is None or self.upper is None else self.gap / max(abs(self.upper), 1e-300)


def verify_bytes(
    data: bytes,
    model: bytes | None = None,
    files: tuple[bytes, ...] = (),
    arithmetic: Arithmetic = FLOATING_POINT,
) -> Verdict:
    """Check a certificate.

    Args:
        data: the certificate.
        model: the model file that the weights must come from, if it is to be compared.
        files: the data file, or a `.npy` pair, that the data must come from.
        arithmetic: how to compute; see `certify.verify.exact` for another.
    """
    with np.errstate(all="ignore"):
        try:
            certificate = read_certificate(data)
        except Rejection as found:
            return _failed(Verdict("refused", arithmetic=arithmetic.name), found)
        tolerance = (certificate.relative, certificate.absolute)
        verdict = Verdict(
            "invalid",
            upper=certificate.upper,
            lower=certificate.lower,
            tolerance=tolerance,
            kind=certificate.kind,
            failure_probability=certificate.failure_probability,
            problem=_described(certificate),
            arithmetic=arithmetic.name,
            features=certificate.features,
        )
        return _checked(certificate, verdict, arithmetic, (model, files))


def _checked(
    certificate: Certificate,
    verdict: Verdict,
    arithmetic: Arithmetic,
    linked_to: tuple[bytes | None, tuple[bytes, ...]],
) -> Verdict:
    try:
        require_supported(certificate)
        loss = bind_loss(certificate, arithmetic.real)
        point = dual_point(certificate, loss, arithmetic)
        require_dual_point(certificate, loss, point)
        value, dual = objective(certificate, loss), dual_value(certificate, loss, point)
        verdict = replace(verdict, objective=_ends(value), dual_value=_ends(dual))
        proven = polar_upper(certificate, arithmetic)
        verdict = replace(verdict, polar_upper=proven)
        upper = certificate.polar_upper
        require(
            0 <= proven <= upper, "polar", f"'{certificate.kind}' shows the polar ≤ {proven!r}, the claim is {upper!r}"
        )
        _require_scale(certificate, point)
        _require_claim(certificate, verdict)
        model, files = linked_to
        if model is not None:
            require_model(certificate, model)
            verdict = replace(verdict, model_linked=True)
        if files:
            require_data(certificate, files)
            verdict = replace(verdict, data_linked=True)
    except Rejection as found:
        return _failed(verdict, found)
    certified = within_tolerance(certificate.upper, certificate.lower, certificate)
    linked = verdict.model_linked and verdict.data_linked
    message = "" if linked else LINKED_TO_NOTHING
    if certificate.features is not None:
        message = "; ".join([*([message] if message else []), FEATURES_NOT_COMPARED])
    return replace(verdict, status="valid", certified=certified, message=message)


def _described(certificate: Certificate) -> str:
    (samples, outputs), inputs = certificate.arrays["Y"].shape, certificate.arrays["X"].shape[1]
    penalty = f"{certificate.penalty} {certificate.strength:g}"
    if certificate.powers:
        penalty += f" with powers {list(certificate.powers)}"
    loss = f"{certificate.loss} ({certificate.reduction}, scale {certificate.scale:g})"
    part = "" if certificate.features is None else f"head on {inputs} features of frozen layers: "
    sizes = f"{samples} samples, {outputs} outputs"
    if certificate.family == "single-layer":
        return f"{part}one linear layer, {loss}, {penalty}, bias {certificate.output_bias}, {sizes}"
    return part + (
        f"{certificate.family} subnetworks, {loss}, {penalty}, hidden bias {certificate.hidden_bias}, "
        f"output bias {certificate.output_bias}, skip {certificate.skip}, {sizes}"
    )


def _require_scale(certificate: Certificate, point: DualPoint) -> None:
    """The polar constraint at s A'."""
    total, strength = changed_polar(certificate, point.change), certificate.strength
    scaled = 0.0 if bool(total.is_zero) else float((total * certificate.dual_scale).high)
    require(scaled <= strength, "polar-scale", f"s Ω° ≤ {scaled!r}, needs λ = {strength!r}")


def _require_claim(certificate: Certificate, verdict: Verdict) -> None:
    top, bottom = (verdict.objective or (0, np.nan))[1], (verdict.dual_value or (np.nan, 0))[0]
    require(top <= certificate.upper, "objective", f"is up to {top!r}, the claim is {certificate.upper!r}")
    require(certificate.lower <= bottom, "dual-value", f"is from {bottom!r}, the claim is {certificate.lower!r}")


def _ends(value: Reals) -> tuple[float, float]:
    return float(value.low), float(value.high)


def _failed(verdict: Verdict, found: Rejection) -> Verdict:
    return replace(verdict, status="refused" if found.refused else "invalid", rule=found.rule, message=str(found))
