"""A growth as JSON: the block of a result, and `certify.growth-round/1` for each round as it ends."""

from __future__ import annotations

import math
from typing import Any

from certify.certificates.growth_report import GrowthReport, GrowthRound

ROUND_SCHEMA = "certify.growth-round/1"


def growth_object(report: GrowthReport) -> dict[str, Any]:
    """The growth as a JSON-ready dictionary; what is not finite is None."""
    return {
        "rounds": report.rounds[-1].round if report.rounds else 0,
        "width": {
            "before": report.width_before,
            "grown": report.width_grown,
            "after": report.width_after,
            "bound": report.width_bound,
        },
        "objective": {"before": _finite(report.objective_before), "after": _finite(report.objective_after)},
        "history": [_row(row) for row in report.rounds],
    }


def round_object(row: GrowthRound) -> dict[str, Any]:
    """One round as a JSON-ready dictionary, for a stream."""
    return {"schema": ROUND_SCHEMA, **_row(row)}


def _row(row: GrowthRound) -> dict[str, Any]:
    return {
        "round": row.round,
        "width": row.width,
        "objective": _finite(row.objective),
        "lower_bound": _finite(row.lower_bound),
        "relative_gap": _finite(row.relative_gap),
        "violation": _finite(row.violation),
        "seconds": _finite(row.seconds),
    }


def _finite(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else value
