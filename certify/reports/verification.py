"""What `certify verify` shows: what the independent checker found, as text and as `certify.verification/1`."""

from __future__ import annotations

from collections import Counter
from typing import Any

from certify.reports.phrases import shortened
from certify.reports.result_json import finite
from certify.verify import Verdict

SCHEMA = "certify.verification/1"
ARITHMETIC = {
    "floating-point": "floating-point arithmetic with rounding accounted for",
    "exact": "exact arithmetic: integers and rigorous balls, no rounding analysis",
}


def verdict_object(verdict: Verdict, path: str) -> dict[str, Any]:
    """The verdict as a JSON object, schema `certify.verification/1`; numbers that are not finite become null."""
    return finite(
        {
            "schema": SCHEMA,
            "certificate": path,
            "status": verdict.status,
            "rule": verdict.rule or None,
            "message": verdict.message or None,
            "objective_upper": verdict.upper,
            "optimum_lower": verdict.lower,
            "gap": None if verdict.gap is None else {"absolute": verdict.gap, "relative": verdict.relative_gap},
            "arithmetic": verdict.arithmetic,
            "widths": "all",
            "failure_probability": verdict.failure_probability,
            "certified": verdict.certified,
            "tolerance": None
            if verdict.tolerance is None
            else {
                "relative_gap": verdict.tolerance[0],
                "absolute_gap": verdict.tolerance[1],
                "of": verdict.tolerance_of,
            },
            "recomputed": {
                "objective": verdict.objective,
                "dual_value": verdict.dual_value,
                "polar_upper": verdict.polar_upper,
            },
            "scope": "model" if verdict.features is None else "head",
            "features": verdict.features,
            "problem": verdict.problem or None,
            "departures": list(verdict.departures),
            "proof": verdict.kind or None,
            "model_compared": verdict.model_linked,
            "data_compared": verdict.data_linked,
            "compared": {
                "model": {name: list(found) for name, found in verdict.model_compared.items()},
                "data": {name: list(found) for name, found in verdict.data_compared.items()},
            },
        }
    )


def verdict_lines(verdict: Verdict, path: str) -> list[str]:
    """The verdict as text."""
    if verdict.status != "valid":
        return [f"{path}: {verdict.status}: rule '{verdict.rule}' does not hold: {verdict.message}"]
    relative, absolute = verdict.tolerance or (0.0, 0.0)
    within = "within" if verdict.certified else "NOT within"
    kinds = ", ".join(dict.fromkeys(verdict.kind.split(", ")))
    chance = verdict.failure_probability
    risk = "" if chance is None else f"; this check would accept a false claim with probability at most {chance:.2g}"
    return [
        f"{path}: valid" + ("" if verdict.certified else ", but the gap it proves is NOT within the tolerance"),
        *_problem_lines(verdict.problem),
        *(f"  differs  {departure}" for departure in verdict.departures),
        f"  objective of the network        ≤ {verdict.upper!r}",
        f"  every network of every width    ≥ {verdict.lower!r}",
        f"  gap  {verdict.gap:.6g} absolute, {verdict.relative_gap:.6g} relative: {within} the tolerance "
        f"{'of the certificate' if verdict.tolerance_of == 'certificate' else 'asked for'} "
        f"(relative {relative:g}, absolute {absolute:g})",
        f"  proof  {kinds}, {ARITHMETIC[verdict.arithmetic]}{risk}",
        *_compared_lines(verdict),
        *([f"  note: {verdict.message}"] if verdict.message else []),
    ]


def _problem_lines(problem: str) -> list[str]:
    """One line for each part of the model, equal ones counted, and one for loss and data."""
    model, rest = problem.split("; ", 1)
    parts = Counter(model.split(" + "))
    shown = [part if count == 1 else f"{count} × {part}" for part, count in parts.items()]
    first, *others = shown
    return [f"  problem  {first}", *(f"           + {part}" for part in others), f"           {rest}"]


def _compared_lines(verdict: Verdict) -> list[str]:
    """What was compared with the files, by the names in the certificate and in the files."""
    lines = []
    for role, compared in (("model", verdict.model_compared), ("data", verdict.data_compared)):
        pairs = [f"{name} = {', '.join(shortened(found))}" for name, found in compared.items()]
        lines += [f"  compared with the {role} file: {'; '.join(pairs)}"] if pairs else []
    return lines
