"""First-order convex surrogate: ascent on the scaled dual value over a dual point and its majorant together.

    maximize −l*(sA) − Σ_{μ_j>0} |s E_jᵀA|²/(2μ_j),  s = min(1, λ/U(A, multipliers))

over unconstrained coordinates (`dual_chart`, `majorant_logits`) by Adam (Kingma and Ba 2015). Every iterate gives a
valid bound; checkpoints are proven by `majorant_upper` and the best one is returned. No n x n object is formed.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from certify.bounds.rows.relaxations.direction_region import DirectionRegion, direction_region
from certify.bounds.rows.relaxations.dual_chart import DualChart, dual_chart
from certify.bounds.rows.relaxations.majorant import majorant_upper
from certify.bounds.rows.relaxations.majorant_logits import (
    MajorantLogits,
    multipliers_at,
    starting_logits,
    upper_estimate,
)
from certify.bounds.rows.relaxations.surrogate_outcome import SurrogateOutcome
from certify.problem import Objective
from certify.problem.dual import InfeasibleDualError, best_scale, feasible_dual

LEARNING_RATE = 0.05
MOMENTS = (0.9, 0.99)
# The learning rate falls along a cosine to this share of its start.
FINAL_SHARE = 0.01
# Share of the work spent on multipliers alone, with the dual point fixed at the start.
WARMUP = 0.1
CHECKPOINTS = 10
# The clock takes over the schedule once it is this share ahead of the steps.
HURRY = 0.1

LowerBoundListener = Callable[[float], None]


def ignore(lower_bound: float) -> None:
    """Listener that ignores the lower bound."""


@final
@dataclass(frozen=True, slots=True)
class _Search:
    """What stays fixed during the ascent."""

    objective: Objective
    chart: DualChart
    region: DirectionRegion
    center: Tensor
    on_progress: LowerBoundListener
    start: float


@final
@dataclass(frozen=True, slots=True)
class _Proven:
    """An outcome with the lower bound that it proves."""

    outcome: SurrogateOutcome
    value: float


def first_order_surrogate(
    objective: Objective,
    candidate: Tensor,
    deadline: float,
    steps: int = 2000,
    on_progress: LowerBoundListener = ignore,
    move_dual: bool = True,
) -> SurrogateOutcome:
    """Raise the lower bound from a candidate dual point; the result does not depend on chance.

    Args:
        objective: a ReLU network; any number of outputs.
        candidate: (n, c), e.g. the gradient at the best known network.
        deadline: `time.perf_counter()` value at which to stop.
        steps: most steps to take; the schedule follows steps or time, whichever is further, so the result is
            reproducible when the deadline is far.
        on_progress: called with each better proven lower bound.
        move_dual: False keeps the candidate and improves its multipliers only.

    Raises:
        InfeasibleDualError: the candidate cannot be repaired.
        UnsupportedError: the free input is not constant.
    """
    start = time.perf_counter()
    chart = dual_chart(objective, candidate)
    repaired = objective.loss.repair(candidate)
    # The chart meets the free constraints by moving every sample a little.
    dual = feasible_dual(objective, chart.dual(chart.logits(repaired)) if chart.constraints.shape[1] else repaired)
    inputs, free = objective.inputs, objective.free_inputs
    center = inputs[:, :-1].mean(0) if free else inputs.new_zeros(0)
    region = direction_region(inputs, free, center, 1.0)
    search = _Search(objective, chart, region, center, on_progress, start)
    majorant = starting_logits(region, objective.outputs)
    logits = search.chart.logits(dual)
    best = _prove(search, dual, majorant)
    on_progress(best.value)
    if not move_dual:
        return _ascend(search, (dual, None, majorant), best, (deadline, steps)).outcome
    warm_deadline = start + WARMUP * (deadline - start)
    best = _ascend(search, (dual, None, majorant), best, (warm_deadline, round(steps * WARMUP)))
    return _ascend(search, (dual, logits, majorant), best, (deadline, round(steps * (1 - WARMUP)))).outcome


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
            best = _better(search, best, dual if logits is None else search.chart.dual(logits), majorant)
        optimizer.param_groups[0]["lr"] = LEARNING_RATE * _decay(progress)
        optimizer.zero_grad()
        loss = -_value(search, dual if logits is None else search.chart.dual(logits), majorant)
        if not bool(torch.isfinite(loss)):
            break
        loss.backward()  # type: ignore[no-untyped-call]
        if not all(v.grad is None or bool(torch.isfinite(v.grad).all()) for v in variables):
            break
        optimizer.step()
    return _better(search, best, dual if logits is None else search.chart.dual(logits), majorant)


def _decay(progress: float) -> float:
    return FINAL_SHARE + (1 - FINAL_SHARE) * (1 + math.cos(math.pi * progress)) / 2


def _value(search: _Search, dual: Tensor, majorant: MajorantLogits) -> Tensor:
    """The scaled dual value, with gradient."""
    upper = upper_estimate(search.region, -dual, majorant, search.objective.free_inputs)
    scale = (search.objective.strength / upper).clamp_max(1.0)
    return -search.chart.conjugate(scale * dual)


def _prove(search: _Search, dual: Tensor, majorant: MajorantLogits) -> _Proven:
    """The proven outcome at a feasible dual point."""
    objective = search.objective
    with torch.no_grad():
        multipliers = multipliers_at(search.region, -dual, majorant, search.center, objective.free_inputs)
        upper = majorant_upper(objective.inputs, -dual, multipliers, objective.free_inputs)
        value = best_scale(objective, dual, objective.strength / upper if upper > 0 else math.inf).value
    return _Proven(SurrogateOutcome(dual, upper, multipliers, time.perf_counter() - search.start), value)


def _better(search: _Search, best: _Proven, candidate: Tensor, majorant: MajorantLogits) -> _Proven:
    """The better of `best` and what can be proven at the candidate."""
    try:
        found = _prove(search, feasible_dual(search.objective, candidate.detach()), majorant)
    except InfeasibleDualError:
        return best
    if found.value <= best.value:
        return best
    search.on_progress(found.value)
    return found
