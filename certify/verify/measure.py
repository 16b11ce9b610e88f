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
from certify.verify.reals import Arithmetic, Arrays
from certify.verify.statement.certificate import Certificate, read_certificate
from certify.verify.statement.dual_point import DualPoint, dual_point
from certify.verify.statement.duality import dual_value, require_dual_point, require_supported
from certify.verify.statement.entries import EntryTerm
from certify.verify.statement.losses import bind_loss
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
        scaled: upper bound on s times that; must be at most the strength.
        strength: lower bound on λ of the branch.
    """

    shown: float | None
    changed: float
    scaled: float
    strength: float


@final
@dataclass(frozen=True, slots=True)
class Measured:
    """Proven intervals of the network's objective and of the dual value at s A', and the polar of every branch."""

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
        changed = changed_polars(certificate, point, arithmetic)
    strengths = (branch.penalty.strength(arithmetic.real) for branch in certificate.problem.branches)
    polars = (MeasuredPolar(s, *ends, level) for s, ends, level in zip(shown, changed, strengths, strict=True))
    return Measured(value, dual, tuple(polars))


def ends_of(certificate: Certificate, arithmetic: Arithmetic) -> tuple[Interval, Interval, DualPoint]:
    """Proven intervals of the network's objective and of the dual value at s A' if the polars allow it, and A'.

    Raises:
        Rejection: the problem is none that the theory covers, or the dual point is not feasible.
    """
    require_supported(certificate)
    loss = bind_loss(certificate, arithmetic.real)
    point = dual_point(certificate, loss, arithmetic)
    require_dual_point(certificate, loss, point)
    value, dual = objective(certificate, loss), dual_value(certificate, loss, point)
    return (float(value.low), float(value.high)), (float(dual.low), float(dual.high)), point


def shown_polars(certificate: Certificate, arithmetic: Arithmetic) -> list[float]:
    """What the proof of each branch shows its polar at −A to be at most; +inf if nothing.

    Raises:
        Rejection: a proof is malformed.
    """
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
