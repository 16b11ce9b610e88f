"""What a cached verdict rests on: its certificate, checked again against the model, the data and the problem asked.

Needs neither torch nor a solver.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from certify.verify import Verdict, verify_bytes
from certify.verify.container import read_container

# Rules that fail where the checker cannot read a format that the prover can; digests then stand for the comparison.
UNREADABLE = ("model-file", "data-file")
ROLES = ("inputs", "targets", "sample_weights", "mask")
# How certificates write a weight decay of 0.
_FREE = (0.0).hex()


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
        `why` it is not accepted; empty if it is.
    """
    try:
        found = Path(certificate).read_bytes()
        model, files = Path(content["model"]["path"]).read_bytes(), tuple(Path(path).read_bytes() for path in data)
    except OSError as error:
        return {"why": f"cannot read {error.filename}: {error.strerror}"}
    verdict = verify_bytes(found, model, files)
    if verdict.status == "invalid" and verdict.rule in UNREADABLE:
        verdict = verify_bytes(found)
    objection = _objection(verdict, claim, certified=certified)
    return {"why": objection or _other_problem(read_container(found)[0]["statement"], content)}


def _objection(verdict: Verdict, claim: list[float], *, certified: bool) -> str:
    if verdict.status != "valid":
        return f"rule '{verdict.rule}' does not hold: {verdict.message}"
    if [verdict.upper, verdict.lower] != claim:
        return f"it claims {verdict.upper!r} and {verdict.lower!r}, the cached result {claim[0]!r} and {claim[1]!r}"
    if certified and not verdict.certified:
        return "the gap it proves is not within its tolerance"
    return ""


def _other_problem(statement: dict[str, Any], content: dict[str, Any]) -> str:
    """Where a certificate states another problem than the one asked; empty if nowhere that shows without the model."""
    loss, tolerance, data = content["loss"], content["tolerance"], content["data"]
    gaps = {"relative": tolerance["relative_gap"], "absolute": tolerance["absolute_gap"]}
    asked = {
        "loss": {"name": loss["name"], "reduction": loss["reduction"], "scale": float(loss["scale"]).hex()},
        "tolerance": {name: float(gap).hex() for name, gap in gaps.items()},
        "data names": {role: data.get(role) for role in ROLES},
        "scope": content.get("scope", "model"),
    }
    found = {
        "loss": statement["loss"],
        "tolerance": statement["tolerance"],
        "data names": statement["data"]["names"],
        "scope": "model" if statement["features"] is None else "head",
    }
    differing = [name for name in asked if asked[name] != found[name]]
    differing += [] if _same_penalty(statement, content["penalty"]) else ["penalty"]
    differing += [] if _same_biases(statement, content["biases"], content.get("skip")) else ["biases or skip"]
    return "; ".join(f"it states another {name} than is asked" for name in differing)


def _same_penalty(statement: dict[str, Any], asked: dict[str, Any]) -> bool:
    product, decay = asked.get("product_of_norms"), asked.get("weight_decay")
    penalties = [branch["penalty"] for branch in statement["branches"]]
    if product:
        wanted = (float(product["strength"]).hex(), list(product["powers"]))
        return all((penalty.get("strength"), penalty.get("powers")) == wanted for penalty in penalties)
    known = {float(wd).hex() for wd in (decay.values() if isinstance(decay, dict) else (decay,)) if wd is not None}
    used = [wd for penalty in penalties for wd in (*penalty.get("strengths", ("",)), penalty.get("bias"))]
    used += [block["decay"] for block in statement["outside"]]
    return all(wd in known or wd in (None, _FREE) for wd in used)


def _same_biases(statement: dict[str, Any], biases: dict[str, Any], skip: str | None) -> bool:
    hidden = {branch["bias"] for branch in statement["branches"]} - {"absent"}
    policies = {"ones": biases.get("output"), "inputs": skip}
    blocks = [(policies[block["features"]], block["decay"] == _FREE) for block in statement["outside"]]
    same = all(policy is None or (policy == "free") == free for policy, free in blocks)
    return same and (biases.get("hidden") is None or hidden <= {biases["hidden"]})
