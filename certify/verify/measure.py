"""The numbers of a certificate, as the checker finds them: what a claim can be settled on before it is written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, final

import numpy as np

from certify.verify.floating_point import FLOATING_POINT
from certify.verify.forms.entry_form import entry_form
from certify.verify.proofs.entries import entry_polar_upper
from certify.verify.proofs.polar import branch_length, branch_polar_upper
from certify.verify.proofs.unequal_degrees import least_sum
from certify.verify.reals import Arithmetic, Arrays, Reals
from certify.verify.rejection import require
from certify.verify.statement.certificate import Certificate, read_certificate
from certify.verify.statement.dual_point import DualPoint, dual_point
from certify.verify.statement.duality import dual_value, require_dual_point, require_supported
from certify.verify.statement.entries import EntryTerm
from certify.verify.statement.losses import BoundLoss, bind_loss
from certify.verify.statement.objective import objective
from certify.verify.statement.unobserved import dual_factors

Interval = tuple[float, float]


@final
@dataclass(frozen=True, slots=True)
class MeasuredPolar:
    """The polar of one branch.

    Attributes:
        shown: upper bound at −A that the proof shows; +inf if it shows none; None if it was not tried.
        changed: upper bound at −A' that follows from the claimed U.
        scaled: upper bound on s times that; must be at most the strength; 0 where degrees are not equal.
        strength: lower bound on λ of the branch.
    """

    shown: float | None
    changed: float
    scaled: float
    strength: float


@final
@dataclass(frozen=True, slots=True)
class Measured:
    """Proven intervals of the network's objective and of the dual value at s A', and the polar of every proof."""

    objective: Interval
    dual_value: Interval
    polars: tuple[MeasuredPolar, ...]


def measure(
    header: Mapping[str, Any], arrays: Arrays, arithmetic: Arithmetic = FLOATING_POINT, *, proofs: bool = True
) -> Measured:
    """The numbers of a certificate whose claim is still to be settled; the proofs of the polars run if asked for.

    Neither the claim nor the table of arrays in the header is looked at.

    Raises:
        Rejection: what it says is no certificate, or its dual point is not feasible.
    """
    with np.errstate(all="ignore"):
        certificate = read_certificate(header, arrays)
        value, dual, point = ends_of(certificate, arithmetic)
        shown = shown_polars(certificate, arithmetic) if proofs else [None] * len(certificate.proofs)
        uppers = [(proof.upper, 0.0) for proof in certificate.proofs]
        changed = uppers if certificate.lines else changed_polars(certificate, point, arithmetic)
    branches = certificate.problem.branches
    levels = [branch.strength(arithmetic.real) for _ in certificate.points for branch in branches]
    polars = (MeasuredPolar(s, *ends, level) for s, ends, level in zip(shown, changed, levels, strict=True))
    return Measured(value, dual, tuple(polars))


def ends_of(certificate: Certificate, arithmetic: Arithmetic) -> tuple[Interval, Interval, DualPoint]:
    """Proven intervals of the network's objective and of the dual value at s A' if the polars allow it, and A'.

    Where degrees are not equal, what all lines show takes the place of the dual value, and A' is the first one.

    Raises:
        Rejection: the problem is none that the theory covers, or the dual point is not feasible.
    """
    require_supported(certificate)
    loss = bind_loss(certificate, arithmetic.real)
    value = objective(certificate, loss)
    ends = float(value.low), float(value.high)
    if certificate.lines:
        return ends, _under_lines(certificate, loss, arithmetic), dual_point(certificate.points[0], loss, arithmetic)
    dual, point = _dual_value(certificate, loss, arithmetic)
    return ends, (float(dual.low), float(dual.high)), point


def _dual_value(certificate: Certificate, loss: BoundLoss, arithmetic: Arithmetic) -> tuple[Reals, DualPoint]:
    point = dual_point(certificate, loss, arithmetic)
    require_dual_point(certificate, loss, point)
    return dual_value(certificate, loss, point), point


def _under_lines(certificate: Certificate, loss: BoundLoss, arithmetic: Arithmetic) -> Interval:
    """What lines show no network to lie below: by their values rounded down, and rounded up."""
    found = [line_of(certificate.at(place, scale), loss, arithmetic) for place, scale in certificate.lines]
    lows, highs, slopes = np.array(found).T
    degree = certificate.problem.degree or 2
    low, high = (least_sum(values, slopes, degree, arithmetic.real) for values in (lows, highs))
    return low, high


def line_of(certificate: Certificate, loss: BoundLoss, arithmetic: Arithmetic) -> tuple[float, float, float]:
    """Ends of the value of the line that the only dual point makes, and an upper bound on its slope.

    Raises:
        Rejection: the dual point is not feasible.
    """
    levels = [branch.strength(arithmetic.real) for branch in certificate.problem.branches]
    require(all(level > 0 for level in levels), "strength", f"λ ≥ {levels} must be positive")
    value, point = _dual_value(certificate, loss, arithmetic)
    scaled = [bound for _, bound in changed_polars(certificate, point, arithmetic)]
    slopes = (arithmetic.real(scaled) / arithmetic.real(levels)).high
    return float(value.low), float(value.high), float(slopes.max()) if certificate.dual_scale else 0.0


def shown_polars(certificate: Certificate, arithmetic: Arithmetic) -> list[float]:
    """What the proof of each branch shows its polar at −A to be at most; +inf if nothing.

    Raises:
        Rejection: a proof is malformed.
    """
    return [upper for view in certificate.points for upper in _shown_polars(view, arithmetic)]


def _shown_polars(certificate: Certificate, arithmetic: Arithmetic) -> list[float]:
    inputs, dual = certificate.arrays["X"], arithmetic.real(certificate.arrays["A"])
    found = []
    for branch, proof in zip(certificate.problem.branches, certificate.proofs, strict=True):
        if isinstance(branch.neuron, EntryTerm):
            added = dual_factors(certificate)
            form = entry_form(branch, branch.neuron, inputs, dual, arithmetic.real, added)
            found.append(entry_polar_upper(form, proof, arithmetic))
        else:
            found.append(branch_polar_upper(branch, inputs, dual, proof, arithmetic))
    return found


def changed_polars(certificate: Certificate, point: DualPoint, arithmetic: Arithmetic) -> list[tuple[float, float]]:
    """For each branch upper bounds on its polar at −A', from the claimed U, and at −s A'."""
    unchanged, found = bool(point.change.is_zero.all()), []
    for branch, proof in zip(certificate.problem.branches, certificate.proofs, strict=True):
        total = arithmetic.real(proof.upper)
        if not unchanged:
            total = total + branch_length(branch, certificate.arrays["X"], point.change, arithmetic.real)
        scaled = 0.0 if bool(total.is_zero) else float((total * certificate.dual_scale).high)
        found.append((float(total.high), scaled))
    return found
