"""The surrogate rungs of the ladder: quadratic majorants of the ReLU polar, jointly with the dual point."""

from __future__ import annotations

from torch import Tensor

from certify.bounds.polar import PolarBound, PolarTask
from certify.bounds.surrogate import joint_surrogate as solve_jointly
from certify.bounds.surrogate_outcome import SurrogateOutcome

# Beyond this many samples the semidefinite program takes too long to be of use.
LARGEST_JOINT = 4000


def surrogate_applies(task: PolarTask) -> bool:
    """Whether the joint semidefinite program is of a size that a solver finishes."""
    return task.objective.outputs == 1 and task.objective.samples <= LARGEST_JOINT


def joint_surrogate(task: PolarTask) -> list[tuple[Tensor, PolarBound]]:
    """The joint program's dual point; empty if the solver failed."""
    outcome = solve_jointly(task.objective, task.seconds_left)
    return [] if outcome is None else [_bound(task, outcome, "surrogate")]


def _bound(task: PolarTask, outcome: SurrogateOutcome, method: str) -> tuple[Tensor, PolarBound]:
    blank = tuple(f[:0] for f in task.starts)
    return outcome.dual, PolarBound(0.0, blank, outcome.upper, method, outcome.multipliers)
