"""Search for a better model: rounds of growth until nothing is to be gained or the time is up."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import final

from certify.growth.rounds import advance, begin
from certify.growth.stages import Improvement
from certify.problem import Factors, Objective, ParallelNetwork
from certify.progress import Listener, Progress, silent

# Rounds in a row without a useful decrease or a better dual candidate after which the search ends.
PATIENCE = 3
# A decrease below this share of the resolution is not useful.
USEFUL_SHARE = 0.1
MOST_ROUNDS = 30


@final
@dataclass(frozen=True, slots=True)
class SearchSettings:
    """How long and how far to search.

    Attributes:
        seconds: budget.
        resolution: absolute; the search ends when the best objective is within it of the best hope for a bound.
        seed: of all randomness.
    """

    seconds: float
    resolution: float
    seed: int = 0


def improve(
    objective: Objective, network: ParallelNetwork, settings: SearchSettings, listener: Listener = silent
) -> Improvement:
    """The best network and the best dual candidate found from `network` within the settings."""
    started = time.perf_counter()
    found = begin(objective, network, settings.seconds, settings.resolution, settings.seed)
    left = settings.seconds - (time.perf_counter() - started)
    return continued(objective, found, None, replace(settings, seconds=left), listener)


def continued(
    objective: Objective,
    found: Improvement,
    hints: tuple[Factors, ...] | None,
    settings: SearchSettings,
    listener: Listener = silent,
) -> Improvement:
    """Search on from an earlier search, first along hints: directions such as those left open by a bound.

    They have θ = 1 and are stacked in every branch, (s, ·).
    """
    deadline = time.perf_counter() + settings.seconds
    idle = 0
    for number in range(MOST_ROUNDS):
        settled = hints is None and found.hoped_gap <= settings.resolution
        if settled or found.latest is None or idle == PATIENCE or time.perf_counter() >= deadline:
            break
        before = found
        found = advance(objective, before, hints, deadline, settings.seed + number + 1)
        hints = None
        gained = before.best.objective - found.best.objective > USEFUL_SHARE * settings.resolution
        idle = 0 if gained or found.candidate is not before.candidate else idle + 1
        if found.candidate is not None:
            hope = f"round {found.rounds}, hoping for a bound of {found.candidate.hope_estimate:.6g}"
            listener(Progress("searching", found.best.objective, detail=hope))
    return found
