"""The relative gap (objective − bound)/|objective|, in the one form that everything which shows it shares."""

from __future__ import annotations

# Stands for |objective| where that is smaller, so that a gap of 0 is 0 also at an objective of 0.
SMALLEST_OBJECTIVE = 1e-300


def relative_gap(gap: float, objective: float) -> float:
    """An absolute gap as a share of |objective|."""
    return gap / max(abs(objective), SMALLEST_OBJECTIVE)
