"""Rounding of float64: its unit, and sums that are rounded once."""

import math
from collections.abc import Iterable

UNIT_ROUNDOFF = 2.0**-53


def rounded_sum(terms: Iterable[float]) -> float:
    """The sum, rounded once; +inf where it overflows or infinities cancel, which no upper bound is below."""
    try:
        return math.fsum(terms)
    except (OverflowError, ValueError):
        return math.inf
