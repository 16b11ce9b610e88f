"""`certify check`: search for a better model, prove a lower bound, compare, and say which it is."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace
from typing import Any, final

import torch

from certify.bounds.ladder import LowerBound, climb, trivial_bound
from certify.bounds.polar import PolarTask
from certify.certificates.margins import dual_value_lower, objective_upper
from certify.certificates.result import (
    DataReport,
    Descent,
    Environment,
    GapBreakdown,
    ModelReport,
    PolarReport,
    Result,
    Seconds,
)
from certify.certificates.verdict import Standing, achieved_share, allowance, reason_of, verdict_of
from certify.growth.improve import Improvement, SearchSettings, Stage, continued, improve
from certify.models.loading import Problem
from certify.problem import Objective, ParallelNetwork
from certify.workflows.certificate_of import NoCertificateError, Settled, settled_certificate
from certify.workflows.listener import Listener, silent
from certify.workflows.messages import message_of

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
class CheckOptions:
    """How to run a check; the problem itself says what to check.

    Attributes:
        seed: of all randomness.
        load_seconds: time already spent on reading files, for the report.
        device: as the user named it, for the report.
    """

    seed: int = 0
    load_seconds: float = 0.0
    device: str = "cpu"


@final
@dataclass(frozen=True, slots=True)
class CheckOutcome:
    """A result with the best network that was found on the way.

    Attributes:
        result: what to report.
        best: the best network.
        certificate: a file that the independent checker accepted, None if it accepted none.
    """

    result: Result
    best: ParallelNetwork
    certificate: bytes | None


def check(problem: Problem, **options: Any) -> Result:  # noqa: ANN401
    """Certify a model, improve it, or state the proven gap; `options` are those of `CheckOptions`."""
    return run_check(problem, CheckOptions(**options)).result


def run_check(problem: Problem, options: CheckOptions, listener: Listener = silent) -> CheckOutcome:
    """The whole check of one model.

    Raises:
        UnsupportedError: degrees of penalty and subnetwork do not match.
    """
    started = time.perf_counter()
    objective = problem.objective
    _ = objective.strength  # raises for a degree mismatch before any work
    evaluation = objective.evaluate(problem.network)
    top = objective_upper(objective, problem.network, evaluation)
    allowed = allowance(top, problem.tolerance.relative_gap, problem.tolerance.absolute_gap)
    evaluated = time.perf_counter()
    found, bound = _search_and_bound(problem, top, allowed, options.seed, started, listener)
    bounded = time.perf_counter()
    listener("verifying", found.best.objective, bound.value, bound.polar.method)
    settled = _settled(problem, bound)
    standing = _standing(problem, found, bound, settled, 2 * evaluation.objective - top)
    finished = time.perf_counter()
    seconds = Seconds(
        load=options.load_seconds,
        objective=evaluated - started,
        bound=bounded - evaluated,
        verify=finished - bounded,
        total=options.load_seconds + finished - started,
    )
    result = _result(problem, found, bound, standing, seconds, settled is not None)
    environment = Environment(str(objective.inputs.device), torch.__version__, options.seed)
    certificate = settled.data if settled else None
    return CheckOutcome(replace(result, environment=environment), found.best.network, certificate)


def _settled(problem: Problem, bound: LowerBound) -> Settled | None:
    """The certificate that the checker accepts, None if there is none."""
    try:
        return settled_certificate(problem, problem.terms, bound)
    except NoCertificateError:
        return None


def _standing(
    problem: Problem, found: Improvement, bound: LowerBound, settled: Settled | None, floor: float
) -> Standing:
    """The numbers that decide: those of the accepted certificate, or the prover's own where there is none."""
    objective = problem.objective
    top = objective_upper(objective, problem.network, objective.evaluate(problem.network))
    lower = dual_value_lower(objective, bound.point)
    if settled is not None and settled.verdict.upper is not None and settled.verdict.lower is not None:
        top, lower = settled.verdict.upper, settled.verdict.lower
    best = objective_upper(objective, found.best.network, objective.evaluate(found.best.network))
    allowed = allowance(top, problem.tolerance.relative_gap, problem.tolerance.absolute_gap)
    return Standing(top, floor, min(best, top), lower, allowed)


def _search_and_bound(  # noqa: PLR0913
    problem: Problem, top: float, allowed: float, seed: int, started: float, listener: Listener
) -> tuple[Improvement, LowerBound]:
    """Alternate between searching and bounding until the verdict is reached or the budget spent."""
    objective, seconds = problem.objective, problem.budget_seconds
    deadline, best_value = started + seconds, -math.inf

    def on_round(rounds: int, best: float, hope: float) -> None:
        listener("searching", best, best_value, f"round {rounds}, hoping for a bound of {hope:.6g}")

    settings = SearchSettings(SEARCH_SHARE * seconds, RESOLUTION_SHARE * allowed, seed=seed)
    found = improve(objective, problem.network, settings, on_round)
    bound = _bounded(problem, found, top - allowed, allowed, deadline, listener)
    for attempt in range(ATTEMPTS):
        best_value = bound.value
        decided = bound.value >= top - allowed or found.best.objective < top - allowed
        left = deadline - time.perf_counter()
        if decided or found.candidate is None or left < LEAST_SHARE_LEFT * seconds:
            break
        hints = (
            bound.polar.witness if bound.polar.lower > found.candidate.polar.lower else found.candidate.polar.witness
        )
        finer = SearchSettings(SEARCH_SHARE * left, settings.resolution / 4 ** (attempt + 1), seed=seed + attempt + 1)
        searched = continued(objective, found, hints, finer, on_round)
        gained = searched.candidate is not found.candidate or searched.best.objective < found.best.objective
        found = searched
        if not gained:
            break
        again = _bounded(problem, found, top - allowed, allowed, deadline, listener)
        bound = max(bound, again, key=lambda b: b.value)
    return found, bound


def _bounded(  # noqa: PLR0913
    problem: Problem, found: Improvement, required: float, allowed: float, deadline: float, listener: Listener
) -> LowerBound:
    """One climb of the ladder at the best dual candidate; `required` is the bound that certifies."""
    objective = problem.objective
    if found.candidate is None:
        return trivial_bound(objective)
    needed = required + (1 - AIMED_SHARE) * allowed
    if found.best.objective < required:
        # No lower bound can certify this model any more; a decent one is still worth stating.
        deadline = min(deadline, time.perf_counter() + BOUND_SHARE_IF_IMPROVABLE * problem.budget_seconds)
        needed = found.best.objective - AIMED_SHARE * allowed

    def report(name: str, value: float, polar: float, detail: str) -> None:
        listener("bounding", found.best.objective, value, f"{name}: {detail}, polar at most {polar:.4f} λ")

    task = PolarTask(objective, found.candidate.dual, objective.strength, deadline, found.candidate.polar.witness)
    bound = climb(task, needed, report)
    if bound.point.values is not task.dual or bound.polar.lower >= found.candidate.polar.lower:
        return bound
    searched = found.candidate.polar
    return replace(bound, polar=replace(bound.polar, lower=searched.lower, witness=searched.witness))


def _result(
    problem: Problem, found: Improvement, bound: LowerBound, standing: Standing, seconds: Seconds, accepted: bool
) -> Result:
    objective = problem.objective
    verdict = verdict_of(standing, accepted)
    breakdown = _breakdown(found, standing)
    out_of_time = seconds.total >= problem.budget_seconds
    reason = reason_of(verdict, breakdown, accepted, out_of_time)
    zero = objective.evaluate(objective.empty_network())
    strength = objective.strength
    result = Result(
        verdict=verdict,
        reason=reason,
        message="",
        objective=standing.objective,
        lower_bound=standing.lower_bound,
        best_known=standing.best_known,
        relative_gap_tolerance=problem.tolerance.relative_gap,
        absolute_gap_tolerance=problem.tolerance.absolute_gap,
        achieved_share=achieved_share(zero.objective, standing.objective, standing.lower_bound),
        proof="rigorous" if accepted else "none",
        polar=PolarReport(bound.polar.lower / strength, bound.polar.upper / strength, bound.polar.method),
        breakdown=breakdown,
        descent=_descent(found, standing) if verdict == "improvable" else None,
        model=_model_report(problem),
        data=_data_report(problem, objective),
        seconds=seconds,
        environment=Environment("", "", 0),
        notes=problem.source.notes,
    )
    return replace(result, message=message_of(result))


def _breakdown(found: Improvement, standing: Standing) -> GapBreakdown:
    best = standing.best_known
    balanced = max(best, min(standing.objective, found.balanced.objective))
    local = max(best, min(balanced, found.local.objective))
    return GapBreakdown(
        unbalanced=standing.objective - balanced,
        not_stationary=balanced - local,
        missing_subnetwork=local - best,
        unexplained=best - standing.lower_bound,
    )


def _descent(found: Improvement, standing: Standing) -> Descent:
    kind, stage = _cheapest_sufficient(found, standing)
    return Descent(kind, standing.objective - stage.objective, stage.objective, stage.network.width)


def _cheapest_sufficient(found: Improvement, standing: Standing) -> tuple[Any, Stage]:
    if found.best.objective < found.local.objective:
        return "add-subnetworks", found.best
    if found.local.objective < found.balanced.objective:
        return "descend", found.local
    return "rebalance", found.balanced


def _model_report(problem: Problem) -> ModelReport:
    source = problem.source
    path = None if source.model_path is None else str(source.model_path)
    return ModelReport(path, source.model_sha256, source.family, source.degree, source.width, source.parameters)


def _data_report(problem: Problem, objective: Objective) -> DataReport:
    source = problem.source
    path = None if source.data_path is None else str(source.data_path)
    inputs = objective.inputs.shape[1] - int(problem.decomposition.augmented)
    return DataReport(path, source.data_sha256, objective.samples, inputs, objective.outputs)
