"""Where a search stands: networks with their objectives, and dual points worth bounding."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from torch import Tensor

from certify.bounds.ladder import scaled_estimate
from certify.bounds.polar import PolarEstimate
from certify.bounds.search import search
from certify.growth.directions import joined
from certify.problem import Branch, Factors, Objective, ParallelNetwork
from certify.problem.dual import InfeasibleDualError, feasible_dual
from certify.problem.unobserved import anchored

# A direction was missed if it exceeds the estimate of a polar by this share.
MISSED = 1e-12


@final
@dataclass(frozen=True, slots=True)
class Stage:
    """A network with its objective."""

    network: ParallelNetwork
    objective: float

    def better(self, other: Stage) -> Stage:
        """The other one if its objective is lower, else this one."""
        return other if other.objective < self.objective else self


@final
@dataclass(frozen=True, slots=True)
class Candidate:
    """A dual point worth bounding.

    Attributes:
        dual: A, (n, c), feasible but for the polar.
        polars: of every branch, what a search found of its polar, with witnesses.
        hope_estimate: the lower bound that A would prove if `polars` were its polars; not proven.
        objective: what A is a dual point of: the objective, or with the anchor of A.
    """

    dual: Tensor
    polars: tuple[PolarEstimate, ...]
    hope_estimate: float
    objective: Objective


@final
@dataclass(frozen=True, slots=True)
class Improvement:
    """What a search found; objectives never increase from one stage to the next.

    Attributes:
        start: the given network.
        balanced: same function, least penalty.
        local: after descent at the given width.
        best: after growth.
        latest: the dual point at `best`, None if none was feasible.
        candidate: the most promising dual point seen, None if none was feasible.
        rounds: number of growth rounds.
    """

    start: Stage
    balanced: Stage
    local: Stage
    best: Stage
    latest: Candidate | None
    candidate: Candidate | None
    rounds: int

    @property
    def hoped_gap(self) -> float:
        """Best objective minus the best hope for a lower bound; +inf without a dual point."""
        return float("inf") if self.candidate is None else self.best.objective - self.candidate.hope_estimate


def stage_of(objective: Objective, network: ParallelNetwork) -> Stage:
    """The network evaluated."""
    return Stage(network, objective.evaluate(network).objective)


def find_candidate(objective: Objective, network: ParallelNetwork, deadline: float, seed: int = 0) -> Candidate | None:
    """The dual point at the network's gradient, with its polars searched; None if no feasible point is near."""
    own = anchored(objective, network)
    return candidate_at(own, own.evaluate(network).gradient, network, deadline, seed)


def candidate_at(
    objective: Objective, near: Tensor, network: ParallelNetwork, deadline: float, seed: int = 0
) -> Candidate | None:
    """The dual point near a given one (n, c), its polars searched from a network's subnetworks; None if none is."""
    try:
        dual = feasible_dual(objective, near)
    except InfeasibleDualError:
        return None
    return searched_candidate(objective, dual, network, deadline, seed)


def searched_candidate(
    objective: Objective, dual: Tensor, network: ParallelNetwork, deadline: float, seed: int = 0
) -> Candidate:
    """A feasible dual point, its polars searched from a network's subnetworks."""
    return _candidate(objective, dual, search(objective, dual, network.stacks, deadline, seed))


def sobered(candidate: Candidate, directions: tuple[Factors, ...]) -> Candidate:
    """The candidate with no more hope than these directions (s, ·) of every branch with θ = 1 leave it.

    A search that missed a violating direction would otherwise keep its candidate ahead of every better one.
    """
    polars = tuple(
        _corrected(branch, candidate.dual, polar, stack)
        for branch, polar, stack in zip(candidate.objective.branches, candidate.polars, directions, strict=True)
    )
    if all(new is old for new, old in zip(polars, candidate.polars, strict=True)):
        return candidate
    return _candidate(candidate.objective, candidate.dual, polars)


def _corrected(branch: Branch, dual: Tensor, polar: PolarEstimate, directions: Factors) -> PolarEstimate:
    """The estimate with the best direction put first, where that exceeds it."""
    pairings = branch.pairing(dual, directions)
    if not pairings.numel() or float(pairings.max()) <= polar.value * (1 + MISSED):
        return polar
    best = pairings.argmax()[None]
    return PolarEstimate(float(pairings.max()), joined(tuple(f[best] for f in directions), polar.witness))


def _candidate(objective: Objective, dual: Tensor, polars: tuple[PolarEstimate, ...]) -> Candidate:
    return Candidate(dual, polars, scaled_estimate(objective, dual, polars), objective)


def more_hopeful(old: Candidate | None, new: Candidate | None) -> Candidate | None:
    """The candidate with the larger hope, the old one at a tie."""
    if old is None or new is None:
        return old or new
    return new if new.hope_estimate > old.hope_estimate else old
