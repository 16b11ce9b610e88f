"""Quadratic majorants of rows as methods: jointly with the dual point, or at a given one."""

from __future__ import annotations

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
from certify.bounds.rows.relaxations.surrogate import joint_surrogate
from certify.bounds.rows.relaxations.surrogate_outcome import SurrogateOutcome
from certify.errors import UnsupportedError
from certify.problem.dual import InfeasibleDualError

# Up to this many rows the semidefinite program takes a second or two; beyond the larger number, too long.
SMALL, LARGE = range(65), range(65, 4001)
# Seconds of the joint program for each row and cubed column; its share of the time where a stronger relaxation follows.
JOINT_COST, JOINT_BEFORE_PRODUCTS = 4e-6, 0.2
# Share of the time that the joint program may take; if it fails, the first-order method has the rest.
JOINT_SHARE = 0.9
# The first-order method proves its last iterate after the deadline that it is given.
FIRST_ORDER_SHARE = 0.9
# Its share where a stronger relaxation follows.
BEFORE_PRODUCTS = 0.1
# It is left out where the stronger one has its first bounds in this share of the time.
SOON = 0.2


def joint_applies(rows: range) -> Callable[[PolarTask], bool]:
    """Whether there is a joint semidefinite program, over a number of rows in the range."""

    def applies(task: PolarTask) -> bool:
        one_score = task.objective.outputs == 1 and task.scores.shape[1] == 1
        n, h = task.branch.view.rows.shape
        short = JOINT_COST * n * h**3 <= JOINT_BEFORE_PRODUCTS * task.seconds_left or not products_apply(task)
        return majorants_apply(task) and one_score and n in rows and short and not products_begun(task)

    return applies


def first_order_applies(task: PolarTask) -> bool:
    """Whether no stronger relaxation is sure to have its first bounds soon."""
    return majorants_apply(task) and not products_pay(task, SOON)


def majorants_apply(task: PolarTask) -> bool:
    """Whether there is a penalized input at all."""
    return bool(task.branch.view.penalized.any())


def majorant_alone_applies(task: PolarTask) -> bool:
    """Whether the dual point is shared with other branches, so that it cannot be chosen for this one."""
    return len(task.objective.branches) > 1 and majorants_apply(task)


def joint(task: PolarTask) -> list[tuple[Tensor, PolarBound]]:
    """The joint program's dual point; empty if the solver failed."""
    outcome = joint_surrogate(task, JOINT_SHARE * task.seconds_left)
    return [] if outcome is None else [(outcome.dual, _bound(task, outcome, "surrogate"))]


def first_order(task: PolarTask) -> list[tuple[Tensor, PolarBound]]:
    """The dual point and multipliers by ascent; empty where no dual point is near the candidate."""
    try:
        outcome = first_order_surrogate(_hurried(task, BEFORE_PRODUCTS if products_apply(task) else FIRST_ORDER_SHARE))
    except (InfeasibleDualError, UnsupportedError):
        return []
    return [(outcome.dual, _bound(task, outcome, "first-order surrogate"))]


def majorant_alone(task: PolarTask) -> PolarBound:
    """The multipliers by ascent at the task's own dual point."""
    return _bound(task, first_order_majorant(_hurried(task, FIRST_ORDER_SHARE)), "first-order majorant")


def _hurried(task: PolarTask, share: float) -> PolarTask:
    return replace(task, deadline=time.perf_counter() + share * task.seconds_left)


def _bound(task: PolarTask, outcome: SurrogateOutcome, method: str) -> PolarBound:
    return PolarBound(0.0, task.nothing, outcome.upper, method, outcome.multipliers)
