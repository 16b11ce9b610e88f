"""Theorem 2's width: with this many subnetworks every network has a path that never rises to a global minimum.

Haeffele and Vidal 2017, Theorem 2: from any network with r > D subnetworks, D = dim span{φ(w)}, a path along which the
objective never rises leads to a global minimum; and D subnetworks suffice for one (Carathéodory).
"""

from __future__ import annotations

import torch

from certify.problem import Objective


def width_bound(objective: Objective) -> int:
    """D + 1, with D = c · dim span{σ(H u)} bounded from above by the rank of what σ can make of H."""
    inputs = objective.inputs
    rank = int(torch.linalg.matrix_rank(inputs)) if inputs.numel() else 0
    match objective.kind.name:
        case "single-layer":
            features = 0
        case "linear":
            features = rank
        case "quadratic":
            features = rank * (rank + 1) // 2
        case _:
            features = int((torch.unique(inputs, dim=0) != 0).any(1).sum())
    return min(features, objective.samples) * objective.outputs + 1
