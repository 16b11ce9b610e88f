"""A round without subnetworks: Newton steps on the convex part where they pay off, quasi-Newton steps otherwise."""

from __future__ import annotations

from certify.growth.corrective import corrected
from certify.growth.descent import descend
from certify.problem import Objective, ParallelNetwork

# Largest number of coefficients, and of entries of all their directions, for which Newton systems pay off.
MOST_COLUMNS = 1500
MOST_ENTRIES = 2e7
QUASI_NEWTON_STEPS = 2000


def refit_convex_part(objective: Objective, network: ParallelNetwork, deadline: float) -> ParallelNetwork:
    """Better coefficients.

    Args:
        objective: the function to minimize, without branches.
        network: where to start.
        deadline: `time.perf_counter()` value at which to stop.
    """
    columns = network.coefficients.numel()
    if columns <= MOST_COLUMNS and columns * objective.samples * objective.outputs <= MOST_ENTRIES:
        return corrected(objective, network, objective.empty_stacks(), deadline)
    return descend(objective, network, deadline, QUASI_NEWTON_STEPS)
