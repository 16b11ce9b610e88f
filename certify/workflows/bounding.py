"""One climb of the ladder at a dual candidate."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from typing import final

from certify.bounds.labor import ALONE, Labor
from certify.bounds.ladder import LowerBound, climb, trivial_bound
from certify.bounds.polar import PolarBound, PolarEstimate
from certify.bounds.search import search
from certify.growth.stages import Candidate
from certify.problem import Objective, ParallelNetwork
from certify.progress import Listener, silent
from certify.workflows.certificate_of import FAILURE_PROBABILITY

# Time for the lower ends of the polars at a dual point that a bound chose itself.
MOVED_SEARCH_SECONDS = 2.0


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class BoundSettings:
    """How to bound; a failure probability of 0 allows rigorous proofs only.

    `kept` is what methods keep from one climb to the next, of one objective.
    """

    seed: int = 0
    failure_probability: float = FAILURE_PROBABILITY
    listener: Listener = silent
    kept: dict[str, object] = field(default_factory=dict)
    labor: Labor = ALONE


def bound_at(
    objective: Objective,
    network: ParallelNetwork,
    candidate: Candidate | None,
    needed: float,
    deadline: float,
    settings: BoundSettings,
) -> LowerBound:
    """The best lower bound at a candidate, the trivial one without, with the best known witnesses of its polars.

    The best network known is where relaxations start from.

    A bound of at least `needed` decides. Stops at the deadline in `time.perf_counter()`.
    """
    if candidate is None:
        return trivial_bound(objective)
    bound = climb(
        candidate.objective,
        candidate.dual,
        network.stacks,
        needed,
        deadline,
        seed=settings.seed,
        failure_probability=settings.failure_probability,
        listener=settings.listener,
        estimates=candidate.polars,
        kept=settings.kept,
        labor=settings.labor,
    )
    if bound.point.values is candidate.dual:
        return bound
    # The bound moved the dual point; its polars are worth a short search of their own.
    until = time.perf_counter() + MOVED_SEARCH_SECONDS
    stacks = tuple(polar.witness for polar in candidate.polars)
    searched = search(bound.objective, bound.point.values, stacks, until, settings.seed)
    return replace(bound, polars=tuple(_raised(*pair) for pair in zip(bound.polars, searched, strict=True)))


def _raised(polar: PolarBound, found: PolarEstimate) -> PolarBound:
    """The interval with the larger of two lower ends."""
    return polar if polar.lower >= found.value else replace(polar, lower=found.value, witness=found.witness)
