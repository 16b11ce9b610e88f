"""Quadratic majorants of rows as methods: jointly with the dual point, or at a given one."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import replace

from torch import Tensor

from certify.bounds.polar import PolarBound, PolarTask
from certify.bounds.rows.relaxations.doubly_nonnegative.product_method import (
    products_apply,
    products_begun,
    products_pay,
)
from certify.bounds.rows.relaxations.first_order import first_order_majorant, first_order_surrogate
from certify.bounds.rows.relaxations.hub_search import HUBS, hub_surrogate
from certify.bounds.rows.relaxations.moment_surrogate import moment_majorant, moment_surrogate
from certify.bounds.rows.relaxations.surrogate_outcome import SurrogateOutcome
from certify.errors import UnsupportedError
from certify.problem.dual import InfeasibleDualError

# Up to this many rows the search of moments takes a second or two.
SMALL, LARGE = range(65), range(65, sys.maxsize)
# The share of the time that ascent and moments may take; they prove their last iterates after the deadline.
SHARE = 0.9
# Where a stronger relaxation follows.
BEFORE_PRODUCTS, BEFORE_HUBS = 0.1, 0.3
# Steps that products with hubs take to be worth it, and seconds that one takes for each number in them; on a slow core.
HUB_STEPS, HUB_STEP_COST = 2000, 4e-7
# It is left out where the stronger one has its first bounds in this share of the time.
SOON = 0.2


def joint_applies(rows: range) -> Callable[[PolarTask], bool]:
    """Whether there are moments to choose with the dual point, over a number of rows in the range."""

    def applies(task: PolarTask) -> bool:
        served = _one_score(task) and len(task.branch.table.rows) in rows
        return majorants_apply(task) and served and not products_begun(task)

    return applies


def first_order_applies(task: PolarTask) -> bool:
    """Whether moments do not serve, and no stronger relaxation is sure to have its first bounds soon."""
    return majorants_apply(task) and not _one_score(task) and not products_pay(task, SOON)


def majorants_apply(task: PolarTask) -> bool:
    """Whether there is a penalized input at all."""
    return bool(task.branch.table.penalized.any())


def majorant_alone_applies(task: PolarTask) -> bool:
    """Whether the dual point is shared with other branches, so that it cannot be chosen for this one."""
    return len(task.objective.branches) > 1 and majorants_apply(task)


def hubs_apply(task: PolarTask) -> bool:
    """Whether there is a network of one score to start from, no free bias, time, and no stronger relaxation."""
    table = task.branch.table
    if not _one_score(task) or len(task.network) != 2 or table.free_inputs or products_apply(task):
        return False
    rows, width = table.rows.shape
    timely = HUB_STEPS * HUB_STEP_COST * rows * (2 * HUBS + width) <= task.seconds_left
    return timely and majorants_apply(task) and bool((task.branch.products(task.network) > 0).any())


def joint(task: PolarTask) -> list[tuple[Tensor, PolarBound]]:
    """The dual point and multipliers of the best moments; empty where none was proven."""
    try:
        outcome = moment_surrogate(_hurried(task))
    except UnsupportedError:
        return []
    return [] if outcome is None else [(outcome.dual, _bound(task, outcome, "surrogate"))]


def hubs(task: PolarTask) -> list[tuple[Tensor, PolarBound]]:
    """The dual point and multipliers of products with hubs; empty where none was proven."""
    outcome = hub_surrogate(replace(task, deadline=time.perf_counter() + SHARE * task.seconds_left))
    return [] if outcome is None else [(outcome.dual, _bound(task, outcome, "hubs"))]


def first_order(task: PolarTask) -> list[tuple[Tensor, PolarBound]]:
    """The dual point and multipliers by ascent; empty where no dual point is near the candidate."""
    try:
        outcome = first_order_surrogate(_hurried(task))
    except (InfeasibleDualError, UnsupportedError):
        return []
    return [(outcome.dual, _bound(task, outcome, "first-order surrogate"))]


def majorant_alone(task: PolarTask) -> PolarBound:
    """The multipliers by moments or by ascent at the task's own dual point."""
    own = replace(task, deadline=time.perf_counter() + SHARE * task.seconds_left)
    outcome = moment_majorant(own) if task.scores.shape[1] == 1 else first_order_majorant(own)
    return _bound(task, outcome, "first-order majorant")


def _one_score(task: PolarTask) -> bool:
    return task.objective.outputs == 1 and task.scores.shape[1] == 1


def _hurried(task: PolarTask) -> PolarTask:
    share = BEFORE_PRODUCTS if products_apply(task) else BEFORE_HUBS if hubs_apply(task) else SHARE
    return replace(task, deadline=time.perf_counter() + share * task.seconds_left)


def _bound(task: PolarTask, outcome: SurrogateOutcome, method: str) -> PolarBound:
    return PolarBound(0.0, task.nothing, outcome.upper, method, outcome.multipliers)
