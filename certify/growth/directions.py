"""Networks as directions and scales: φ(w_i) with θ(w_i) = 1, times α_i = the matched product t_i."""

from __future__ import annotations

from torch import Tensor

from certify.problem import Factors, Objective, ParallelNetwork


def directions_of(objective: Objective, network: ParallelNetwork) -> tuple[Factors, Tensor]:
    """Directions (factors with every norm 1) and scales α (r,) of the subnetworks with a nonzero product."""
    scales = objective.matched_products(network)
    alive = scales > 0
    norms = objective.norms(network)
    directions = tuple(
        f[alive] / norm[alive].reshape(-1, *[1] * (f.ndim - 1)) for f, norm in zip(network.factors, norms, strict=True)
    )
    return directions, scales[alive]
