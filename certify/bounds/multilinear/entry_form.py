"""Which tasks are about entries, and of how many axes."""

from __future__ import annotations

from certify.bounds.polar import PolarTask
from certify.problem import Multilinear


def entry_form(task: PolarTask) -> Multilinear:
    """The form of the task.

    Raises:
        TypeError: it is not one on entries.
    """
    if not isinstance(task.form, Multilinear):
        raise TypeError(f"{type(task.form).__name__} has no entries")
    return task.form


def is_matrix(task: PolarTask) -> bool:
    """Whether the entries are those of a matrix."""
    return isinstance(task.form, Multilinear) and task.form.entries.order == 2


def is_tensor(task: PolarTask) -> bool:
    """Whether the entries are those of a tensor of three or more axes."""
    return isinstance(task.form, Multilinear) and task.form.entries.order > 2


def is_round_tensor(task: PolarTask) -> bool:
    """Whether they are, and all norms are Euclidean, without cones."""
    return is_tensor(task) and entry_form(task).is_round
