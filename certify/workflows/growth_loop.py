"""The meta-algorithm of Haeffele and Vidal 2017 until the best network is certified, then pruning.

Each round descends over the current subnetworks, searches violating directions, bounds the optimum from below, and
adds the directions that the search and the bound's open nodes name.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import final

from torch import Tensor

from certify.bounds.labor import ALONE, Labor
from certify.bounds.ladder import LowerBound, trivial_bound
from certify.certificates.growth_report import GrowthReport, GrowthRound
from certify.certificates.verdict import allowance
from certify.growth.prune import pruned
from certify.growth.rounds import advance, begin
from certify.growth.stages import Candidate, Improvement, candidate_at, more_hopeful
from certify.growth.width_bound import width_bound
from certify.models.loading import Problem
from certify.problem import Factors, ParallelNetwork
from certify.progress import Listener, Progress, silent
from certify.workflows.bounding import BoundSettings, bound_at
from certify.workflows.certificate_of import FAILURE_PROBABILITY
from certify.workflows.checkpoint import Checkpoint
from certify.workflows.pursuit import Pursuit, pursue

# The gap aimed at, as a share of the allowance, so that rounding and pruning have room below the limit.
AIMED_SHARE = 0.6
# The share of the allowance that the pruned network may use.
PRUNED_SHARE = 0.95
# Where the hoped-for gap is within this share of the allowance, the bound gets all the time it needs.
PROMISING_SHARE = 0.3
# Otherwise it gets this share of the time spent so far, and is asked to come this close to the hope.
QUICK_SECONDS_SHARE = 0.2
QUICK_DISTANCE = 0.3
# Rounds may take this share of the budget before one bound gets the rest.
ROUNDS_SHARE = 0.6
# Rounds in a row without a useful decrease, a better dual point or a better bound after which growth is at its end.
PATIENCE = 4
USEFUL_SHARE = 0.02
# Pruning may take this share of the time that growth took, and at least this many seconds.
PRUNING_SHARE = 0.5
PRUNING_SECONDS = 3.0


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class GrowOptions:
    """How to grow; the problem itself says what.

    Attributes:
        from_scratch: start from width zero instead of the problem's network.
        prune: whether to look at the end for a smaller network that the bound still certifies.
        seed: of all randomness.
        failure_probability: largest allowed of a randomized proof; 0 for rigorous proofs only.
        labor: who helps with long searches.
        checkpoint: keeps the state of a long proof within a round, and holds where to go on.
    """

    from_scratch: bool = False
    prune: bool = True
    seed: int = 0
    failure_probability: float = FAILURE_PROBABILITY
    labor: Labor = ALONE
    checkpoint: Checkpoint | None = None


@final
@dataclass(frozen=True, slots=True)
class GrowthState:
    """What the next round needs, with the best network so far; enough to go on after an interruption.

    Attributes:
        dual: the dual point of the best bound so far, (n, c), or None; it is proven again.
    """

    network: ParallelNetwork
    history: tuple[GrowthRound, ...]
    seed: int
    dual: Tensor | None = None


DEFAULTS = GrowOptions()
RoundListener = Callable[[GrowthState], None]


@final
@dataclass(frozen=True, slots=True)
class Growth:
    """The end of a growth: what to hand back, the best lower bound, and what happened."""

    network: ParallelNetwork
    bound: LowerBound
    report: GrowthReport


def grow_network(
    problem: Problem,
    state: GrowthState,
    on_round: RoundListener,
    options: GrowOptions = DEFAULTS,
    listener: Listener = silent,
) -> Growth:
    """Grow until the gap is within the problem's tolerance, nothing more is gained, or the budget is spent.

    Args:
        problem: what to minimize; its network is where the report starts from.
        state: where to start: no rounds yet, or those of an interrupted run.
        on_round: told after every round.
        options: how to grow; where and with which seed is in the state.
        listener: told of progress within a round.
    """
    if problem.objective.exponent != 1:
        return _pursued(problem, state, on_round, options, listener)
    climb = _Climb(problem, state, on_round, listener, options)
    climb.run()
    network, bound = climb.found.best.network, climb.bound
    grown = network.width
    allowed = climb.allowed()
    if options.prune and climb.closed():
        listener(Progress("pruning", climb.found.best.objective, bound.value, detail=f"{grown} subnetworks"))
        spent = time.perf_counter() - climb.started
        until = time.perf_counter() + max(PRUNING_SECONDS, PRUNING_SHARE * spent)
        network = pruned(problem.objective, network, bound.value + PRUNED_SHARE * allowed, until)
    report = GrowthReport(
        width_before=problem.network.width,
        width_grown=grown,
        width_after=network.width,
        width_bound=width_bound(problem.objective),
        objective_before=problem.objective.evaluate(problem.network).objective,
        objective_after=problem.objective.evaluate(network).objective,
        rounds=climb.history,
    )
    return Growth(network, bound, report)


def _pursued(
    problem: Problem, state: GrowthState, on_round: RoundListener, options: GrowOptions, listener: Listener
) -> Growth:
    """The same where the penalty has a smaller degree than the subnetworks; there is nothing to prune."""
    objective, tolerance, history = problem.objective, problem.tolerance, state.history
    started = time.perf_counter() - (history[-1].seconds if history else 0.0)
    first = history[-1].round + 1 if history else 0

    def goal(pursuit: Pursuit) -> float:
        best = pursuit.found.best.objective
        return best - AIMED_SHARE * allowance(best, tolerance.relative_gap, tolerance.absolute_gap)

    def tell(pursuit: Pursuit) -> None:
        nonlocal history
        best, bound = pursuit.found.best, pursuit.bound(objective)
        seconds, number = time.perf_counter() - started, first + pursuit.found.rounds
        history = (*history, GrowthRound(number, best.network.width, best.objective, bound.value, None, seconds))
        on_round(GrowthState(best.network, history, state.seed, bound.point.values))

    settings = BoundSettings(seed=state.seed, failure_probability=options.failure_probability, listener=listener)
    deadline = time.perf_counter() + problem.budget_seconds
    found, bound = pursue(objective, state.network, goal, deadline, settings, tell)
    network = found.best.network
    report = GrowthReport(
        width_before=problem.network.width,
        width_grown=network.width,
        width_after=network.width,
        width_bound=width_bound(objective),
        objective_before=objective.evaluate(problem.network).objective,
        objective_after=found.best.objective,
        rounds=history,
    )
    return Growth(network, bound, report)


class _Climb:
    """The loop: what has been found, proven and told so far."""

    def __init__(
        self, problem: Problem, state: GrowthState, on_round: RoundListener, listener: Listener, options: GrowOptions
    ) -> None:
        self.options, self.kept = options, dict[str, object]()
        self.problem, self.seed, self.on_round, self.listener = problem, state.seed, on_round, listener
        self.started = time.perf_counter()
        self.history = state.history
        self.offset = state.history[-1].seconds if state.history else 0.0
        self.bound = trivial_bound(problem.objective)
        self.exhausted: Candidate | None = None
        self.found, self.goes_on = self._begun(state.network)
        if state.history:
            self.found = replace(self.found, rounds=state.history[-1].round + 1)
        self.before: Candidate | None = None
        if state.dual is not None:
            until = self.started + problem.budget_seconds
            self.before = candidate_at(problem.objective, state.dual, self.found.best.network, until, self.seed)

    def _begun(self, network: ParallelNetwork) -> tuple[Improvement, bool]:
        """Where rounds start, and whether that is where a checkpoint was left."""
        objective, checkpoint = self.problem.objective, self.options.checkpoint
        seconds = ROUNDS_SHARE * self.problem.budget_seconds
        if checkpoint is not None and (kept := checkpoint.improvement(network, self.started + seconds, self.seed)):
            return kept, True
        return begin(objective, network, seconds, 0.0, self.seed), False

    def run(self) -> None:
        """Rounds until closed, out of time or without progress."""
        idle, hints = 0, self._first_bounds()
        self._tell()
        while not self.closed() and self.seconds_left() > 0:
            before, proven = self.found, self.bound.value
            deadline = time.perf_counter() + self.seconds_left()
            self.found = advance(self.problem.objective, before, hints, deadline, self.seed + before.rounds + 1)
            late = self.seconds_left() < (1 - ROUNDS_SHARE) * self.problem.budget_seconds
            full = self._promising() or late or idle == PATIENCE - 1
            hints = self._bounded(full)
            self._tell()
            useful = USEFUL_SHARE * self.allowed()
            progress = (
                before.best.objective - self.found.best.objective > useful
                or self.bound.value - proven > useful
                or (self.found.candidate is not before.candidate and not self.bound.exhausted)
            )
            idle = 0 if progress else idle + 1
            if idle == PATIENCE:
                break

    def allowed(self) -> float:
        """Largest gap that counts as none for the best network, absolute."""
        tolerance = self.problem.tolerance
        return allowance(self.found.best.objective, tolerance.relative_gap, tolerance.absolute_gap)

    def closed(self) -> bool:
        """Whether the best network is certified but for the checker."""
        return self.found.best.objective - self.bound.value <= PRUNED_SHARE * self.allowed()

    def seconds_left(self) -> float:
        """Of the budget."""
        return self.problem.budget_seconds - (time.perf_counter() - self.started)

    def _first_bounds(self) -> tuple[Factors, ...] | None:
        """The bound that a checkpoint was left at, then one at the best candidate, that of the state included."""
        hints = self._bounded(full=True) if self.goes_on else None
        self.found = replace(self.found, candidate=more_hopeful(self.found.candidate, self.before))
        return hints if self.closed() else self._bounded(full=self._promising()) or hints

    def _promising(self) -> bool:
        return self.found.hoped_gap <= PROMISING_SHARE * self.allowed()

    def _bounded(self, full: bool) -> tuple[Factors, ...] | None:
        """Bound at the best candidate; the directions that the bound names of every branch."""
        best, candidate = self.found.best.objective, self.found.candidate
        needed = best - AIMED_SHARE * self.allowed()
        left = self.seconds_left()
        if not full and candidate is not None:
            hope = candidate.hope_estimate
            needed = min(needed, hope - QUICK_DISTANCE * (best - hope))
            left = min(left, QUICK_SECONDS_SHARE * (self.problem.budget_seconds - left))
        if (needed <= self.bound.value and not full) or candidate is self.exhausted:
            return None
        self.exhausted = candidate if full else None

        def report(event: Progress) -> None:
            proven = self.bound.value if event.lower_bound is None else max(event.lower_bound, self.bound.value)
            self.listener(replace(event, objective=best, lower_bound=proven))

        chance, labor = self.options.failure_probability, self.options.labor
        if full and candidate is not None and self.options.checkpoint is not None:
            self.options.checkpoint.turn_to(candidate.dual)
            labor = replace(labor, keeper=self.options.checkpoint.keeper(self.found))
        settings = BoundSettings(
            seed=self.seed, failure_probability=chance, listener=report, kept=self.kept, labor=labor
        )
        network, until = self.found.best.network, time.perf_counter() + left
        bound = bound_at(self.problem.objective, network, candidate, needed, until, settings)
        exhausted = bound.exhausted if full else self.bound.exhausted
        self.bound = replace(max(self.bound, bound, key=lambda b: b.value), exhausted=exhausted)
        return tuple(polar.witness for polar in bound.polars)

    def _tell(self) -> None:
        row = GrowthRound(
            round=self.found.rounds,
            width=self.found.best.network.width,
            objective=self.found.best.objective,
            lower_bound=self.bound.value,
            violation=self._violation(),
            seconds=self.offset + time.perf_counter() - self.started,
        )
        self.history = (*self.history, row)
        self.on_round(GrowthState(self.found.best.network, self.history, self.seed, self._kept_dual()))

    def _kept_dual(self) -> Tensor | None:
        """The dual point of the bound, but for one with an anchor, which is found again from the network."""
        return None if self.problem.objective.unobserved else self.bound.point.values

    def _violation(self) -> float | None:
        """Largest of the polars at the latest dual point, in units of their λ, minus 1."""
        if self.found.latest is None:
            return None
        pairs = zip(self.problem.objective.branches, self.found.latest.polars, strict=True)
        return max((polar.value / branch.strength - 1 for branch, polar in pairs), default=None)
