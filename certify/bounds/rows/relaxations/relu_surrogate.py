"""The surrogate rungs of the ladder: quadratic majorants of the ReLU polar, jointly with the dual point."""

from __future__ import annotations

import time

from torch import Tensor

from certify.bounds.polar import PolarBound, PolarTask
from certify.bounds.rows.relaxations.first_order import first_order_surrogate
from certify.bounds.rows.relaxations.surrogate import joint_surrogate as solve_jointly
from certify.bounds.rows.relaxations.surrogate_outcome import SurrogateOutcome
from certify.errors import UnsupportedError
from certify.problem.dual import InfeasibleDualError

# Up to this many samples the semidefinite program takes a second or two; beyond the larger number, too long.
SMALL_JOINT = 64
LARGEST_JOINT = 4000
# Share of the time that the joint program may take; if it fails, the first-order method has the rest.
JOINT_SHARE = 0.9
# The first-order method proves its last iterate after the deadline that it is given.
FIRST_ORDER_SHARE = 0.9


def small_joint_applies(task: PolarTask) -> bool:
    """Whether the joint semidefinite program is so small that it comes before dearer methods."""
    return _joint_applies(task) and task.objective.samples <= SMALL_JOINT


def large_joint_applies(task: PolarTask) -> bool:
    """Whether the joint semidefinite program is larger, but of a size that a solver finishes."""
    return _joint_applies(task) and SMALL_JOINT < task.objective.samples <= LARGEST_JOINT


def _joint_applies(task: PolarTask) -> bool:
    return first_order_applies(task) and task.objective.outputs == 1


def first_order_applies(task: PolarTask) -> bool:
    """Whether there is a penalized input at all."""
    objective = task.objective
    return bool(objective.inputs[:, : objective.inputs.shape[1] - objective.free_inputs].any())


def joint_surrogate(task: PolarTask) -> list[tuple[Tensor, PolarBound]]:
    """The joint program's dual point; empty if the solver failed."""
    outcome = solve_jointly(task.objective, JOINT_SHARE * task.seconds_left)
    return [] if outcome is None else [_bound(task, outcome, "surrogate")]


def first_order(task: PolarTask) -> list[tuple[Tensor, PolarBound]]:
    """The dual point and multipliers by ascent; empty where no dual point is near the candidate."""
    deadline = time.perf_counter() + FIRST_ORDER_SHARE * task.seconds_left
    try:
        outcome = first_order_surrogate(task.objective, task.dual, deadline)
    except (InfeasibleDualError, UnsupportedError):
        return []
    return [_bound(task, outcome, "first-order surrogate")]


def _bound(task: PolarTask, outcome: SurrogateOutcome, method: str) -> tuple[Tensor, PolarBound]:
    blank = tuple(f[:0] for f in task.starts)
    return outcome.dual, PolarBound(0.0, blank, outcome.upper, method, outcome.multipliers)
