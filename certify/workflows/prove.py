"""Alternate between searching for a better model and bounding, until the verdict is reached or the budget spent."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import final

import torch

from certify.bounds.ladder import LowerBound
from certify.growth.improve import RoundListener, SearchSettings, continued, improve
from certify.growth.stages import Improvement
from certify.models.loading import Problem
from certify.workflows.bounding import bound_at
from certify.workflows.listener import Listener

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
    """What is to be decided, and with what.

    Attributes:
        problem: the model in question.
        objective: of the given network, rounded up.
        allowed: largest gap that counts as none, absolute.
        deadline: `time.perf_counter()` value at which the budget ends.
        seed: of all randomness.
        failure_probability: largest allowed of a randomized proof; 0 for rigorous proofs only.
        listener: told of progress.
    """

    problem: Problem
    objective: float
    allowed: float
    deadline: float
    seed: int
    failure_probability: float
    listener: Listener

    @property
    def required(self) -> float:
        """A lower bound that certifies; an objective below it that shows the opposite."""
        return self.objective - self.allowed


def search_and_bound(quest: Quest) -> tuple[Improvement, LowerBound]:
    """The best model and the best lower bound that the budget buys."""
    problem, resolution = quest.problem, RESOLUTION_SHARE * quest.allowed
    settings = SearchSettings(SEARCH_SHARE * problem.budget_seconds, resolution, seed=quest.seed)
    found = improve(problem.objective, problem.network, settings, _round_listener(quest, -math.inf))
    bound = _bounded(quest, found)
    for attempt in range(ATTEMPTS):
        decided = bound.value >= quest.required or found.best.objective < quest.required
        left = quest.deadline - time.perf_counter()
        if decided or found.candidate is None or left < LEAST_SHARE_LEFT * problem.budget_seconds:
            break
        found_before, searched_polar = found, found.candidate.polar
        hints = searched_polar.witness
        if bound.polar is not searched_polar:
            hints = tuple(torch.cat(pair) for pair in zip(hints, bound.polar.witness, strict=True))
        finer = SearchSettings(SEARCH_SHARE * left, resolution / 4 ** (attempt + 1), seed=quest.seed + attempt + 1)
        found = continued(problem.objective, found, hints, finer, _round_listener(quest, bound.value))
        if found.candidate is found_before.candidate and found.best.objective >= found_before.best.objective:
            break
        bound = max(bound, _bounded(quest, found), key=lambda b: b.value)
    return found, bound


def _round_listener(quest: Quest, proven: float) -> RoundListener:
    def on_round(rounds: int, best: float, hope: float) -> None:
        quest.listener("searching", best, proven, f"round {rounds}, hoping for a bound of {hope:.6g}")

    return on_round


def _bounded(quest: Quest, found: Improvement) -> LowerBound:
    """One climb of the ladder at the best dual candidate."""
    deadline, needed = quest.deadline, quest.required + (1 - AIMED_SHARE) * quest.allowed
    if found.best.objective < quest.required:
        # No lower bound can certify this model any more; a decent one is still worth stating.
        share = BOUND_SHARE_IF_IMPROVABLE * quest.problem.budget_seconds
        deadline = min(deadline, time.perf_counter() + share)
        needed = found.best.objective - AIMED_SHARE * quest.allowed

    def report(value: float, words: str) -> None:
        quest.listener("bounding", found.best.objective, value, words)

    chance = quest.failure_probability
    return bound_at(quest.problem.objective, found.candidate, needed, deadline, report, chance)
