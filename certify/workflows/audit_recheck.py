"""What a cached verdict rests on: its certificate, checked again, and compared whole with the problem that is asked."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from certify.certificates.gap import relative_gap
from certify.errors import CertifyError
from certify.models.loading import Problem
from certify.models.spec.problem_file import spec_from_content
from certify.verify import Verdict, verify_bytes
from certify.workflows.certificate_of import CHECKS, FAILURE_PROBABILITY
from certify.workflows.same_problem import differences
from certify.workflows.threads import use_threads


def recheck_item(  # noqa: PLR0913
    folder: Path,
    certificate: str,
    content: dict[str, Any],
    claim: list[float],
    device: str,
    *,
    certified: bool,
    chance: float | None,
) -> dict[str, Any]:
    """Check a cached certificate.

    Args:
        folder: of this process alone; not used.
        certificate: its path.
        content: the problem that is asked now, whole.
        claim: objective, lower bound and relative gap of the cached result.
        device: on which the features of a head are computed: `cpu`, `cuda` or `cuda:N`.
        certified: whether the cached verdict is `certified`.
        chance: the cached failure probability of a randomized proof; None for a rigorous one.

    Returns:
        `why` it is not accepted; empty if it is.
    """
    try:
        found = Path(certificate).read_bytes()
    except OSError as error:
        return {"why": f"cannot read {error.filename}: {error.strerror}"}
    if why := _objection(verify_bytes(found), claim, certified=certified, chance=chance):
        return {"why": why}
    try:
        problem = Problem.from_files(
            spec_from_content(content, Path(), lambda at, key: "audit"), "cpu" if device == "cpu" else "auto"
        )
        use_threads(1, problem)
    except CertifyError as error:
        return {"why": str(error)}
    return {"why": differences(found, problem)}


def _objection(verdict: Verdict, claim: list[float], *, certified: bool, chance: float | None) -> str:
    if verdict.status != "valid":
        return f"rule '{verdict.rule}' does not hold: {verdict.message}"
    upper, lower = verdict.upper or 0.0, verdict.lower or 0.0
    found = [upper, lower, relative_gap(upper - lower, upper)]
    if claim[:2] != found[:2] or not math.isclose(claim[2], found[2], rel_tol=1e-12):
        return f"it claims {found} (objective, bound, relative gap), the cached result {claim}"
    own = verdict.failure_probability
    if (own is None) != (chance is None) or not (own or 0.0) * CHECKS <= (chance or 0.0) <= FAILURE_PROBABILITY:
        return f"it may be accepted falsely with probability {own}, the cached result says {chance}"
    if certified and not verdict.certified:
        return "the gap it proves is not within its tolerance"
    return ""
