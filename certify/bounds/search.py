"""Search of all branches for subnetworks that violate the polar condition, by the form of each."""

from __future__ import annotations

import time

from torch import Tensor

from certify.bounds.methods import SEARCHES
from certify.bounds.polar import DIVERGED, PolarEstimate, PolarTask
from certify.problem import Factors, Objective


def search(
    objective: Objective, dual: Tensor, stacks: tuple[Factors, ...], deadline: float, seed: int = 0
) -> tuple[PolarEstimate, ...]:
    """What a search of every branch finds at A (n, c), the time shared among the branches that are left.

    Args:
        objective: whose branches are searched.
        dual: A, (n, c).
        stacks: subnetworks to start from, one stack a branch.
        deadline: `time.perf_counter()` value at which to stop.
        seed: of all randomness.
    """
    found: list[PolarEstimate] = []
    for index, (branch, starts) in enumerate(zip(objective.branches, stacks, strict=True)):
        own = shared_deadline(deadline, len(objective.branches) - index)
        task = PolarTask(objective, index, dual, branch.strength, own, starts, seed)
        try:
            found.append(SEARCHES[type(branch.form)](task))
        except DIVERGED:
            # Of numbers that overflow: every polar is at least 0.
            found.append(PolarEstimate(0.0, starts))
    return tuple(found)


def shared_deadline(deadline: float, left: int) -> float:
    """When the next of some branches has to stop."""
    now = time.perf_counter()
    return now + (deadline - now) / left
