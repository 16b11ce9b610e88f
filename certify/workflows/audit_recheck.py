"""What a cached verdict rests on: its certificate, checked again against the model, the data and the problem asked.

Needs neither torch nor a solver.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from certify.verify import Verdict, verify_bytes
from certify.verify.certificate import Certificate, read_certificate

# Rules that fail where the checker cannot read a format that the prover can; digests then stand for the comparison.
UNREADABLE = ("model-file", "data-file")


def recheck_item(
    folder: Path, certificate: str, content: dict[str, Any], data: list[str], claim: list[float], *, certified: bool
) -> dict[str, Any]:
    """Check a cached certificate.

    Args:
        folder: of this process alone; not used.
        certificate: its path.
        content: the problem that is asked now, whole.
        data: paths of the data files, in the order in which they are read.
        claim: objective and lower bound of the cached result.
        certified: whether the cached verdict is `certified`.

    Returns:
        `accepted`, and `why` not.
    """
    try:
        found = Path(certificate).read_bytes()
        model, files = Path(content["model"]["path"]).read_bytes(), tuple(Path(path).read_bytes() for path in data)
    except OSError as error:
        return {"accepted": False, "why": f"cannot read {error.filename}: {error.strerror}"}
    verdict = verify_bytes(found, model, files)
    if verdict.status == "invalid" and verdict.rule in UNREADABLE:
        verdict = verify_bytes(found)
    why = _objection(verdict, claim, certified=certified) or _other_problem(read_certificate(found), content)
    return {"accepted": not why, "why": why}


def _objection(verdict: Verdict, claim: list[float], *, certified: bool) -> str:
    if verdict.status != "valid":
        return f"rule '{verdict.rule}' does not hold: {verdict.message}"
    if [verdict.upper, verdict.lower] != claim:
        return f"it claims {verdict.upper!r} and {verdict.lower!r}, the cached result {claim[0]!r} and {claim[1]!r}"
    if certified and not verdict.certified:
        return "the gap it proves is not within its tolerance"
    return ""


def _other_problem(certificate: Certificate, content: dict[str, Any]) -> str:
    """Where the certificate is about another problem than the one asked; empty if it is not."""
    loss, penalty, biases = content["loss"], content["penalty"], content["biases"]
    product = penalty.get("product_of_norms")
    pairs = {
        "loss": (certificate.loss, loss["name"]),
        "reduction": (certificate.reduction, loss["reduction"]),
        "scale": (certificate.scale, loss["scale"]),
        "strength": (certificate.strength, product["strength"] if product else penalty.get("weight_decay")),
        "hidden bias": (certificate.hidden_bias, biases.get("hidden") or certificate.hidden_bias),
        "output bias": (certificate.output_bias, biases.get("output") or certificate.output_bias),
        "relative tolerance": (certificate.relative, content["tolerance"]["relative_gap"]),
        "absolute tolerance": (certificate.absolute, content["tolerance"]["absolute_gap"]),
    }
    differing = {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}
    return "; ".join(f"its {name} is {found}, asked is {asked}" for name, (found, asked) in differing.items())
