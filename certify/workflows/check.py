"""`certify check`: search for a better model, prove a lower bound, verify the certificate, and say which it is."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, final

from certify.bounds.labor import ALONE, Labor
from certify.certificates.margins import objective_upper
from certify.certificates.result import Result, Seconds
from certify.certificates.verdict import allowance
from certify.models.loading import Problem
from certify.problem import ParallelNetwork
from certify.progress import Listener, Progress, silent
from certify.workflows.assess import Findings, assess
from certify.workflows.bounding import BoundSettings
from certify.workflows.certificate_of import FAILURE_PROBABILITY
from certify.workflows.checkpoint import Checkpoint
from certify.workflows.prove import Quest, search_and_bound


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class CheckOptions:
    """How to run a check; the problem itself says what to check.

    Attributes:
        seed: of all randomness.
        failure_probability: largest allowed of a randomized proof; 0 for rigorous proofs only.
        load_seconds: time already spent on reading files, for the report.
        labor: who helps with long searches.
        checkpoint: keeps the state of a long proof.
    """

    seed: int = 0
    failure_probability: float = FAILURE_PROBABILITY
    load_seconds: float = 0.0
    labor: Labor = ALONE
    checkpoint: Checkpoint | None = None


@final
@dataclass(frozen=True, slots=True)
class CheckOutcome:
    """A result, the best network found on the way, and a file that the independent checker accepted, if any."""

    result: Result
    best: ParallelNetwork
    certificate: bytes | None


def check(problem: Problem, **options: Any) -> Result:  # noqa: ANN401
    """Certify a model, improve it, or state the proven gap; `options` are those of `CheckOptions`."""
    return run_check(problem, CheckOptions(**options)).result


def run_check(problem: Problem, options: CheckOptions, listener: Listener = silent) -> CheckOutcome:
    """The whole check of one model.

    Raises:
        UnsupportedError: the penalty has the degree of some branches and not of others.
    """
    started = time.perf_counter()
    objective = problem.objective
    _ = objective.exponent
    top = objective_upper(objective, problem.network, objective.evaluate(problem.network))
    allowed = allowance(top, problem.tolerance.relative_gap, problem.tolerance.absolute_gap)
    evaluated = time.perf_counter()
    chance = options.failure_probability
    settings = BoundSettings(seed=options.seed, failure_probability=chance, listener=listener, labor=options.labor)
    deadline = started + problem.budget_seconds
    found, bound = search_and_bound(Quest(problem, top, allowed, deadline, settings, options.checkpoint))
    bounded = time.perf_counter()
    methods = ", ".join(dict.fromkeys(polar.method for polar in bound.polars))
    listener(Progress("verifying", objective=found.best.objective, lower_bound=bound.value, method=methods))
    total = options.load_seconds + bounded - started
    seconds = Seconds(options.load_seconds, evaluated - started, bounded - evaluated, verify=0.0, total=total)
    result, certificate = assess(Findings(problem, found, bound, seconds, options.seed, chance))
    return CheckOutcome(result, found.best.network, certificate)
