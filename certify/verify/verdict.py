"""The verdict on a certificate: each rule in turn, and the numbers that the checker itself found."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, final

import numpy as np

from certify.verify.container import read_container
from certify.verify.floating_point import FLOATING_POINT
from certify.verify.links.data_link import require_data
from certify.verify.links.model_link import require_model
from certify.verify.measure import Interval, changed_polars, ends_of, shown_polars
from certify.verify.reals import Arithmetic
from certify.verify.rejection import Rejection, require
from certify.verify.statement.certificate import Certificate, read_certificate, within
from certify.verify.statement.dual_point import DualPoint

LINKED_TO_NOTHING = "only the claim about the arrays inside the certificate was checked, not where they came from"

FEATURES_NOT_COMPARED = (
    "the claim is about the head given its features; that the frozen layers of the model compute these features from "
    "the data was not checked, and takes running them"
)
OFFSET_NOT_COMPARED = "the fixed offset of the outputs was compared with no file"


Compared = Mapping[str, tuple[str, ...]]


@final
@dataclass(frozen=True, slots=True)
class Verdict:
    """What the checker found; numbers are None where it did not come so far.

    Attributes:
        status: `valid`; `invalid`: a rule does not hold; `refused`: not a certificate.
        rule: name of the rule that does not hold, or empty.
        upper: claimed bound on the objective.
        lower: claimed bound on the optimum over all widths.
        objective: proven interval of the network's objective.
        dual_value: proven interval of the dual value at s A.
        polar_upper: bound on a polar that each proof shows; +inf where it shows none.
        certified: whether valid and a − b is within the tolerance.
        tolerance: largest a − b that is called optimal, relative and absolute.
        tolerance_of: who calls it so: the `certificate`, or the `caller`.
        failure_probability: bound on the probability that this check accepts a false claim; None if it is not random.
        model_compared: for each array compared with the model file, the names of its tensors.
        data_compared: for each array compared with the data file, the names of its arrays or columns.
        arithmetic: `floating-point`, rounding counted, or `exact`, integers and balls.
        features: digest of the features that the claim is given, None where it is about the whole model.
        departures: how the objective differs from what weight decay on the parameters of the model file computes.
    """

    status: Literal["valid", "invalid", "refused"]
    rule: str = ""
    message: str = ""
    upper: float | None = None
    lower: float | None = None
    objective: Interval | None = None
    dual_value: Interval | None = None
    polar_upper: tuple[float, ...] | None = None
    certified: bool = False
    tolerance: tuple[float, float] | None = None
    tolerance_of: Literal["certificate", "caller"] = "certificate"
    kind: str = ""
    failure_probability: float | None = None
    problem: str = ""
    model_compared: Compared = field(default_factory=dict)
    data_compared: Compared = field(default_factory=dict)
    arithmetic: str = FLOATING_POINT.name
    features: str | None = None
    departures: tuple[str, ...] = ()

    def by_tolerance(self, relative: float, absolute: float) -> Verdict:
        """The verdict with the tolerance of the caller in place of the certificate's."""
        known = self.status == "valid" and self.upper is not None and self.lower is not None
        inside = known and within(self.upper or 0.0, self.lower or 0.0, relative, absolute)
        return replace(self, certified=inside, tolerance=(relative, absolute), tolerance_of="caller")

    @property
    def model_linked(self) -> bool:
        """Whether the weights were compared with the model file."""
        return bool(self.model_compared)

    @property
    def data_linked(self) -> bool:
        """Whether the data were compared with the data file."""
        return bool(self.data_compared)

    @property
    def gap(self) -> float | None:
        """Difference a − b as claimed, rounded up; bounds objective − optimum where the certificate is valid."""
        return None if self.upper is None or self.lower is None else math.nextafter(self.upper - self.lower, math.inf)

    @property
    def relative_gap(self) -> float | None:
        """The gap over |a|."""
        return None if self.gap is None or self.upper is None else self.gap / max(abs(self.upper), 1e-300)


def verify_bytes(
    data: bytes, model: bytes | None = None, files: tuple[bytes, ...] = (), arithmetic: Arithmetic = FLOATING_POINT
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
            certificate = read_certificate(*read_container(data))
        except Rejection as found:
            return _failed(Verdict("refused", arithmetic=arithmetic.name), found)
        problem = certificate.problem
        verdict = Verdict(
            "invalid",
            upper=certificate.upper,
            lower=certificate.lower,
            tolerance=(problem.relative, problem.absolute),
            kind=", ".join(proof.kind for proof in certificate.proofs),
            failure_probability=certificate.failure_probability,
            problem=problem.describe(*certificate.arrays["Y"].shape),
            arithmetic=arithmetic.name,
            features=problem.features,
            departures=problem.departures,
        )
        return _checked(certificate, verdict, arithmetic, model, files)


def _checked(
    certificate: Certificate, verdict: Verdict, arithmetic: Arithmetic, model: bytes | None, files: tuple[bytes, ...]
) -> Verdict:
    try:
        objective, dual_value, point = ends_of(certificate, arithmetic)
        verdict = replace(verdict, objective=objective, dual_value=dual_value)
        proven = shown_polars(certificate, arithmetic)
        verdict = replace(verdict, polar_upper=tuple(proven))
        _require_polars(certificate, proven, point, arithmetic)
        _require_claim(certificate, objective[1], dual_value[0])
        if model is not None:
            verdict = replace(verdict, model_compared=require_model(certificate, model))
        if files:
            verdict = replace(verdict, data_compared=require_data(certificate, files))
    except Rejection as found:
        return _failed(verdict, found)
    notes = [] if verdict.model_linked and verdict.data_linked else [LINKED_TO_NOTHING]
    notes += [] if certificate.problem.features is None else [FEATURES_NOT_COMPARED]
    notes += [OFFSET_NOT_COMPARED] if certificate.problem.offset == "array" else []
    return replace(verdict, status="valid", certified=certificate.within_tolerance, message="; ".join(notes))


def _require_polars(certificate: Certificate, proven: list[float], point: DualPoint, arithmetic: Arithmetic) -> None:
    """Each proof shows its claim, and s A' satisfies the polar constraint of its branch."""
    for proof, shown in zip(certificate.proofs, proven, strict=True):
        fits = 0 <= shown <= proof.upper
        require(fits, "polar", f"'{proof.kind}' shows the polar ≤ {shown!r}, the claim is {proof.upper!r}")
    if certificate.lines:
        return
    changed = changed_polars(certificate, point, arithmetic)
    for branch, (_, scaled) in zip(certificate.problem.branches, changed, strict=True):
        strength = branch.strength(arithmetic.real)
        require(scaled <= strength, "polar-scale", f"s Ω° ≤ {scaled!r}, needs λ ≥ {strength!r}")


def _require_claim(certificate: Certificate, top: float, bottom: float) -> None:
    """The claim is no better than the proven ends, and these do not refute each other."""
    message = f"the network's objective is at most {top!r}, below the bound {bottom!r}"
    require(not top < bottom, "objective-below-bound", message)
    require(top <= certificate.upper, "objective", f"is up to {top!r}, the claim is {certificate.upper!r}")
    require(certificate.lower <= bottom, "dual-value", f"is from {bottom!r}, the claim is {certificate.lower!r}")


def _failed(verdict: Verdict, found: Rejection) -> Verdict:
    return replace(verdict, status="refused" if found.refused else "invalid", rule=found.rule, message=str(found))
