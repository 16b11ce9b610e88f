"""Fewer subnetworks for the same function: parallel ones merged, dead ones dropped.

Σ_i α_i φ(w) = (Σ_i α_i) φ(w), and one kink seen from two cells is one subnetwork.
"""

from __future__ import annotations

import torch
from torch import Tensor

from certify.growth.directions import directions_of
from certify.problem import Objective, ParallelNetwork

# Directions whose factors all differ by less than this count as parallel.
PARALLEL = 1e-7
# Subnetworks whose matched product is below this share of the largest are dead.
DEAD_SHARE = 1e-12


def merged(objective: Objective, network: ParallelNetwork) -> ParallelNetwork:
    """The network with every group of parallel subnetworks replaced by one, which costs no more.

    Outputs change by no more than `PARALLEL` times the merged sizes.
    """
    directions, scales = directions_of(objective, network)
    order = scales.argsort(descending=True)
    flat = torch.cat([f[order].flatten(1) for f in directions], 1)
    leader = _leaders(flat)
    sums = torch.zeros_like(scales).index_add(0, leader, scales[order])
    kept = sums > 0
    share = sums[kept] ** (1 / objective.kind.degree)
    factors = tuple(f[order][kept] * share.reshape(-1, *[1] * (f.ndim - 1)) for f in directions)
    return ParallelNetwork(factors, network.coefficients)


def without_dead(objective: Objective, network: ParallelNetwork) -> ParallelNetwork:
    """The network without the subnetworks that contribute nothing; one may contribute by its free bias alone."""
    if network.width == 0:
        return network
    products = objective.matched_products(network)
    alive = products > DEAD_SHARE * products.max().clamp_min(torch.finfo(torch.float64).tiny)
    if objective.free_inputs:
        biases = network.factors[0][:, -objective.free_inputs :].abs().amax(1)
        alive |= (biases * torch.linalg.vector_norm(network.factors[1], dim=1) > DEAD_SHARE * products.max()) & (
            products > 0
        )
    return ParallelNetwork(tuple(f[alive] for f in network.factors), network.coefficients)


def _leaders(flat: Tensor) -> Tensor:
    """For every row the index of the first row that it is close to, (r,)."""
    if not len(flat):
        return torch.zeros(0, dtype=torch.long, device=flat.device)
    close = torch.cdist(flat, flat) <= PARALLEL * torch.linalg.vector_norm(flat, dim=1)
    first: Tensor = close.to(torch.int8).argmax(1)
    return first
