"""Which method serves which form of polar: the one table, cheapest first."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import final

from torch import Tensor

from certify.bounds.bilinear.joint import joint_forms, joint_forms_apply
from certify.bounds.bilinear.semidefinite import semidefinite_applies, semidefinite_bound
from certify.bounds.bilinear.spectral import bilinear_search, spectral_applies, spectral_bound
from certify.bounds.bilinear.vertices import vertices_apply, vertices_bound
from certify.bounds.layers.deep_search import deep_search
from certify.bounds.layers.peel_method import (
    deep_spectral,
    deep_spectral_applies,
    joint_peeling,
    peeling,
    peeling_applies,
)
from certify.bounds.multilinear.entry_search import entry_search
from certify.bounds.multilinear.entry_vertices import vertices_apply as entry_vertices_apply
from certify.bounds.multilinear.entry_vertices import vertices_bound as entry_vertices_bound
from certify.bounds.multilinear.sparse_spectral import matrix_applies, sparse_spectral
from certify.bounds.multilinear.symmetric_method import symmetric_applies, symmetric_unfolding
from certify.bounds.multilinear.symmetric_program import program_applies, symmetric_program
from certify.bounds.multilinear.unfolding_bound import unfolding_applies, unfolding_bound
from certify.bounds.multilinear.without_cones import without_cones, without_cones_apply
from certify.bounds.polar import DIVERGED, PolarBound, PolarEstimate, PolarTask
from certify.bounds.rows.ascent import rows_search
from certify.bounds.rows.cones.cone_method import LARGEST_DIMENSION, cones, cones_apply
from certify.bounds.rows.norm_products import norm_product_bound
from certify.bounds.rows.relaxations.doubly_nonnegative.product_method import products, products_apply
from certify.bounds.rows.relaxations.surrogate_methods import (
    LARGE,
    SMALL,
    first_order,
    first_order_applies,
    hubs,
    hubs_apply,
    joint,
    joint_applies,
    majorant_alone,
    majorant_alone_applies,
)
from certify.bounds.rows.scaled_norms import scaled_norms, scaled_norms_apply
from certify.bounds.rows.signs.sign_method import signs, signs_apply
from certify.bounds.rows.sorted_program import sorted_program, sorted_program_applies
from certify.bounds.rows.sorting import sorting_applies, sorting_bound
from certify.bounds.score_rounding import with_score_rounding
from certify.bounds.squares.quadratic_form import quadratic_form_bound, quadratic_form_search
from certify.bounds.symmetric.eigenvalue_bound import eigenvalue_bound, eigenvalue_search
from certify.problem import Bilinear, Layers, Multilinear, PolarForm, Rows, Squares, Symmetric

Bounds = list[tuple[Tensor, PolarBound]]


@final
@dataclass(frozen=True, slots=True)
class Method:
    """One rung of the ladder.

    Attributes:
        name: shown in reports.
        proves: dual points with proven upper bounds on their polars, for the scores as computed.
        proof: kind of the proof that certificates state it with.
        applies: whether it can contribute within the task's time.
        most_sizes: columns h of the rows (a hidden bias is one) and score columns m up to which it can apply.
        share: of the time left that it may take while others come after it.
        for_factor_norms: whether it serves norms that only `factor_norms` brings.
        at_best: whether it is for the best dual point of those before it, where that is not the task's own.
        moves_dual: whether it chooses dual points itself, and so serves objectives with a single branch alone.
    """

    name: str
    proves: Callable[[PolarTask], Bounds]
    proof: str
    applies: Callable[[PolarTask], bool] = lambda task: True
    most_sizes: tuple[float, float] = (math.inf, math.inf)
    moves_dual: bool = False
    share: float = 1.0
    at_best: bool = False
    for_factor_norms: bool = False

    def serves(self, task: PolarTask) -> bool:
        """Whether it is worth running."""
        return (len(task.objective.branches) == 1 or not self.moves_dual) and self.applies(task)

    def run(self, task: PolarTask) -> Bounds:
        """Dual points with proven upper bounds on their polars, the rounding of the scores counted.

        None where numbers overflow or underflow, or a decomposition of such does not converge.
        """
        try:
            found = self.proves(task)
        except DIVERGED:
            return []
        return [(dual, with_score_rounding(task.branch, dual, polar)) for dual, polar in found]


def _at_given_dual(bound: Callable[[PolarTask], PolarBound]) -> Callable[[PolarTask], Bounds]:
    return lambda task: [(task.dual, bound(task))]


def _unless_sorted(applies: Callable[[PolarTask], bool]) -> Callable[[PolarTask], bool]:
    """Sorting is exact at every dual point, and its program finds the best one: no other method can add to them."""
    return lambda task: not sorting_applies(task) and applies(task)


_ONE_INPUT, _ONE_SCORE, _FEW_COLUMNS = (2, math.inf), (math.inf, 1), (LARGEST_DIMENSION, math.inf)

# Of two factors under any norms.
FORMS = (
    Method(
        "joint factors",
        joint_forms,
        "semidefinite",
        joint_forms_apply,
        moves_dual=True,
        share=0.5,
        for_factor_norms=True,
    ),
    Method(
        "semidefinite",
        _at_given_dual(semidefinite_bound),
        "semidefinite",
        semidefinite_applies,
        for_factor_norms=True,
    ),
)

METHODS: dict[type[PolarForm], tuple[Method, ...]] = {
    Bilinear: (
        Method("spectral", _at_given_dual(spectral_bound), "spectral", spectral_applies),
        Method("vertices", _at_given_dual(vertices_bound), "vertices", vertices_apply, for_factor_norms=True),
        *FORMS,
    ),
    Multilinear: (
        Method("spectral", _at_given_dual(sparse_spectral), "spectral", matrix_applies),
        Method(
            "vertices", _at_given_dual(entry_vertices_bound), "vertices", entry_vertices_apply, for_factor_norms=True
        ),
        Method("without cones", without_cones, "spectral", without_cones_apply, moves_dual=True, for_factor_norms=True),
        *FORMS,
        Method("unfolding", _at_given_dual(unfolding_bound), "unfolding", unfolding_applies),
        Method("symmetric program", _at_given_dual(symmetric_program), "symmetric-unfolding", program_applies),
        Method("symmetric unfolding", symmetric_unfolding, "symmetric-unfolding", symmetric_applies, moves_dual=True),
        Method(
            "symmetric program",
            _at_given_dual(symmetric_program),
            "symmetric-unfolding",
            program_applies,
            at_best=True,
        ),
    ),
    Layers: (
        Method("spectral of layers", _at_given_dual(deep_spectral), "spectral", deep_spectral_applies),
        Method("joint peeling", joint_peeling, "cone-tree", peeling_applies, moves_dual=True, share=0.6),
        Method("peeling", _at_given_dual(peeling), "cone-tree", peeling_applies),
    ),
    Squares: (Method("quadratic-form", _at_given_dual(quadratic_form_bound), "quadratic-form"),),
    Symmetric: (Method("eigenvalue", _at_given_dual(eigenvalue_bound), "eigenvalue"),),
    Rows: (
        Method("sorting", _at_given_dual(sorting_bound), "sorting", sorting_applies, _ONE_INPUT),
        Method("sorted program", sorted_program, "sorting", sorted_program_applies, _ONE_INPUT, moves_dual=True),
        Method("norm-products", _at_given_dual(norm_product_bound), "norm-products", _unless_sorted(lambda task: True)),
        Method(
            "scaled-norms",
            _at_given_dual(scaled_norms),
            "scalar-majorant",
            _unless_sorted(scaled_norms_apply),
            _ONE_SCORE,
        ),
        Method("signs", _at_given_dual(signs), "sign-tree", _unless_sorted(signs_apply), _ONE_SCORE, share=0.3),
        Method(
            "surrogate", joint, "scalar-majorant", _unless_sorted(joint_applies(SMALL)), _ONE_SCORE, moves_dual=True
        ),
        Method("cones", _at_given_dual(cones), "cone-tree", _unless_sorted(cones_apply), _FEW_COLUMNS),
        Method(
            "surrogate",
            joint,
            "scalar-majorant",
            _unless_sorted(joint_applies(LARGE)),
            _ONE_SCORE,
            moves_dual=True,
        ),
        Method("hubs", hubs, "scalar-majorant", _unless_sorted(hubs_apply), _ONE_SCORE, moves_dual=True),
        Method(
            "first-order surrogate",
            first_order,
            "vector-majorant",
            _unless_sorted(first_order_applies),
            moves_dual=True,
        ),
        Method(
            "doubly nonnegative",
            products,
            "doubly-nonnegative",
            _unless_sorted(products_apply),
            moves_dual=True,
            share=0.6,
        ),
        Method("cones", _at_given_dual(cones), "cone-tree", _unless_sorted(cones_apply), _FEW_COLUMNS, at_best=True),
        # Goes on from where it was.
        Method("doubly nonnegative", products, "doubly-nonnegative", _unless_sorted(products_apply), moves_dual=True),
        Method(
            "first-order majorant",
            _at_given_dual(majorant_alone),
            "vector-majorant",
            _unless_sorted(majorant_alone_applies),
        ),
    ),
}

# Who finds violating subnetworks: lower ends of the polar with witnesses.
SEARCHES: dict[type[PolarForm], Callable[[PolarTask], PolarEstimate]] = {
    Bilinear: bilinear_search,
    Multilinear: entry_search,
    Squares: quadratic_form_search,
    Symmetric: eigenvalue_search,
    Rows: rows_search,
    Layers: deep_search,
}
