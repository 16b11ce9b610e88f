"""One climb of the ladder at a dual candidate, told to a listener."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

from certify.bounds.ladder import LowerBound, climb, trivial_bound
from certify.bounds.methods import SEARCHES
from certify.bounds.polar import PolarTask
from certify.growth.stages import Candidate
from certify.problem import Objective
from certify.workflows.certificate_of import FAILURE_PROBABILITY

# Time for the lower end of the polar at a dual point that a bound chose itself.
MOVED_SEARCH_SECONDS = 2.0

BoundListener = Callable[[float, str], None]


def bound_at(
    objective: Objective,
    candidate: Candidate | None,
    needed: float,
    deadline: float,
    listener: BoundListener,
    failure_probability: float = FAILURE_PROBABILITY,
) -> LowerBound:
    """The best lower bound at a candidate by the deadline, with the best known witness of its polar.

    Args:
        objective: what is bounded.
        candidate: the dual point; None for the trivial bound.
        needed: a lower bound at or above this decides.
        deadline: `time.perf_counter()` value.
        listener: called with the best lower bound and a few words.
        failure_probability: largest allowed of a randomized proof; 0 for rigorous proofs only.
    """
    if candidate is None:
        return trivial_bound(objective)

    def report(name: str, value: float, polar: float, detail: str) -> None:
        listener(value, f"{name}: {detail}, polar at most {polar:.4f} λ")

    searched = candidate.polar
    chance = failure_probability
    task = PolarTask(
        objective, candidate.dual, objective.strength, deadline, searched.witness, failure_probability=chance
    )
    bound = climb(task, needed, report)
    if bound.point.values is not task.dual:
        # The bound moved the dual point; its polar is worth a short search of its own.
        task = replace(task, dual=bound.point.values, deadline=time.perf_counter() + MOVED_SEARCH_SECONDS)
        searched = SEARCHES[objective.kind.name](task)
    if bound.polar.lower >= searched.lower:
        return bound
    return replace(bound, polar=replace(bound.polar, lower=searched.lower, witness=searched.witness))
