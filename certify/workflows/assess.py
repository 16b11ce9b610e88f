"""From what was found to the result: the numbers that decide, the verdict, the reason, the report."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace
from typing import final

import torch

from certify.bounds.ladder import LowerBound, scaled_estimate
from certify.certificates.margins import dual_value_lower, objective_upper
from certify.certificates.result import (
    DataReport,
    Descent,
    DescentKind,
    Environment,
    GapBreakdown,
    HeadReport,
    ModelReport,
    PolarReport,
    Result,
    Seconds,
)
from certify.certificates.verdict import Standing, achieved_share, allowance, reason_of, verdict_of
from certify.growth.stages import Improvement
from certify.models.loading import Problem
from certify.workflows.certificate_of import NoCertificateError, Settled, settled_certificate
from certify.workflows.messages import message_of
from certify.workflows.statement import statement_digest


@final
@dataclass(frozen=True, slots=True)
class Findings:
    """Everything that a result is made from; the seconds are without those of the checker.

    The failure probability is the largest allowed of a randomized proof; 0 for rigorous proofs only.
    """

    problem: Problem
    improvement: Improvement
    bound: LowerBound
    seconds: Seconds
    seed: int
    failure_probability: float


def assess(findings: Findings) -> tuple[Result, bytes | None]:
    """The result of a check, and the certificate file that the independent checker accepted, if it did."""
    problem, objective = findings.problem, findings.problem.objective
    started, settled, refusal = time.perf_counter(), None, ""
    try:
        settled = settled_certificate(problem, findings.bound, findings.failure_probability)
    except NoCertificateError as error:
        refusal = str(error)
    spent = time.perf_counter() - started
    seconds = replace(findings.seconds, verify=spent, total=findings.seconds.total + spent)
    standing, accepted = _standing(findings, settled), settled is not None
    chance = settled.failure_probability if settled else None
    verdict = verdict_of(standing, accepted=accepted)
    breakdown = _breakdown(findings.improvement, standing)
    out_of_time = seconds.total >= problem.budget_seconds and not findings.bound.exhausted
    zero, head = objective.evaluate(objective.empty_network()), problem.source.head
    result = Result(
        verdict=verdict,
        reason=reason_of(verdict, breakdown, accepted=accepted, out_of_time=out_of_time),
        message="",
        objective=standing.objective,
        lower_bound=standing.lower_bound,
        best_known=standing.best_known,
        relative_gap_tolerance=problem.tolerance.relative_gap,
        absolute_gap_tolerance=problem.tolerance.absolute_gap,
        achieved_share=achieved_share(zero.objective, standing.objective, standing.lower_bound),
        proof="none" if not accepted else "rigorous" if chance is None else "randomized",
        polar=_polar_report(findings),
        breakdown=breakdown,
        descent=_descent(findings.improvement, standing) if verdict == "improvable" else None,
        model=_model_report(problem),
        data=_data_report(problem),
        seconds=seconds,
        statement=statement_digest(problem),
        environment=Environment(str(objective.loss.targets.device), torch.__version__, findings.seed),
        optimum_estimate=_optimum_estimate(findings, standing),
        failure_probability=chance,
        notes=problem.source.notes,
        departures=problem.source.departures,
        head=None if head is None else HeadReport(head.layers, head.frozen_parameters, head.features_sha256),
    )
    unequal = [branch.kind for branch in objective.branches if branch.gauge.exponent != 1]
    message = message_of(result, refusal, unequal[0] if unequal else None)
    return replace(result, message=message), settled.data if settled else None


def _standing(findings: Findings, settled: Settled | None) -> Standing:
    """The numbers of the accepted certificate, or the prover's own where there is none."""
    problem, objective = findings.problem, findings.problem.objective
    evaluation = objective.evaluate(problem.network)
    top = objective_upper(objective, problem.network, evaluation)
    floor = 2 * evaluation.objective - top
    bound = findings.bound
    lower = bound.value - bound.point.value + dual_value_lower(bound.objective, bound.point)
    if settled is not None and settled.verdict.upper is not None and settled.verdict.lower is not None:
        top, lower = settled.verdict.upper, settled.verdict.lower
    best_network = findings.improvement.best.network
    best = objective_upper(objective, best_network, objective.evaluate(best_network))
    allowed = allowance(top, problem.tolerance.relative_gap, problem.tolerance.absolute_gap)
    return Standing(top, floor, min(best, top), lower, allowed)


def _optimum_estimate(findings: Findings, standing: Standing) -> float | None:
    """The largest lower bound that a dual point would prove if no search had missed a larger polar; decides nothing."""
    bound, candidate = findings.bound, findings.improvement.candidate
    if candidate is None:
        return None
    searched = scaled_estimate(bound.objective, bound.point.values, tuple(polar.estimate for polar in bound.polars))
    # Where nothing was found, the lower end is 0 and tells nothing.
    told = [candidate.hope_estimate, *([searched] if all(polar.lower > 0 for polar in bound.polars) else [])]
    estimate = min(max(standing.lower_bound, *told), standing.best_known)
    return estimate if math.isfinite(estimate) else None


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
    best = found.best
    kind: DescentKind
    if best.objective < found.local.objective:
        kind = "add-subnetworks"
    elif best.objective < found.balanced.objective:
        kind = "descend"
    else:
        kind = "rebalance"
    return Descent(kind, standing.objective - best.objective, best.objective, best.network.width)


def _polar_report(findings: Findings) -> PolarReport:
    """The interval of the branch that limits the bound, in units of its λ."""
    bound, branches = findings.bound, findings.problem.objective.branches
    levels = [branch.gauge.strength * bound.slope for branch in branches]
    scale = bound.point.scale if bound.cuts else 1.0
    pairs = zip(bound.polars, levels, strict=True)
    found = [PolarReport(scale * p.lower / level, scale * p.upper / level, p.method) for p, level in pairs]
    return max(found, key=lambda report: report.upper, default=PolarReport(0.0, 0.0, "vacuous"))


def _model_report(problem: Problem) -> ModelReport:
    source = problem.source
    path = None if source.model_path is None else str(source.model_path)
    return ModelReport(
        path, source.model_sha256, source.family, source.degree, source.width, source.parameters, source.digest_complete
    )


def _data_report(problem: Problem) -> DataReport:
    source, objective = problem.source, problem.objective
    path = None if source.data_path is None else str(source.data_path)
    inputs = problem.inputs[0].numel()
    return DataReport(path, source.data_sha256, objective.samples, inputs, objective.outputs)
