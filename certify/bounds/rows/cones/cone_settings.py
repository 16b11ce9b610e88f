"""What a cone search is to prove, and when it stops."""

from __future__ import annotations

import sys
from dataclasses import dataclass

from certify.bounds.rows.cones.cone_bound import Majorant
from certify.problem import Slopes

# Relative room left below the goal, so that a checker's own rounding never exceeds it.
PRUNE_SLACK = 4e-9
# Cones are closed at this many times d times the rounding allowance, whatever the goal.
NOISE_MULTIPLE = 4.0
# Slopes of max(t, 0).
RELU = Slopes(1.0, 0.0)


@dataclass(frozen=True, slots=True)
class ConeSettings:
    """What to prove and when to stop.

    Attributes:
        target: Value of P of interest (the polar threshold); 0 closes the gap itself.
        relative_tolerance: Done when upper <= max(target, lower) (1 + relative_tolerance); positive.
        seconds: Wall-clock limit.
        max_nodes: Most cones to bound.
        memory_bytes: Most memory for open cones and the proof. Short of it the search goes depth first to the goal,
            which keeps few cones open; it stops where the proof itself does not fit.
        free_axis: Coordinate of u outside the norm. Its column of X must be constant and every column of Q must
            sum to zero exactly.
        slopes: Of s.
    """

    target: float = 0.0
    relative_tolerance: float = 0.01
    seconds: float = 60.0
    max_nodes: int = sys.maxsize
    memory_bytes: int = 2 << 30
    free_axis: int | None = None
    slopes: Slopes = RELU

    def goal(self, lower: float) -> float:
        """Return the upper bound that is asked for, given a lower one."""
        return max(lower, self.target) * (1 + self.relative_tolerance)

    def closing(self, majorant: Majorant, lower: float) -> float:
        """Bound at which a cone is closed for good; never below what rounding alone adds to a bound."""
        noise = NOISE_MULTIPLE * majorant.error * majorant.rows.shape[1]
        return max(noise, self.goal(lower) * (1 - PRUNE_SLACK))
