"""The flat view of an entry: one name per number, shared by the formats that are tables or lists of properties."""

from __future__ import annotations

import math
from functools import reduce

from certify.certificates.result import Result
from certify.reports import phrases
from certify.reports.report import Entry

Value = str | int | float | None

# Where each column is found in a result.
_PATHS = {
    "scope": "scope",
    "objective": "objective",
    "lower_bound": "lower_bound",
    "best_known": "best_known",
    "gap_absolute": "gap",
    "gap_relative": "relative_gap",
    "relative_gap_tolerance": "relative_gap_tolerance",
    "absolute_gap_tolerance": "absolute_gap_tolerance",
    "achieved_share": "achieved_share",
    "proof": "proof",
    "failure_probability": "failure_probability",
    "polar_lower": "polar.lower",
    "polar_upper": "polar.upper",
    "polar_method": "polar.method",
    "unbalanced": "breakdown.unbalanced",
    "not_stationary": "breakdown.not_stationary",
    "missing_subnetwork": "breakdown.missing_subnetwork",
    "unexplained": "breakdown.unexplained",
    "descent": "descent.kind",
    "better_model": "descent.model_path",
    "model_path": "model.path",
    "model_sha256": "model.sha256",
    "family": "model.family",
    "degree": "model.degree",
    "subnetworks": "model.subnetworks",
    "parameters": "model.parameters",
    "data_path": "data.path",
    "data_sha256": "data.sha256",
    "samples": "data.samples",
    "inputs": "data.inputs",
    "outputs": "data.outputs",
    "certificate": "certificate",
    "device": "environment.device",
    "torch": "environment.torch",
    "seed": "environment.seed",
}
_OF_ENTRY = ("reason", "message", "exit_code", "unmet", "origin", "seconds")
COLUMNS = ("name", "verdict", *_OF_ENTRY, *_PATHS, "notes")


def columns_of(entry: Entry) -> dict[str, Value]:
    """The columns of an entry that apply to it; None where there is no finite value."""
    own = {name: getattr(entry, name) for name in _OF_ENTRY}
    found: dict[str, Value] = {"name": entry.name, "verdict": entry.state, **own}
    result = entry.result
    if result is not None:
        found |= {column: _value(result, path) for column, path in _PATHS.items()}
        found["notes"] = "; ".join(phrases.remarks(result))
    return found


def properties_of(entry: Entry) -> dict[str, str]:
    """The columns that have a value, as text in full precision."""
    return {column: str(value) for column, value in columns_of(entry).items() if value not in (None, "")}


def _value(result: Result, path: str) -> Value:
    found = reduce(lambda part, name: None if part is None else getattr(part, name), path.split("."), result)
    return None if isinstance(found, float) and not math.isfinite(found) else found  # type: ignore[return-value]
