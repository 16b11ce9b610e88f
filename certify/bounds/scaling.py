"""How far bounds on polars let a dual point be scaled, and which bounds would suffice."""

from __future__ import annotations

import math
import sys

from torch import Tensor

from certify.problem import Branch, Objective
from certify.problem.dual import DualPoint, best_scale, dual_value_estimate

# Scales below this are as good as 0: the dual value does not depend on A there.
SMALLEST_SCALE = 1e-250

# Enough to resolve the useful polar to 1e-7; it only steers the effort.
BISECTIONS = 24


def capped(objective: Objective, dual: Tensor, polars: tuple[float, ...]) -> DualPoint:
    """The best multiple of a dual point, at most min_b λ_b/U_b; of any size where there are no branches."""
    caps = [b.strength / polar for b, polar in zip(objective.branches, polars, strict=True) if polar > 0]
    # The quotient rounds once; stay on the safe side of it.
    return best_scale(objective, dual, min(caps, default=math.inf) * (1 - 2.0**-51))


def target_of(branch: Branch, ratio: float) -> float:
    """The polar bound that is useful, from its ratio to λ."""
    return min(branch.strength * ratio, sys.float_info.max)


def useful_ratio(objective: Objective, dual: Tensor, needed: float) -> float:
    """Largest U/λ for which scaling A by λ/U still gives a dual value of at least `needed`; 0 if none does."""
    best = best_scale(objective, dual, 1.0)
    if best.value < needed:
        return 0.0
    low, high = 0.0, best.scale
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        low, high = (low, middle) if dual_value_estimate(objective, middle * dual) >= needed else (middle, high)
    # At high = 0 any finite polar serves.
    return 1 / high if high > SMALLEST_SCALE else sys.float_info.max
