"""Pruning: the smallest network found whose objective stays below a ceiling, here what a bound still certifies."""

from __future__ import annotations

import time

import torch

from certify.growth.balance import balanced
from certify.growth.corrective import corrected
from certify.growth.descent import descend
from certify.growth.factor_descent import factors_descended, grows_by_factors
from certify.growth.merge import costs, merged, without_dead
from certify.growth.polish import polish_applies, polished
from certify.problem import Objective, ParallelNetwork

DESCENT_STEPS = 200
# Single subnetworks tried for removal, smallest first, once no larger group can go.
SINGLE_TRIES = 6


def pruned(objective: Objective, network: ParallelNetwork, ceiling: float, deadline: float) -> ParallelNetwork:
    """A network with as few subnetworks as this search can do with.

    The smallest half is dropped and the rest refit; where that costs more than the ceiling of the objective, fewer. If
    nothing can go the network comes back balanced. Stops at the deadline in `time.perf_counter()`.
    """
    best = _if_allowed(objective, merged(objective, without_dead(objective, network)), ceiling) or network
    count = best.width // 2
    while count >= 1 and time.perf_counter() < deadline:
        lighter = _without(objective, best, range(count), ceiling, deadline)
        best, count = (lighter, min(count, lighter.width // 2)) if lighter else (best, count // 2)
    place = 1
    while place < min(SINGLE_TRIES, best.width) and time.perf_counter() < deadline:
        lighter = _without(objective, best, range(place, place + 1), ceiling, deadline)
        best, place = (lighter, 0) if lighter else (best, place + 1)
    return _if_allowed(objective, balanced(objective, best), ceiling) or best


def _without(
    objective: Objective, network: ParallelNetwork, places: range, ceiling: float, deadline: float
) -> ParallelNetwork | None:
    """The refit network without the subnetworks at these places of the order of cost, None above the ceiling."""
    order = torch.cat(costs(objective, network)).argsort()
    kept = torch.ones(network.width, dtype=torch.bool, device=order.device)
    kept[order[places.start : places.stop]] = False
    parts = zip(network.stacks, torch.split(kept, list(network.widths)), strict=True)
    left = ParallelNetwork(tuple(tuple(f[part] for f in stack) for stack, part in parts), network.coefficients)
    return _if_allowed(objective, refit(objective, left, deadline), ceiling)


def refit(objective: Objective, network: ParallelNetwork, deadline: float) -> ParallelNetwork:
    """The network at its width, as good as local descent and the restricted problem make it."""
    nothing = objective.empty_stacks()
    if grows_by_factors(objective):
        return factors_descended(objective, network, nothing, deadline, DESCENT_STEPS)
    moved = descend(objective, corrected(objective, network, nothing, deadline), deadline, DESCENT_STEPS)
    moved = without_dead(objective, moved)
    if not polish_applies(objective, moved, nothing):
        return moved
    better = polished(objective, moved, nothing, deadline)
    return min((moved, better), key=lambda candidate: objective.evaluate(candidate).objective)


def _if_allowed(objective: Objective, network: ParallelNetwork, ceiling: float) -> ParallelNetwork | None:
    return network if objective.evaluate(network).objective <= ceiling else None
