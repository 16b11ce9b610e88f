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
    **{name: name for name in ("scope", "objective", "lower_bound", "best_known")},
    "gap_absolute": "gap",
    "gap_relative": "relative_gap",
    **{name: name for name in ("relative_gap_tolerance", "absolute_gap_tolerance", "achieved_share", "proof")},
    "failure_probability": "failure_probability",
    **{f"polar_{name}": f"polar.{name}" for name in ("lower", "upper", "method")},
    **{name: f"breakdown.{name}" for name in ("unbalanced", "not_stationary", "missing_subnetwork", "unexplained")},
    "descent": "descent.kind",
    "better_model": "descent.model_path",
    **{f"model_{name}": f"model.{name}" for name in ("path", "sha256")},
    **{name: f"model.{name}" for name in ("family", "degree", "subnetworks", "parameters")},
    **{f"data_{name}": f"data.{name}" for name in ("path", "sha256")},
    **{name: f"data.{name}" for name in ("samples", "inputs", "outputs")},
    "certificate": "certificate",
    **{name: f"environment.{name}" for name in ("device", "torch", "seed")},
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
