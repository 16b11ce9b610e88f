"""First-order convex surrogate: ascent on the scaled dual value over a dual point and its majorant together.

    maximize −l*(sA) + <sA, Z_0> − Σ_{μ_j>0} |s E_jᵀA|²/(2μ_j),  s = min(1, λ/U(A, multipliers))

over unconstrained coordinates (`dual_chart`, `majorant_logits`) by Adam (Kingma and Ba 2015). Every iterate gives a
valid bound; checkpoints are proven by `majorant_upper` and the best one is returned. No N x N object is formed.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from certify.bounds.polar import PolarTask
from certify.bounds.rows.relaxations.direction_region import DirectionRegion, center_of, direction_region
from certify.bounds.rows.relaxations.dual_chart import DualChart, dual_chart
from certify.bounds.rows.relaxations.majorant import majorant_upper
from certify.bounds.rows.relaxations.majorant_logits import (
    MajorantLogits,
    multipliers_at,
    starting_logits,
    upper_estimate,
)
from certify.bounds.rows.relaxations.surrogate_outcome import SurrogateOutcome
from certify.bounds.rows.rows_form import rows_form
from certify.problem.dual import InfeasibleDualError, best_scale, feasible_dual
from certify.progress import Progress

LEARNING_RATE = 0.05
MOMENTS = (0.9, 0.99)
# The learning rate falls along a cosine to this share of its start.
FINAL_SHARE = 0.01
# Share of the work spent on multipliers alone, with the dual point fixed at the start.
WARMUP = 0.1
CHECKPOINTS = 10
# The clock takes over the schedule once it is this share ahead of the steps.
HURRY = 0.1
# Most steps; the schedule follows steps or time, whichever is further, so the result is reproducible when the deadline
# is far.
STEPS = 2000


@final
@dataclass(frozen=True, slots=True)
class _Search:
    """What stays fixed during the ascent."""

    task: PolarTask
    chart: DualChart
    region: DirectionRegion
    center: Tensor


@final
@dataclass(frozen=True, slots=True)
class _Proven:
    """An outcome with the dual value that it proves for this branch alone."""

    outcome: SurrogateOutcome
    value: float


def first_order_surrogate(task: PolarTask, steps: int = STEPS) -> SurrogateOutcome:
    """Raise the lower bound from a candidate dual point; the result does not depend on chance.

    Args:
        task: of an objective with one branch, whose dual point may be a candidate that is still to be repaired.
        steps: most steps to take.

    Raises:
        InfeasibleDualError: the candidate cannot be repaired.
        UnsupportedError: the free input is not constant.
    """
    begun, search = time.perf_counter(), _search(task)
    chart, repaired = search.chart, task.objective.loss.repair(task.dual)
    # The chart meets the free constraints by moving every sample a little.
    moved = chart.dual(chart.logits(repaired)) if chart.constraints.shape[1] else repaired
    dual = feasible_dual(task.objective, moved)
    majorant, logits = starting_logits(search.region, task.scores.shape[1]), chart.logits(dual)
    best = _improved(search, None, dual, majorant)
    warm_deadline = begun + WARMUP * (task.deadline - begun)
    best = _ascend(search, (dual, None, majorant), best, (warm_deadline, round(steps * WARMUP)))
    return _ascend(search, (dual, logits, majorant), best, (task.deadline, round(steps * (1 - WARMUP)))).outcome


def first_order_majorant(task: PolarTask, steps: int = STEPS) -> SurrogateOutcome:
    """Lower the bound on the polar of one branch at the task's own dual point.

    Raises:
        UnsupportedError: the free input is not constant.
    """
    search = _search(task)
    majorant = starting_logits(search.region, task.scores.shape[1])
    best = _improved(search, None, task.dual, majorant)
    return _ascend(search, (task.dual, None, majorant), best, (task.deadline, steps)).outcome


def _search(task: PolarTask) -> _Search:
    view = task.branch.table
    center = center_of(view, torch.ones_like(view.rows[:, 0], dtype=torch.bool))
    region = direction_region(view, center, 1.0)
    return _Search(task, dual_chart(task.objective, task.dual), region, center)


def _ascend(
    search: _Search, point: tuple[Tensor, Tensor | None, MajorantLogits], best: _Proven, limits: tuple[float, int]
) -> _Proven:
    """Adam over the multipliers, and over the dual point where coordinates of it are given; updates them in place."""
    dual, logits, majorant = point
    deadline, steps = limits
    begun = time.perf_counter()
    variables = [*majorant.tensors] if logits is None else [logits, *majorant.tensors]
    variables = [variable.requires_grad_() for variable in variables if variable.numel()]
    optimizer = torch.optim.Adam(variables, lr=LEARNING_RATE, betas=MOMENTS)
    checked = 0
    for step in range(steps):
        spent = (time.perf_counter() - begun) / max(deadline - begun, 1e-9)
        if spent >= 1:
            break
        progress = max(step / steps, spent if spent > step / steps + HURRY else 0.0)
        if progress * CHECKPOINTS >= checked + 1:
            checked += 1
            best = _checked(search, best, point)
        decay = (1 + math.cos(math.pi * progress)) / 2
        optimizer.param_groups[0]["lr"] = LEARNING_RATE * (FINAL_SHARE + (1 - FINAL_SHARE) * decay)
        optimizer.zero_grad()
        loss = -_value(search, dual if logits is None else search.chart.dual(logits), majorant)
        if not bool(torch.isfinite(loss)):
            break
        loss.backward()  # type: ignore[no-untyped-call]
        if not all(v.grad is None or bool(torch.isfinite(v.grad).all()) for v in variables):
            break
        optimizer.step()
    return _checked(search, best, point)


def _value(search: _Search, dual: Tensor, majorant: MajorantLogits) -> Tensor:
    """The scaled dual value, with gradient."""
    branch = search.task.branch
    upper = upper_estimate(rows_form(search.task), search.region, branch.scores(dual), majorant)
    scale = (branch.strength / upper).clamp_max(1.0)
    return -search.chart.conjugate(scale * dual)


def _checked(search: _Search, best: _Proven, point: tuple[Tensor, Tensor | None, MajorantLogits]) -> _Proven:
    """The better of `best` and what can be proven near the point."""
    dual, logits, majorant = point
    if logits is None:
        return _improved(search, best, dual, majorant)
    try:
        moved = feasible_dual(search.task.objective, search.chart.dual(logits).detach())
    except InfeasibleDualError:
        return best
    return _improved(search, best, moved, majorant)


def _improved(search: _Search, best: _Proven | None, dual: Tensor, majorant: MajorantLogits) -> _Proven:
    """The better of `best`, if there is one, and what is proven at a feasible dual point; tells of it."""
    task, form, branch = search.task, rows_form(search.task), search.task.branch
    with torch.no_grad():
        scores = branch.scores(dual)
        multipliers = multipliers_at(form, search.region, scores, majorant, search.center)
        upper = majorant_upper(form, scores, multipliers)
        value = best_scale(task.objective, dual, branch.strength / upper if upper > 0 else math.inf).value
    if best is not None and value <= best.value:
        return best
    alone = len(task.objective.branches) == 1
    interval = 0.0, upper / branch.strength
    task.listener(Progress("bounding", lower_bound=value if alone else None, polar=interval))
    return _Proven(SurrogateOutcome(dual, upper, multipliers), value)
