"""A growth in words and cells of text, which the live view, the lines, the text, the plot and the page share."""

from __future__ import annotations

import math
from collections.abc import Callable

from certify.certificates.growth_report import GrowthReport, GrowthRound
from certify.reports import phrases

HEADINGS = ("round", "width", "objective", "lower bound", "gap", "violation", "elapsed")
# Stands where there is no finite value yet.
ABSENT = "–"
# Of objectives and bounds.
DIGITS = 8


def cells_of(row: GrowthRound) -> tuple[str, ...]:
    """One cell per heading; objective and bound are rounded outward."""
    return (
        str(row.round),
        str(row.width),
        _aligned(row.objective, phrases.at_most),
        _aligned(row.lower_bound, phrases.at_least),
        f"{row.relative_gap:.2e}" if math.isfinite(row.relative_gap) else ABSENT,
        ABSENT if row.violation is None or not math.isfinite(row.violation) else f"{row.violation:.1e}",
        f"{row.seconds:.1f} s",
    )


def widths(report: GrowthReport) -> str:
    """How the width went."""
    grown = f"{report.width_before} → {phrases.count(report.width_grown, 'subnetwork')}"
    return grown if report.width_after == report.width_grown else f"{grown}, pruned to {report.width_after}"


def lowered(report: GrowthReport) -> str:
    """How the objective went, and in how many rounds."""
    rounds = report.rounds[-1].round if report.rounds else 0
    ends = f"{phrases.at_most(report.objective_before)} → {phrases.at_most(report.objective_after)}"
    return f"objective {ends} in {phrases.count(rounds, 'round')}"


def _aligned(value: float, outward: Callable[[float, int], str]) -> str:
    """With trailing zeros, so that digits stand below each other."""
    return f"{float(outward(value, DIGITS)):#.{DIGITS}g}" if math.isfinite(value) else ABSENT
