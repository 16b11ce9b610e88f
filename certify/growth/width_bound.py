"""Theorem 2's width: with this many subnetworks every network has a path that never rises to a global minimum.

Haeffele and Vidal 2017, Theorem 2: from any network with r > D subnetworks, D = dim span{φ(w)}, a path along which the
objective never rises leads to a global minimum; and D subnetworks suffice for one (Carathéodory).
"""

from __future__ import annotations

import math

from certify.problem import Objective


def width_bound(objective: Objective) -> int:
    """D + 1, with D bounded from above by the spans of all branches and by the number n c of outputs.

    Where unobserved entries count, outputs are all entries of the matrix.
    """
    if objective.unobserved:
        return math.prod(factor.shape[1] for factor in objective.empty_stacks()[0]) + 1
    spans = sum(branch.kind.span_upper(branch.view, objective.outputs) for branch in objective.branches)
    return min(spans, objective.samples * objective.outputs) + 1
