"""Which method serves which kind of subnetwork: the one table, cheapest first."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import final

from torch import Tensor

from certify.bounds.bilinear.spectral import spectral_bound, spectral_search
from certify.bounds.polar import PolarBound, PolarTask
from certify.bounds.rows.ascent import relu_ascent
from certify.bounds.rows.cones.relu_cones import cones_apply, relu_cones
from certify.bounds.rows.norm_products import norm_product_bound
from certify.bounds.rows.relaxations.relu_surrogate import (
    first_order,
    first_order_applies,
    joint_surrogate,
    large_joint_applies,
    small_joint_applies,
)
from certify.bounds.rows.scaled_norms import scaled_norms, scaled_norms_apply
from certify.bounds.rows.sorted_program import sorted_program, sorted_program_applies
from certify.bounds.rows.sorting import sorting_applies, sorting_bound
from certify.bounds.squares.quadratic_form import quadratic_form_bound
from certify.bounds.vacuous import vacuous_bound

Bounds = list[tuple[Tensor, PolarBound]]


@final
@dataclass(frozen=True, slots=True)
class Method:
    """One rung of the ladder.

    Attributes:
        name: shown in reports.
        applies: whether it can contribute within the task's time.
        run: dual points with proven upper bounds on their polars.
    """

    name: str
    applies: Callable[[PolarTask], bool]
    run: Callable[[PolarTask], Bounds]


def _always(task: PolarTask) -> bool:
    return True


def _at_given_dual(bound: Callable[[PolarTask], PolarBound]) -> Callable[[PolarTask], Bounds]:
    return lambda task: [(task.dual, bound(task))]


def _unless_sorted(applies: Callable[[PolarTask], bool]) -> Callable[[PolarTask], bool]:
    """Sorting is exact at every dual point, and its program finds the best one: no other method can add to them."""
    return lambda task: not sorting_applies(task) and applies(task)


def _relu_search(task: PolarTask) -> PolarBound:
    return sorting_bound(task) if sorting_applies(task) else relu_ascent(task)


METHODS: dict[str, tuple[Method, ...]] = {
    "single-layer": (Method("vacuous", _always, _at_given_dual(vacuous_bound)),),
    "linear": (Method("spectral", _always, _at_given_dual(spectral_bound)),),
    "quadratic": (Method("quadratic-form", _always, _at_given_dual(quadratic_form_bound)),),
    "relu": (
        Method("sorting", sorting_applies, _at_given_dual(sorting_bound)),
        Method("sorted program", sorted_program_applies, sorted_program),
        Method("norm-products", _unless_sorted(_always), _at_given_dual(norm_product_bound)),
        Method("scaled-norms", _unless_sorted(scaled_norms_apply), _at_given_dual(scaled_norms)),
        Method("surrogate", _unless_sorted(small_joint_applies), joint_surrogate),
        Method("cones", _unless_sorted(cones_apply), _at_given_dual(relu_cones)),
        Method("surrogate", _unless_sorted(large_joint_applies), joint_surrogate),
        Method("first-order surrogate", _unless_sorted(first_order_applies), first_order),
    ),
}

# Who finds violating subnetworks: the lower end of the polar with witnesses.
SEARCHES: dict[str, Callable[[PolarTask], PolarBound]] = {
    "single-layer": vacuous_bound,
    "linear": spectral_search,
    "quadratic": quadratic_form_bound,
    "relu": _relu_search,
}
