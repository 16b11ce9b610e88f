"""The doubly nonnegative relaxation as a method: for one branch, or for all of them together."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from certify.bounds.bilinear.spectral import spectral_applies
from certify.bounds.kept_search import Found, gone_on
from certify.bounds.polar import PolarBound, PolarTask
from certify.bounds.rows.relaxations.doubly_nonnegative.product_search import (
    ARRAYS,
    EIGEN_COST,
    LARGEST_BYTES,
    STEP_COST,
    ProductSearch,
    columns_of,
)
from certify.bounds.rows.sorting import sorting_applies
from certify.problem import Bilinear, Rows

# Steps for which there must be time.
LEAST_STEPS = 100
# Rows of the largest matrix that certificates take.
LARGEST_SIDE = 2**14
# Where its search is kept for the next task.
KEPT = "doubly nonnegative"


def products_apply(task: PolarTask) -> bool:
    """Whether time and memory suffice for its steps."""
    return products_pay(task, 1.0)


def products_pay(task: PolarTask, share: float) -> bool:
    """Whether this share of the time suffices for the first bounds; none is needed where they were found before."""
    return _pay((task,), share)


def joint_products_apply(tasks: Sequence[PolarTask]) -> bool:
    """Whether there are rows with polars that are not exact, none but singular values beside, and time and memory."""
    loose = [task for task in tasks if isinstance(task.form, Rows) and not sorting_applies(task)]
    others = [task for task in tasks if not isinstance(task.form, Rows)]
    served = all(isinstance(task.form, Bilinear) and spectral_applies(task) for task in others)
    return len(loose) > 0 and served and not any(task.branch.table.free_inputs for task in others) and _pay(tasks, 1.0)


def _pay(tasks: Sequence[PolarTask], share: float) -> bool:
    seconds, numbers = 0.0, 0
    for task in tasks:
        view, n, m = task.branch.table, len(task.branch.table.rows), columns_of(task.branch, task.objective.outputs)
        if not bool(view.penalized.any()) or m + view.rows.shape[1] + n > LARGEST_SIDE:
            return False
        if isinstance(task.form, Rows):
            signs = 2 if m == 1 else 1
            seconds += signs * (LEAST_STEPS * STEP_COST * n**2 + 2 * EIGEN_COST * n**3)
            numbers += ARRAYS * signs * n**2
    return seconds <= share * tasks[0].seconds_left and 8 * numbers <= LARGEST_BYTES or products_begun(tasks[0])


def products_begun(task: PolarTask) -> bool:
    """Whether an earlier task of the same objective left a search to go on with."""
    return KEPT in task.kept


def products(task: PolarTask) -> list[tuple[Tensor, PolarBound]]:
    """The best dual point found with its bound; empty if none was."""
    found = gone_on(task, KEPT, lambda first: ProductSearch(first, (task.network,)))
    return [] if found is None else [(found.dual, found.bounds[0])]


def joint_products(tasks: Sequence[PolarTask]) -> Found | None:
    """The best dual point of all branches together, with a bound for each; None if none was found."""
    return gone_on(tasks[0], KEPT, lambda first: ProductSearch(first, tuple(task.network for task in tasks)))
