"""Search for a better model: balance, descend, then add violating subnetworks and descend again.

This is the meta-algorithm of Haeffele and Vidal 2017 run for a few rounds. Every network it returns was evaluated and
objectives never increase. On the way it collects dual candidates: the gradient at each round's network.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from certify.bounds.ladder import scaled
from certify.bounds.methods import SEARCHES
from certify.bounds.polar import PolarBound, PolarTask
from certify.growth.balance import balanced
from certify.growth.corrective import corrected
from certify.growth.descent import descend
from certify.problem import Factors, Objective, ParallelNetwork
from certify.problem.dual import InfeasibleDualError, feasible_dual

# Quasi-Newton steps at the given width, and after each fully corrective step.
FIRST_DESCENT_STEPS = 400
DESCENT_STEPS_PER_ROUND = 200
# Rounds in a row without a useful decrease or a better dual candidate after which the search ends.
PATIENCE = 3
# Subnetworks whose matched product is below this share of the largest are dropped after descent.
DEAD_SHARE = 1e-12


@final
@dataclass(frozen=True, slots=True)
class Stage:
    """A network with its objective."""

    network: ParallelNetwork
    objective: float


@final
@dataclass(frozen=True, slots=True)
class Candidate:
    """A dual point worth bounding.

    Attributes:
        dual: A, (n, c), feasible but for the polar.
        polar: lower end of its polar, with witnesses.
        hope_estimate: the lower bound that A would prove if `polar.lower` were its polar; not proven.
    """

    dual: Tensor
    polar: PolarBound
    hope_estimate: float


@final
@dataclass(frozen=True, slots=True)
class Improvement:
    """What the search found; objectives never increase from one stage to the next.

    Attributes:
        start: the given network.
        balanced: same function, least penalty.
        local: after descent at the given width.
        best: after growth.
        candidate: the most promising dual point seen, None if none was feasible.
        rounds: number of growth rounds.
    """

    start: Stage
    balanced: Stage
    local: Stage
    best: Stage
    candidate: Candidate | None
    rounds: int


@final
@dataclass(frozen=True, slots=True)
class SearchSettings:
    """How long and how far to search.

    Attributes:
        seconds: budget.
        resolution: absolute; the search ends when the best objective is within it of the best hope for a bound.
        rounds: most growth rounds.
        seed: of all randomness.
    """

    seconds: float
    resolution: float
    rounds: int = 30
    seed: int = 0


RoundListener = Callable[[int, float, float], None]


def improve(
    objective: Objective, network: ParallelNetwork, settings: SearchSettings, on_round: RoundListener | None = None
) -> Improvement:
    """The best network and the best dual candidate found from `network` within the settings.

    Args:
        objective: the function to minimize.
        network: where to start.
        settings: limits.
        on_round: called with round, best objective and best hope for a lower bound.
    """
    deadline = time.perf_counter() + settings.seconds
    start = _stage(objective, network)
    even = _better(start, _stage(objective, balanced(objective, network)))
    candidate = find_candidate(objective, even.network, deadline, settings.seed)
    if candidate is not None and even.objective - candidate.hope_estimate <= settings.resolution:
        return Improvement(start, even, even, even, candidate, 0)
    half = time.perf_counter() + settings.seconds / 2
    local = _better(even, _stage(objective, descend(objective, even.network, half, FIRST_DESCENT_STEPS)))
    best, rounds, idle = local, 0, 0
    latest = find_candidate(objective, best.network, deadline, settings.seed)
    candidate = _more_hopeful(candidate, latest)
    while rounds < settings.rounds and idle < PATIENCE and time.perf_counter() < deadline:
        if latest is None or candidate is None or best.objective - candidate.hope_estimate <= settings.resolution:
            break
        stage = _better(best, _stage(objective, _one_round(objective, best.network, latest.polar, deadline)))
        rounds += 1
        latest = find_candidate(objective, stage.network, deadline, settings.seed + rounds)
        hopeful = _more_hopeful(candidate, latest)
        progress = best.objective - stage.objective > settings.resolution / 10 or hopeful is not candidate
        idle = 0 if progress else idle + 1
        best, candidate = stage, hopeful
        if on_round and candidate:
            on_round(rounds, best.objective, candidate.hope_estimate)
    return Improvement(start, even, local, best, candidate, rounds)


def continued(
    objective: Objective, found: Improvement, hints: Factors, settings: SearchSettings, on_round: RoundListener | None
) -> Improvement:
    """Search on from an earlier search, first along further directions such as those left open by a bound.

    Args:
        objective: the function to minimize.
        found: the earlier search.
        hints: directions with θ = 1, stacked (s, ·).
        settings: limits of the continuation.
        on_round: as in `improve`.
    """
    deadline = time.perf_counter() + settings.seconds
    wider = without_dead(objective, corrected(objective, found.best.network, hints, deadline))
    stage = _better(found.best, _stage(objective, wider))
    more = improve(objective, stage.network, settings, on_round)
    return Improvement(
        start=found.start,
        balanced=found.balanced,
        local=found.local,
        best=_better(found.best, more.best),
        candidate=_more_hopeful(found.candidate, more.candidate),
        rounds=found.rounds + 1 + more.rounds,
    )


def find_candidate(objective: Objective, network: ParallelNetwork, deadline: float, seed: int = 0) -> Candidate | None:
    """The dual point at the network's gradient, with its polar searched; None if no feasible point is near."""
    try:
        dual = feasible_dual(objective, objective.evaluate(network).gradient)
    except InfeasibleDualError:
        return None
    task = PolarTask(objective, dual, objective.strength, deadline, network.factors, seed)
    polar = SEARCHES[objective.kind.name](task)
    optimistic = PolarBound(polar.lower, polar.witness, polar.lower, polar.method)
    return Candidate(dual, polar, scaled(objective, dual, optimistic).value)


def without_dead(objective: Objective, network: ParallelNetwork) -> ParallelNetwork:
    """The network without the subnetworks that contribute nothing."""
    if network.width == 0:
        return network
    products = objective.matched_products(network)
    alive = products > DEAD_SHARE * products.max().clamp_min(torch.finfo(torch.float64).tiny)
    return ParallelNetwork(tuple(f[alive] for f in network.factors), network.coefficients)


def _one_round(objective: Objective, network: ParallelNetwork, polar: PolarBound, deadline: float) -> ParallelNetwork:
    wider = without_dead(objective, corrected(objective, network, polar.witness, deadline))
    return without_dead(objective, descend(objective, wider, deadline, DESCENT_STEPS_PER_ROUND))


def _stage(objective: Objective, network: ParallelNetwork) -> Stage:
    return Stage(network, objective.evaluate(network).objective)


def _better(old: Stage, new: Stage) -> Stage:
    return new if new.objective < old.objective else old


def _more_hopeful(old: Candidate | None, new: Candidate | None) -> Candidate | None:
    if old is None or new is None:
        return old or new
    return new if new.hope_estimate > old.hope_estimate else old
