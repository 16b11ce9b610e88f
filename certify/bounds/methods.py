"""Which method serves which form of polar: the one table, cheapest first."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import final

from torch import Tensor

from certify.bounds.bilinear.spectral import spectral_bound, spectral_search
from certify.bounds.polar import PolarBound, PolarEstimate, PolarTask
from certify.bounds.rows.ascent import rows_search
from certify.bounds.rows.cones.cone_method import LARGEST_DIMENSION, cones, cones_apply
from certify.bounds.rows.norm_products import norm_product_bound
from certify.bounds.rows.relaxations.surrogate_methods import (
    first_order,
    joint,
    large_joint_applies,
    majorant_alone,
    majorant_alone_applies,
    majorants_apply,
    small_joint_applies,
)
from certify.bounds.rows.scaled_norms import scaled_norms, scaled_norms_apply
from certify.bounds.rows.sorted_program import sorted_program, sorted_program_applies
from certify.bounds.rows.sorting import sorting_applies, sorting_bound
from certify.bounds.score_rounding import with_score_rounding
from certify.bounds.squares.quadratic_form import quadratic_form_bound, quadratic_form_search
from certify.problem import Bilinear, PolarForm, Rows, Squares

Bounds = list[tuple[Tensor, PolarBound]]


def _always(task: PolarTask) -> bool:
    return True


def _any_size(columns: int, scores: int) -> bool:
    return True


@final
@dataclass(frozen=True, slots=True)
class Method:
    """One rung of the ladder.

    Attributes:
        name: shown in reports.
        proves: dual points with proven upper bounds on their polars, for the scores as computed.
        cost: in words, for n samples, h columns of the rows (a hidden bias is one) and m score columns; as measured on
            two CPU cores.
        proof: kind of the proof that certificates state it with.
        applies: whether it can contribute within the task's time.
        fits: False where h and m rule it out before there are data.
        moves_dual: whether it chooses dual points itself, and so serves objectives with a single branch alone.
    """

    name: str
    proves: Callable[[PolarTask], Bounds]
    cost: str
    proof: str
    applies: Callable[[PolarTask], bool] = _always
    fits: Callable[[int, int], bool] = _any_size
    moves_dual: bool = False

    def serves(self, task: PolarTask) -> bool:
        """Whether it is worth running."""
        return (len(task.objective.branches) == 1 or not self.moves_dual) and self.applies(task)

    def run(self, task: PolarTask) -> Bounds:
        """Dual points with proven upper bounds on their polars, the rounding of the scores counted."""
        return [(dual, with_score_rounding(task.branch, dual, polar)) for dual, polar in self.proves(task)]


def _at_given_dual(bound: Callable[[PolarTask], PolarBound]) -> Callable[[PolarTask], Bounds]:
    return lambda task: [(task.dual, bound(task))]


def _unless_sorted(applies: Callable[[PolarTask], bool]) -> Callable[[PolarTask], bool]:
    """Sorting is exact at every dual point, and its program finds the best one: no other method can add to them."""
    return lambda task: not sorting_applies(task) and applies(task)


def _one_input(columns: int, scores: int) -> bool:
    return columns <= 2


def _one_score(columns: int, scores: int) -> bool:
    return scores == 1


def _few_columns(columns: int, scores: int) -> bool:
    return columns <= LARGEST_DIMENSION


_JOINT_COST = "joint semidefinite program in h + 1: seconds to minutes up to n in the thousands, h in the tens"

METHODS: dict[type[PolarForm], tuple[Method, ...]] = {
    Bilinear: (
        Method(
            "spectral",
            _at_given_dual(spectral_bound),
            "exact; one singular value decomposition of h × m: seconds up to thousands",
            "spectral",
        ),
    ),
    Squares: (
        Method(
            "quadratic-form",
            _at_given_dual(quadratic_form_bound),
            "exact for one score column; eigenvalues of h × h matrices: seconds up to h in the hundreds",
            "quadratic-form",
        ),
    ),
    Rows: (
        Method(
            "sorting",
            _at_given_dual(sorting_bound),
            "exact for one input with a free hidden bias; milliseconds",
            "sorting",
            sorting_applies,
            _one_input,
        ),
        Method(
            "sorted program",
            sorted_program,
            "chooses the dual point for one input with a free hidden bias: seconds",
            "sorting",
            sorted_program_applies,
            _one_input,
            moves_dual=True,
        ),
        Method(
            "norm-products",
            _at_given_dual(norm_product_bound),
            "loose; milliseconds",
            "norm-products",
            _unless_sorted(_always),
        ),
        Method(
            "scaled-norms",
            _at_given_dual(scaled_norms),
            "exact where the rows are orthogonal; milliseconds",
            "scalar-majorant",
            _unless_sorted(scaled_norms_apply),
            _one_score,
        ),
        Method(
            "surrogate",
            joint,
            _JOINT_COST,
            "scalar-majorant",
            _unless_sorted(small_joint_applies),
            _one_score,
            moves_dual=True,
        ),
        Method(
            "cones",
            _at_given_dual(cones),
            "exact in the limit; grows 15 to 25 times with each input: seconds up to h = 6, minutes up to h = 9",
            "cone-tree",
            _unless_sorted(cones_apply),
            _few_columns,
        ),
        Method(
            "surrogate",
            joint,
            _JOINT_COST,
            "scalar-majorant",
            _unless_sorted(large_joint_applies),
            _one_score,
            moves_dual=True,
        ),
        Method(
            "first-order surrogate",
            first_order,
            "the same without a solver, for any n and several score columns: spends the time it is given",
            "vector-majorant",
            _unless_sorted(majorants_apply),
            moves_dual=True,
        ),
        Method(
            "first-order majorant",
            _at_given_dual(majorant_alone),
            "the same at a given dual point, for one of several branches: spends the time it is given",
            "vector-majorant",
            _unless_sorted(majorant_alone_applies),
        ),
    ),
}

# Who finds violating subnetworks: lower ends of the polar with witnesses.
SEARCHES: dict[type[PolarForm], Callable[[PolarTask], PolarEstimate]] = {
    Bilinear: spectral_search,
    Squares: quadratic_form_search,
    Rows: rows_search,
}
