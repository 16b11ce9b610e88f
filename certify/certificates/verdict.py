"""The gap rule: what may be called certified, and what improvable.

Every comparison is written so that a NaN grants nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from certify.certificates.result import GapBreakdown, Verdict


@final
@dataclass(frozen=True, slots=True)
class Standing:
    """Where a model stands between the best known objective and the lower bound.

    Attributes:
        objective: of the model, rounded up.
        objective_floor: of the model, rounded down.
        best_known: objective of an evaluated model, rounded up.
        lower_bound: proven.
        allowance: largest gap that counts as none, absolute.
    """

    objective: float
    objective_floor: float
    best_known: float
    lower_bound: float
    allowance: float


def allowance(objective: float, relative_gap: float, absolute_gap: float) -> float:
    """Largest absolute gap within the tolerance."""
    return max(absolute_gap, relative_gap * abs(objective))


def verdict_of(standing: Standing, *, accepted: bool) -> Verdict:
    """`certified` if the gap is within the allowance, `improvable` if a known model beats it by more.

    `accepted` says whether the independent checker accepted the certificate that the numbers come from.
    """
    if accepted and standing.objective - standing.lower_bound <= standing.allowance:
        return "certified"
    if standing.objective_floor - standing.best_known > standing.allowance:
        return "improvable"
    return "undecided"


def reason_of(verdict: Verdict, breakdown: GapBreakdown, *, accepted: bool, out_of_time: bool) -> str:
    """Reason code: the largest part of what is known to be wrong, or why nothing is known."""
    if verdict == "certified":
        return "gap-closed"
    if verdict == "improvable":
        parts = {
            "unbalanced": breakdown.unbalanced,
            "not-stationary": breakdown.not_stationary,
            "missing-subnetwork": breakdown.missing_subnetwork,
        }
        return max(parts, key=lambda code: parts[code])
    if not accepted:
        return "numerical"
    return "budget" if out_of_time else "bound-too-loose"


def achieved_share(at_zero: float, objective: float, lower_bound: float) -> float | None:
    """Proven lower bound on (f(0) − objective)/(f(0) − optimum); None where nothing was achieved."""
    if at_zero > objective and at_zero > lower_bound:
        return (at_zero - objective) / (at_zero - lower_bound)
    return None
