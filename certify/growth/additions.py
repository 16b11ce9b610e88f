"""Steps of finite size under a penalty of a smaller degree than the subnetworks.

A small subnetwork of product t costs c t^e, e < 1, and gains at most a multiple of t: no direction lowers the objective
at first order, and width zero is a strict local minimum. What lowers it is a subnetwork of a certain size, or none in
the place of one.
"""

from __future__ import annotations

import time

import torch
from torch import Tensor

from certify.growth.descent import descend
from certify.growth.directions import inside, joined, subnetworks_of
from certify.growth.merge import costs, without_dead
from certify.growth.stages import Stage, find_candidate, stage_of
from certify.problem import Branch, Factors, Objective, ParallelNetwork

DESCENT_STEPS = 300
# Sizes that are tried, as powers of √2 times the size at which the linear gain is as large as the cost.
POWERS = range(-1, 24)
# Networks that are begun at random each time, by so many subnetworks, whose sizes vary by these powers of two.
RESTARTS, MOST_DRAWN, SPREAD = 6, 4, 2.0
# Directions that are tried in each branch, and most subnetworks that are added, and that are taken out, in turn.
MOST_TRIED, MOST_ADDED, MOST_TAKEN = 16, 4, 12


def reworked(objective: Objective, stage: Stage, deadline: float, seed: int = 0) -> Stage:
    """A stage that is not higher: after descent, also from random networks, with subnetworks added and taken out."""
    stage = descended(objective, stage, stage.network, deadline)
    generator = torch.Generator().manual_seed(seed)
    for _ in range(RESTARTS):
        if time.perf_counter() > deadline:
            break
        stage = descended(objective, stage, _drawn(objective, stage.network, generator), deadline)
    for _ in range(MOST_ADDED):
        wider = _with_one(objective, stage, deadline, seed)
        if wider is stage or time.perf_counter() > deadline:
            break
        stage = wider
    return _without_some(objective, stage, deadline)


def descended(objective: Objective, stage: Stage, network: ParallelNetwork, deadline: float) -> Stage:
    """The stage, or a network of the same width as another after descent, where that is lower."""
    moved = descend(objective, network, deadline, DESCENT_STEPS)
    return stage.better(stage_of(objective, without_dead(objective, moved)))


def _drawn(objective: Objective, network: ParallelNetwork, generator: torch.Generator) -> ParallelNetwork:
    """Random directions of about the size that all subnetworks of a network have together."""
    stacks = []
    for branch, stack in zip(objective.branches, network.stacks, strict=True):
        width = int(torch.randint(1, MOST_DRAWN + 1, (), generator=generator))
        drawn = (torch.randn(width, f.shape[1], generator=generator, dtype=f.dtype).to(f) for f in stack)
        units = tuple(torch.nn.functional.normalize(f, dim=1) for f in inside(branch, tuple(drawn)))
        total = float(branch.products(stack).sum()) or 1.0
        sizes = total / width * 2.0 ** (SPREAD * torch.randn(width, generator=generator, dtype=torch.float64))
        stacks.append(subnetworks_of(branch, units, sizes.to(stack[0])))
    return ParallelNetwork(tuple(stacks), network.coefficients)


def _with_one(objective: Objective, stage: Stage, deadline: float, seed: int) -> Stage:
    """With the best of the subnetworks that a search for violating directions finds, at its best size."""
    candidate = find_candidate(objective.matched(1.0), stage.network, deadline, seed)
    if candidate is None:
        return stage
    outputs, best = objective.forward(stage.network), stage
    for place, (branch, polar) in enumerate(zip(objective.branches, candidate.polars, strict=True)):
        for unit in range(min(MOST_TRIED, len(polar.witness[0]))):
            direction = tuple(factor[unit : unit + 1] for factor in polar.witness)
            size = _best_size(objective, branch, outputs, candidate.dual, direction)
            if size is None:
                continue
            stacks = list(stage.network.stacks)
            stacks[place] = joined(stacks[place], subnetworks_of(branch, direction, outputs.new_tensor([size])))
            wider = ParallelNetwork(tuple(stacks), stage.network.coefficients)
            best = descended(objective, best, wider, deadline)
    return best


def _best_size(objective: Objective, branch: Branch, outputs: Tensor, dual: Tensor, direction: Factors) -> float | None:
    """The product t at which a direction lowers the objective most; None if it does at none that is tried."""
    gauge, pairing = branch.gauge, float(branch.pairing(dual, direction))
    if not pairing > 0:
        return None
    least = (gauge.coefficient / pairing) ** (1 / (1 - gauge.exponent))
    sizes = [least * 2.0 ** (power / 2) for power in POWERS]
    ray = branch.outputs(direction)[0]
    before = float(objective.loss.value_terms(outputs).sum())

    def rise(size: float) -> float:
        loss = float(objective.loss.value_terms(outputs + size * ray).sum())
        cost: float = gauge.coefficient * size**gauge.exponent
        return loss - before + cost

    best = min(sizes, key=rise)
    return best if rise(best) < 0 else None


def _without_some(objective: Objective, stage: Stage, deadline: float) -> Stage:
    """Without subnetworks that cost more than the others, moved again, lose by their absence; the cheapest first."""
    nothing = ParallelNetwork(objective.empty_stacks(), stage.network.coefficients)
    stage, place = descended(objective, stage, nothing, deadline), 0
    for _ in range(MOST_TAKEN):
        if place >= stage.network.width or time.perf_counter() > deadline:
            break
        lighter = descended(objective, stage, _without(objective, stage.network, place), deadline)
        stage, place = (stage, place + 1) if lighter is stage else (lighter, 0)
    return stage


def _without(objective: Objective, network: ParallelNetwork, place: int) -> ParallelNetwork:
    """Without the subnetwork at this place of the order of cost."""
    all_costs = torch.cat(costs(objective, network))
    kept = torch.ones_like(all_costs, dtype=torch.bool)
    kept[all_costs.argsort()[place]] = False
    parts = zip(network.stacks, torch.split(kept, list(network.widths)), strict=True)
    return ParallelNetwork(tuple(tuple(f[part] for f in stack) for stack, part in parts), network.coefficients)
