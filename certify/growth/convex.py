"""A round without subnetworks: Newton steps on the convex part where they pay off, quasi-Newton steps otherwise."""

from __future__ import annotations

from certify.growth.corrective import corrected
from certify.growth.descent import descend
from certify.growth.newton_system import MOST_COLUMNS, MOST_ENTRIES
from certify.problem import Objective, ParallelNetwork

QUASI_NEWTON_STEPS = 2000


def refit_convex_part(objective: Objective, network: ParallelNetwork, deadline: float) -> ParallelNetwork:
    """Better coefficients for an objective without branches, by the deadline in `time.perf_counter()`."""
    columns = network.coefficients.numel()
    if columns <= MOST_COLUMNS and columns * objective.samples * objective.outputs <= MOST_ENTRIES:
        return corrected(objective, network, objective.empty_stacks(), deadline)
    return descend(objective, network, deadline, QUASI_NEWTON_STEPS)
