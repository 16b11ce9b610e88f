"""`certify grow`: run the loop, verify the certificate of what it hands back, and say what happened."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, final

from certify.certificates.growth_report import GrowthReport
from certify.certificates.result import Result, Seconds
from certify.growth.stages import Improvement, stage_of
from certify.models.loading import Problem
from certify.problem import ParallelNetwork
from certify.workflows.assess import Findings, assess
from certify.workflows.growth_loop import GrowOptions, Growth, GrowthState, grow_network


@final
@dataclass(frozen=True, slots=True)
class GrowthResult:
    """A grown network with its result.

    Attributes:
        result: about the network handed back, as `check` would report it.
        growth: what happened on the way.
        network: what is handed back; `problem.write(path, network)` writes it.
        certificate: a file that the independent checker accepted, None if it accepted none.
    """

    result: Result
    growth: GrowthReport
    network: ParallelNetwork
    certificate: bytes | None


def grow(problem: Problem, **options: Any) -> GrowthResult:  # noqa: ANN401
    """Grow a network until it is certified; `options` are those of `GrowOptions`.

    Raises:
        UnsupportedError: the penalty has the degree of some branches and not of others.
    """
    chosen = GrowOptions(**options)
    started = time.perf_counter()
    growth = grow_network(problem, first_state(problem, chosen), lambda _: None, chosen)
    return concluded(problem.with_network(growth.network), growth, started, chosen)


def first_state(problem: Problem, options: GrowOptions) -> GrowthState:
    """Where growth starts.

    Raises:
        UnsupportedError: the penalty has the degree of some branches and not of others.
    """
    _ = problem.objective.exponent
    network = problem.objective.empty_network() if options.from_scratch else problem.network
    return GrowthState(network, (), options.seed)


def concluded(
    problem: Problem, growth: Growth, started: float, options: GrowOptions, load_seconds: float = 0.0
) -> GrowthResult:
    """The result of a grown network, with its certificate verified.

    The problem is that of the network handed back, read from its file where there is one; growing started at a value of
    `time.perf_counter()`, after so many seconds of reading files.
    """
    spent = time.perf_counter() - started
    seconds = Seconds(load_seconds, 0.0, spent, verify=0.0, total=load_seconds + spent)
    stage = stage_of(problem.objective, problem.network)
    still = Improvement(stage, stage, stage, stage, None, None, 0)
    findings = Findings(problem, still, growth.bound, seconds, options.seed, options.failure_probability)
    result, certificate = assess(findings)
    return GrowthResult(result, growth.report, problem.network, certificate)
