"""A growth as JSON: the block of a result, and `certify.growth-round/1` for each round as it ends."""

from __future__ import annotations

from typing import Any

from certify.certificates.growth_report import GrowthReport, GrowthRound
from certify.reports.result_json import finite

ROUND_SCHEMA = "certify.growth-round/1"
ROUND_KEYS = ("round", "width", "objective", "lower_bound", "relative_gap", "violation", "seconds")


def growth_object(report: GrowthReport) -> dict[str, Any]:
    """The growth as a JSON-ready dictionary; what is not finite is None."""
    return finite(
        {
            "rounds": report.rounds[-1].round if report.rounds else 0,
            "width": {end: getattr(report, f"width_{end}") for end in ("before", "grown", "after", "bound")},
            "objective": {"before": report.objective_before, "after": report.objective_after},
            "history": [_row(row) for row in report.rounds],
        }
    )


def round_object(row: GrowthRound) -> dict[str, Any]:
    """One round as a JSON-ready dictionary, for a stream."""
    return finite({"schema": ROUND_SCHEMA, **_row(row)})


def _row(row: GrowthRound) -> dict[str, Any]:
    return {name: getattr(row, name) for name in ROUND_KEYS}
