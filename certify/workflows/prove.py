"""Alternate between searching for a better model and bounding, until the verdict is reached or the budget spent."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import final

from certify.bounds.ladder import LowerBound
from certify.growth.directions import joined
from certify.growth.improve import SearchSettings, continued, improve
from certify.growth.stages import Candidate, Improvement
from certify.models.loading import Problem
from certify.problem import Factors
from certify.progress import Listener, Progress
from certify.workflows.bounding import BoundSettings, bound_at
from certify.workflows.checkpoint import Checkpoint
from certify.workflows.pursuit import Pursuit, pursue

# Share of the budget that the search for a better model may take.
SEARCH_SHARE = 0.4
# Once a better model is known, the lower bound gets at most this share of the budget: the verdict stands.
BOUND_SHARE_IF_IMPROVABLE = 0.25
# Bounds are asked to close this share of the allowance, so that a certificate is not a hair from its limit.
AIMED_SHARE = 0.75
# Rounds of searching on after a bound that did not decide, as long as this share of the budget is left.
ATTEMPTS = 4
LEAST_SHARE_LEFT = 0.1
# The search stops when this share of the allowance separates model and hoped-for bound.
RESOLUTION_SHARE = 0.25


@final
@dataclass(frozen=True, slots=True)
class Quest:
    """What is to be decided, and how to bound.

    Attributes:
        objective: of the given network, rounded up.
        allowed: largest gap that counts as none, absolute.
        deadline: `time.perf_counter()` value at which the budget ends.
        checkpoint: keeps the state, and holds where to go on.
    """

    problem: Problem
    objective: float
    allowed: float
    deadline: float
    settings: BoundSettings
    checkpoint: Checkpoint | None = None

    @property
    def required(self) -> float:
        """A lower bound that certifies; an objective below it that shows the opposite."""
        return self.objective - self.allowed


def search_and_bound(quest: Quest) -> tuple[Improvement, LowerBound]:
    """The best model and the best lower bound that the budget buys."""
    if quest.problem.objective.exponent != 1:
        return _pursued(quest)
    problem, resolution = quest.problem, RESOLUTION_SHARE * quest.allowed
    seed, listener = quest.settings.seed, quest.settings.listener
    settings = SearchSettings(SEARCH_SHARE * problem.budget_seconds, resolution, seed)
    until = time.perf_counter() + settings.seconds
    kept = None if quest.checkpoint is None else quest.checkpoint.improvement(problem.network, until, seed)
    found = kept or improve(problem.objective, problem.network, settings, listener)
    bound = _bounded(quest, found)
    for attempt in range(ATTEMPTS):
        decided = bound.value >= quest.required or found.best.objective < quest.required
        left = quest.deadline - time.perf_counter()
        if decided or found.candidate is None or left < LEAST_SHARE_LEFT * problem.budget_seconds:
            break
        found_before, hints = found, _hints(found.candidate, bound)
        finer = SearchSettings(SEARCH_SHARE * left, resolution / 4 ** (attempt + 1), seed + attempt + 1)
        found = continued(problem.objective, found, hints, finer, _with_bound(listener, bound.value))
        if found.candidate is found_before.candidate and found.best.objective >= found_before.best.objective:
            break
        latest = _bounded(quest, found)
        bound = replace(max(bound, latest, key=lambda b: b.value), exhausted=latest.exhausted)
    return found, bound


def _pursued(quest: Quest) -> tuple[Improvement, LowerBound]:
    """The same where the penalty has a smaller degree than the subnetworks."""

    def goal(state: Pursuit) -> float:
        best = state.found.best.objective
        if best < quest.required:
            return best - AIMED_SHARE * quest.allowed
        return quest.required + (1 - AIMED_SHARE) * quest.allowed

    return pursue(quest.problem.objective, quest.problem.network, goal, quest.deadline, quest.settings)


def _hints(candidate: Candidate, bound: LowerBound) -> tuple[Factors, ...]:
    """What search and bound name of every branch."""
    return tuple(
        searched.witness if searched.witness is proven.witness else joined(searched.witness, proven.witness)
        for searched, proven in zip(candidate.polars, bound.polars, strict=True)
    )


def _with_bound(listener: Listener, proven: float) -> Listener:
    """Adds the lower bound that has been proven before."""
    return lambda event: listener(replace(event, lower_bound=proven))


def _bounded(quest: Quest, found: Improvement) -> LowerBound:
    """One climb of the ladder at the best dual candidate."""
    deadline, needed = quest.deadline, quest.required + (1 - AIMED_SHARE) * quest.allowed
    if found.best.objective < quest.required:
        # No lower bound can certify this model any more; a decent one is still worth stating.
        share = BOUND_SHARE_IF_IMPROVABLE * quest.problem.budget_seconds
        deadline = min(deadline, time.perf_counter() + share)
        needed = found.best.objective - AIMED_SHARE * quest.allowed

    def report(event: Progress) -> None:
        quest.settings.listener(replace(event, objective=found.best.objective))

    keeper = None if quest.checkpoint is None else quest.checkpoint.keeper(found)
    settings = replace(quest.settings, listener=report, labor=replace(quest.settings.labor, keeper=keeper))
    return bound_at(quest.problem.objective, found.best.network, found.candidate, needed, deadline, settings)
