"""The ladder: climb from cheap to dear bounds until the dual value is decisive or the budget is spent.

Every rung returns dual points with proven upper bounds U ≥ Ω°(−A); scaling A by s ≤ λ/U makes it feasible, so every
rung yields a lower bound on the optimum, and the largest is kept. A rung may move A (the convex surrogate does).
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import final

import torch
from torch import Tensor

from certify.bounds.methods import METHODS
from certify.bounds.polar import PolarBound, PolarTask, Progress, silent
from certify.problem import Objective
from certify.problem.dual import DualPoint, best_scale, dual_value, dual_value_estimate

# Scales below this are as good as 0: the dual value does not depend on A there.
SMALLEST_SCALE = 1e-250

# Enough to resolve the useful polar to 1e-7; it only steers the effort.
BISECTIONS = 24

LadderProgress = Callable[[str, float, float, str], None]


@final
@dataclass(frozen=True, slots=True)
class LowerBound:
    """A proven lower bound on the objective of every network of any width.

    Attributes:
        value: the bound.
        point: dual point that attains it.
        polar: proven interval of the polar at `point.values`.
    """

    value: float
    point: DualPoint
    polar: PolarBound


def trivial_bound(objective: Objective) -> LowerBound:
    """Inf l, the dual value of A = 0, whose polar is 0."""
    zero = torch.zeros_like(objective.loss.targets)
    blank = objective.empty_network().factors
    point = DualPoint(zero, 1.0, dual_value(objective, zero))
    return LowerBound(point.value, point, PolarBound(0.0, blank, 0.0, "zero"))


def climb(task: PolarTask, needed: float, on_progress: LadderProgress | None = None) -> LowerBound:
    """Best lower bound that the methods for this kind of subnetwork prove by the deadline.

    Args:
        task: dual candidate, starts and deadline; its target is set here.
        needed: a lower bound at or above this decides; climbing stops there.
        on_progress: called with method, best lower bound, polar upper bound in units of λ, and a few words.
    """
    best = trivial_bound(task.objective)
    task = replace(task, target=_useful_polar(task.objective, task.dual, needed))
    strength = task.objective.strength
    for method in METHODS[task.objective.kind.name]:
        if best.value >= needed or task.seconds_left == 0:
            break
        if not method.applies(task):
            continue
        listening = replace(task, on_progress=_relayed(method.name, best.value, strength, on_progress))
        for dual, polar in method.run(listening):
            best = max(best, scaled(task.objective, dual, polar), key=lambda bound: bound.value)
        if on_progress:
            on_progress(method.name, best.value, best.polar.upper / strength, "done")
    return best


def _relayed(name: str, value: float, strength: float, on_progress: LadderProgress | None) -> Progress:
    """What a method reports of its polar interval, passed on with the bound proven before it."""
    if on_progress is None:
        return silent
    return lambda lower, upper, detail: on_progress(name, value, upper / strength, detail)


def scaled(objective: Objective, dual: Tensor, polar: PolarBound) -> LowerBound:
    """The lower bound that a dual point and an upper bound on its polar give together."""
    cap = objective.strength / polar.upper if polar.upper > 0 else math.inf
    # The quotient rounds once; stay on the safe side of it.
    point = best_scale(objective, dual, cap * (1 - 2.0**-51))
    return LowerBound(point.value, point, polar)


def _useful_polar(objective: Objective, dual: Tensor, needed: float) -> float:
    """Largest U for which scaling A by λ/U still gives a dual value of at least `needed`; 0 if none does."""
    best = best_scale(objective, dual, 1.0)
    if best.value < needed:
        return 0.0
    low, high = 0.0, best.scale
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        low, high = (low, middle) if dual_value_estimate(objective, middle * dual) >= needed else (middle, high)
    # At high = 0 any finite polar serves.
    return objective.strength / high if high > SMALLEST_SCALE else sys.float_info.max
