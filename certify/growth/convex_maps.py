"""The convex part as directions of the outputs: E C = Σ_kj C_kj D_kj."""

from __future__ import annotations

import torch
from torch import Tensor

from certify.problem import Objective


def convex_maps(objective: Objective) -> Tensor:
    """D, (k c, n, c)."""
    features, c = objective.convex.features, objective.outputs
    units = torch.eye(c, dtype=features.dtype, device=features.device)
    return torch.einsum("nk,ij->kjni", features, units).reshape(-1, len(features), c)
