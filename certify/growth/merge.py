"""Fewer subnetworks for the same function: parallel ones merged, dead ones dropped.

Σ_i α_i φ(w) = (Σ_i α_i) φ(w), and one kink seen from two cells is one subnetwork.
"""

from __future__ import annotations

import torch
from torch import Tensor

from certify.growth.directions import directions_of, subnetworks_of
from certify.problem import Branch, Factors, Objective, ParallelNetwork

# Directions whose factors all differ by less than this count as parallel.
PARALLEL = 1e-7
# Subnetworks whose cost is below this share of the largest are dead.
DEAD_SHARE = 1e-12


def merged(objective: Objective, network: ParallelNetwork) -> ParallelNetwork:
    """The network with every group of parallel subnetworks replaced by one, which costs no more.

    Outputs change by no more than `PARALLEL` times the merged sizes.
    """
    stacks = (_merged(branch, stack) for branch, stack in zip(objective.branches, network.stacks, strict=True))
    return ParallelNetwork(tuple(stacks), network.coefficients)


def costs(objective: Objective, network: ParallelNetwork) -> tuple[Tensor, ...]:
    """Penalty of every subnetwork when balanced: (r,) in each branch."""
    pairs = zip(objective.branches, network.stacks, strict=True)
    return tuple(branch.gauge.coefficient * branch.products(stack) ** branch.gauge.exponent for branch, stack in pairs)


def without_dead(objective: Objective, network: ParallelNetwork) -> ParallelNetwork:
    """The network without the subnetworks that contribute nothing; one may contribute by its free bias alone."""
    if network.width == 0:
        return network
    all_costs = costs(objective, network)
    limit = DEAD_SHARE * float(torch.cat(all_costs).max())
    stacks = []
    for branch, stack, cost in zip(objective.branches, network.stacks, all_costs, strict=True):
        alive = cost > limit
        if branch.view.free_inputs:
            biases = stack[0][:, -branch.view.free_inputs :].abs().amax(1)
            shift = branch.gauge.coefficient * biases * torch.linalg.vector_norm(stack[1], dim=1)
            alive |= (shift > limit) & (cost > 0)
        stacks.append(tuple(f[alive] for f in stack))
    return ParallelNetwork(tuple(stacks), network.coefficients)


def _merged(branch: Branch, stack: Factors) -> Factors:
    directions, scales = directions_of(branch, stack)
    order = scales.argsort(descending=True)
    leader = _leaders(torch.cat([f[order] for f in directions], 1))
    sums = torch.zeros_like(scales).index_add(0, leader, scales[order])
    kept = sums > 0
    return subnetworks_of(branch, tuple(f[order][kept] for f in directions), sums[kept])


def _leaders(flat: Tensor) -> Tensor:
    """For every row the index of the first row that it is close to, (r,)."""
    if not len(flat):
        return torch.zeros(0, dtype=torch.long, device=flat.device)
    close = torch.cdist(flat, flat) <= PARALLEL * torch.linalg.vector_norm(flat, dim=1)
    first: Tensor = close.to(torch.int8).argmax(1)
    return first
