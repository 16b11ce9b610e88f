"""Rounds of a growth as cells of text: the columns that the live view, the lines and the page share."""

from __future__ import annotations

import math
from collections.abc import Callable

from certify.certificates.growth_report import GrowthRound
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


def _aligned(value: float, outward: Callable[[float, int], str]) -> str:
    """With trailing zeros, so that digits stand below each other."""
    return f"{float(outward(value, DIGITS)):#.{DIGITS}g}" if math.isfinite(value) else ABSENT
