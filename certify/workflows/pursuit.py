"""The search for a better model and a lower bound where the penalty has a smaller degree than the subnetworks.

Each round solves the problem with a penalty s λ t of the subnetworks' own degree, by the methods that serve it. Its
dual point makes lines below the loss (`lines`), and its network, moved under the true penalty, may be a better model.
The next s is where the bound is attained: between the slopes of the lines that meet there.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import final

from certify.bounds.ladder import LowerBound, climb, trivial_bound
from certify.bounds.lines import LinesBound, lines_bound
from certify.growth.additions import descended, reworked
from certify.growth.balance import balanced
from certify.growth.improve import SearchSettings, improve
from certify.growth.stages import Improvement, find_candidate, stage_of
from certify.problem import Objective, ParallelNetwork
from certify.progress import Progress
from certify.workflows.bounding import BoundSettings

# Shares of the time left that one round may take for searching, and for moving networks under the true penalty.
SEARCH_SHARE, REWORK_SHARE, CLIMB_SHARE = 0.15, 0.1, 0.4
# Each line is asked to close its own gap to this share of what separates model and bound.
RESOLUTION_SHARE = 0.05
MOST_ROUNDS = 24
# Slopes that are closer than this share are one.
SAME_SLOPE = 1e-3
# Rounds in a row that gain less than this share of the gap after which the pursuit is at its end.
PATIENCE, USEFUL_SHARE = 4, 0.02
# The first line without a network begins a little above the largest polar found.
ABOVE = 1e-6
STEEPER = 2.0


@final
@dataclass(frozen=True, slots=True)
class Pursuit:
    """Where it stands.

    Attributes:
        found: networks under the true penalty.
        parts: bounds of the problems with penalties of the subnetworks' degree.
        slopes: s of each of them.
        lines: what they prove together; None before the first.
        idle: rounds without progress.
    """

    found: Improvement
    parts: tuple[LowerBound, ...]
    slopes: tuple[float, ...]
    lines: LinesBound | None
    idle: int

    def bound(self, objective: Objective) -> LowerBound:
        """What has been proven."""
        return trivial_bound(objective) if self.lines is None else self.lines.bound


def pursue(
    objective: Objective,
    network: ParallelNetwork,
    goal: Callable[[Pursuit], float],
    deadline: float,
    settings: BoundSettings,
    on_round: Callable[[Pursuit], None] = lambda _: None,
) -> tuple[Improvement, LowerBound]:
    """The best model and the best lower bound found until the bound reaches the goal.

    Stops at the deadline in `time.perf_counter()`, or where rounds no longer gain.
    """
    state = _begun(objective, network, deadline, settings.seed)
    on_round(state)
    while not state.bound(objective).value >= goal(state) and time.perf_counter() < deadline:
        slope = _next_slope(objective, state, deadline, settings.seed)
        if slope is None or state.idle == PATIENCE or state.found.rounds == MOST_ROUNDS:
            return state.found, replace(state.bound(objective), exhausted=True)
        state = _advanced(objective, state, slope, deadline, settings)
        on_round(state)
    return state.found, state.bound(objective)


def _begun(objective: Objective, network: ParallelNetwork, deadline: float, seed: int) -> Pursuit:
    start = stage_of(objective, network)
    even = start.better(stage_of(objective, balanced(objective, network)))
    local = descended(objective, even, even.network, _until(deadline, REWORK_SHARE))
    best = reworked(objective, local, _until(deadline, REWORK_SHARE), seed)
    return Pursuit(Improvement(start, even, local, best, None, None, 0), (), (), None, 0)


def _until(deadline: float, share: float) -> float:
    now = time.perf_counter()
    return now + share * (deadline - now)


def _next_slope(objective: Objective, state: Pursuit, deadline: float, seed: int) -> float | None:
    """Where to look next; None where nothing is left to look for."""
    exponent, total = objective.exponent, objective.total(state.found.best.network)
    if state.lines is None:
        return exponent * total ** (exponent - 1) if total > 0 else _steepest(objective, deadline, seed)
    steep, flat = state.lines.slopes
    if state.lines.place == 0:
        wanted = STEEPER * max(state.slopes)
    else:
        wanted = (
            (steep + flat) / 2 if flat > 0 else min(exponent * state.lines.place ** (exponent - 1), steep / STEEPER)
        )
    return None if any(abs(wanted - old) <= SAME_SLOPE * old for old in state.slopes) else wanted


def _steepest(objective: Objective, deadline: float, seed: int) -> float:
    """The slope from which on no subnetwork pays, as far as a search finds."""
    candidate = find_candidate(objective.matched(1.0), objective.empty_network(), _until(deadline, SEARCH_SHARE), seed)
    if candidate is None:
        return 1.0
    pairs = zip(objective.branches, candidate.polars, strict=True)
    return max(polar.value / branch.gauge.strength for branch, polar in pairs) * (1 + ABOVE) or 1.0


def _advanced(objective: Objective, state: Pursuit, slope: float, deadline: float, settings: BoundSettings) -> Pursuit:
    """One round at a slope."""
    best, proven = state.found.best, state.bound(objective).value
    resolution = RESOLUTION_SHARE * (best.objective - proven)

    def report(event: Progress) -> None:
        settings.listener(replace(event, objective=best.objective, lower_bound=proven))

    own, matched = replace(settings, listener=report), objective.matched(slope)
    seconds = _until(deadline, SEARCH_SHARE) - time.perf_counter()
    searched = improve(matched, best.network, SearchSettings(seconds, resolution, settings.seed), report)
    moved = stage_of(objective, balanced(objective, searched.best.network))
    better = best.better(
        reworked(objective, moved, _until(deadline, REWORK_SHARE), settings.seed + state.found.rounds + 1)
    )
    found = replace(state.found, best=better, rounds=state.found.rounds + 1)
    part = _climbed(matched, searched, resolution, deadline, own)
    parts = (*state.parts, part) if part.point.values.any() else state.parts
    lines = lines_bound(objective, parts) if parts else None
    gained = best.objective - better.objective + (lines.bound.value - proven if lines else 0.0)
    idle = 0 if gained > USEFUL_SHARE * (best.objective - proven) else state.idle + 1
    return Pursuit(found, parts, (*state.slopes, slope), lines, idle)


def _climbed(
    matched: Objective, searched: Improvement, resolution: float, deadline: float, settings: BoundSettings
) -> LowerBound:
    candidate = searched.candidate
    if candidate is None:
        return trivial_bound(matched)
    return climb(
        matched,
        candidate.dual,
        searched.best.network.stacks,
        searched.best.objective - resolution,
        _until(deadline, CLIMB_SHARE),
        seed=settings.seed,
        failure_probability=settings.failure_probability,
        listener=settings.listener,
        estimates=candidate.polars,
    )
