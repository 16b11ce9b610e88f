"""The polar where there are no subnetworks: 0 at every dual point."""

from __future__ import annotations

from certify.bounds.polar import PolarBound, PolarTask


def vacuous_bound(task: PolarTask) -> PolarBound:
    """Zero from both sides."""
    return PolarBound(0.0, task.objective.empty_network().factors, 0.0, "vacuous")
