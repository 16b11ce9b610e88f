"""Forgeries by magnitude: what underflows, overflows or vanishes beside something larger proves nothing."""

import itertools
from fractions import Fraction

import numpy as np
import pytest

from certify.verify import verify_bytes
from certify.verify.container import read_container
from certify.verify.exact.verification import EXACT
from certify.verify.measure import measure
from certify.verify.proofs.least_norms import _feasible_norms, least_norms

from .families import BASES
from .handmade import (
    bilinear,
    cone_tree,
    convolution,
    free_cone_tree,
    free_majorant,
    handmade,
    moved,
    product,
    scalar_majorant,
    softmax,
    unequal,
    vector_majorant,
)
from .packing import packed

TINIEST = 2.0**-1074
FREE = (2.0**-1074, 2.0**-1073, 2.0**-1060, 2.0**-600, 2.0**-200, 1e-30, 1.0, 1e30, 2.0**200)
MAKERS = (
    handmade,
    cone_tree,
    free_cone_tree,
    scalar_majorant,
    vector_majorant,
    free_majorant,
    softmax,
    product,
    convolution,
    bilinear,
    unequal,
    moved,
    *BASES,
    lambda: handmade(family="relu", kind="norm-products", upper=2.5),
    lambda: handmade(kind="spectral", skip="penalized", output_bias="penalized"),
)
EXTREMES = (0.0, -0.0, TINIEST, 2.0**-1022, 2.0**-600, 2.0**-100, 1e16, 2.0**199, 2.0**200)

PAIRS = list(itertools.combinations(("X", "Y", "A", "P0.frame", "P0.rows", "P0.column"), 2))


@pytest.mark.parametrize("column", FREE)
def test_a_free_column_that_vanishes_beside_the_rows_hides_no_violator(column):
    """Ω° = 2, at one slope and a large bias; a cone tree that no longer sees the bias would show 1."""
    header, arrays = free_cone_tree(upper=1 + 2.0**-20)
    assert verify_bytes(packed(header, arrays | {"P0.column": np.array([column])})).rule in (
        "polar",
        "cone-tree-column",
    )


@pytest.mark.parametrize("make", MAKERS)
def test_extreme_entries_end_in_a_verdict_and_prove_no_more_than_the_zero_network(make):
    """No exception, and every lower bound that is accepted is at most the objective of the zero network."""
    header, arrays = make()
    floats = [name for name, values in arrays.items() if values.dtype == np.float64 and values.size]
    for name, value, whole in itertools.product(floats, EXTREMES, (False, True)):
        changed = {key: values.copy() for key, values in arrays.items()}
        changed[name].flat[slice(None) if whole else slice(1)] *= value
        verdict = verify_bytes(packed(header, changed))
        assert verdict.lower <= verdict.objective[1] if verdict.status == "valid" else verdict.rule


@pytest.mark.parametrize(("one", "other"), PAIRS)
def test_two_extremes_at_once_end_in_a_verdict(one, other):
    header, arrays = free_cone_tree()
    for first, second in itertools.product(EXTREMES, repeat=2):
        changed = arrays | {one: arrays[one] * first, other: arrays[other] * second}
        verdict = verify_bytes(packed(header, changed))
        assert verdict.lower <= verdict.objective[1] if verdict.status == "valid" else verdict.rule


def test_a_guess_that_misses_a_negative_value_proves_nothing():
    """w = e₁ meets w·v₁ ≥ 1, but w·v₂ = −0.6 is below −0.1; w = e₁ + e₂ meets both."""
    directions, values = np.array([[[1.0, 0.0], [-0.6, 0.4]]]), np.array([[1.0, -0.1]])
    assert _feasible_norms(directions, values, np.array([[1.0, 0.0]]))[0] == np.inf
    better = np.linalg.solve(directions[0].T, [1.0, 1.3])[None]
    assert _feasible_norms(directions, values, better)[0] == pytest.approx(np.hypot(1, 1.3), rel=1e-9)


def test_a_leaf_with_one_value_near_zero_keeps_its_bound():
    """The least w solves w·v = val at the first three generators; scaling alone would cost 1.8% for the tiny val."""
    vertices = np.array([[[1.0, 0, 0, 0], [0, -0.5, -0.5, 0], [0, 0, -1, 0], [0, 0, 0, 1]]])
    values = np.array([[3.63e-14, 0.186, 0.295, -0.308]])
    least = np.linalg.norm(np.linalg.solve(vertices[0, 1:3, 1:3], values[0, 1:3]))
    assert least_norms(vertices, values, 0.0)[0] == pytest.approx(least, rel=1e-10)


@pytest.mark.parametrize("frame", [0, 100, 199])
@pytest.mark.parametrize("row", [-1000, -595, -200, 0])
@pytest.mark.parametrize("score", [-1020, -484, -100, 0, 150])
def test_a_cone_tree_whose_units_underflow_shows_no_less_than_the_polar(frame, row, score):
    """One sample x = F g of score a: Ω° = |a x|, in exact numbers of any size; balls show no more than that."""
    header, arrays = cone_tree(upper=2.0**199)
    x, a = 2.0**frame * 2.0**row, 2.0**score
    changed = {"X": np.array([[x], [0.0]]), "A": np.array([[-a], [0.0]]), "P0.frame": np.array([[2.0**frame]])}
    arrays |= changed | {"P0.rows": np.array([[2.0**row], [0.0]])}
    header, arrays = read_container(packed(header, arrays))
    polar = Fraction(x) * Fraction(a)
    shown = measure(header, arrays).polars[0].shown
    assert shown == np.inf or Fraction(shown) >= polar
    balls = measure(header, arrays, EXACT).polars[0].shown
    assert Fraction(balls) >= polar
    assert balls <= max(1.01 * float(polar), 2.0**-1000)
