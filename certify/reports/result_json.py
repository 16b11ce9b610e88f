"""`certify.result/1`: one JSON object per model, numbers with full float64 precision, never NaN or infinity."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from certify.certificates.result import Result
from certify.reports.report import Content, Report
from certify.version import __version__

SCHEMA = "certify.result/1"


def result_object(result: Result) -> dict[str, Any]:
    """The result as a JSON-ready dictionary, keys in the order of the schema."""
    return finite(
        {
            "schema": SCHEMA,
            "tool": {"name": "certify", "version": __version__},
            "verdict": result.verdict,
            "reason": result.reason,
            "message": result.message,
            "scope": result.scope,
            "head": asdict(result.head) if result.head else None,
            "objective": result.objective,
            "lower_bound": result.lower_bound,
            "best_known": result.best_known,
            "estimate": {"objective": result.optimum_estimate, "relative_gap": result.estimated_gap}
            if result.optimum_estimate is not None
            else None,
            "gap": {"absolute": result.gap, "relative": result.relative_gap},
            "tolerance": {"relative_gap": result.relative_gap_tolerance, "absolute_gap": result.absolute_gap_tolerance},
            "achieved_share": result.achieved_share,
            "proof": result.proof,
            "failure_probability": result.failure_probability,
            "polar": asdict(result.polar),
            "gap_breakdown": asdict(result.breakdown),
            "descent": asdict(result.descent) if result.descent else None,
            "model": asdict(result.model),
            "data": asdict(result.data),
            "statement": result.statement,
            "certificate": result.certificate,
            "seconds": asdict(result.seconds),
            "environment": asdict(result.environment),
            "notes": [*result.departures, *result.notes],
        }
    )


def error_object(model: str, code: str, exit_code: int, message: str) -> dict[str, Any]:
    """What stands in a list of results for a model that could not be checked."""
    return {
        "schema": SCHEMA,
        "tool": {"name": "certify", "version": __version__},
        "verdict": None,
        "reason": code,
        "message": message,
        "exit_code": exit_code,
        "model": {"path": model},
    }


def finite(content: dict[str, Any]) -> dict[str, Any]:
    """Plain data with None for numbers that are not finite: an infinite bound says nothing and is written as null."""
    return {key: _finite(value) for key, value in content.items()}


def json_report(report: Report) -> str:
    """The object of one model, the list of several, or the whole audit."""
    document = report.document
    return (to_json(document) if isinstance(document, Mapping) else _array(document)) + "\n"


def jsonl_report(report: Report) -> str:
    """One line per model."""
    return "".join(f"{to_json(entry.content, indent=None)}\n" for entry in report.entries)


def to_json(content: Content, indent: int | None = 2) -> str:
    """JSON text; raises ValueError for a non-finite number."""
    return json.dumps(content, indent=indent, ensure_ascii=False, allow_nan=False)


def _array(objects: list[Content]) -> str:
    return "[\n" + ",\n".join(to_json(entry) for entry in objects) + "\n]"


def _finite(value: Any) -> Any:  # noqa: ANN401
    match value:
        case dict():
            return finite(value)
        case list() | tuple():
            return [_finite(entry) for entry in value]
        case float():
            return value if math.isfinite(value) else None
    return value
