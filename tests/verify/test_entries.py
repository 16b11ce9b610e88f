"""Entries in the checker: matrices put together in blocks, coefficients, sparse products and the randomized test."""

import numpy as np
import pytest
from flint import ctx

from certify.verify import verify_bytes
from certify.verify.enclosure import Enclosure
from certify.verify.exact.balls import Balls
from certify.verify.forms import entry_form
from certify.verify.forms.entry_form import EntryForm, gram, near_matrix
from certify.verify.proofs.power_test import PowerTest, is_accepted, plan_test, random_starts
from certify.verify.statement.entries import EntryTerm

from .handmade_entries import BASES, ROW, empty, entries
from .packing import packed
from .rule_claims import proof


def random_form(rng, real, radius=0.0):
    """A matrix with some rows and columns that are empty, and its dense copy."""
    shape = tuple(int(extent) for extent in rng.integers(1, 9, size=2))
    size = shape[0] * shape[1]
    chosen = rng.permutation(size)[: int(rng.integers(1, size + 1))]
    places = np.stack(np.unravel_index(chosen, shape), 1)
    values = rng.standard_normal(len(chosen)) * 10.0 ** rng.integers(-9, 9, size=len(chosen))
    dense = np.zeros(shape)
    dense[tuple(places.T)] = values
    enclosed = Enclosure(values, radius * np.abs(values)) if real is Enclosure else real(values)
    return EntryForm(places, enclosed, shape), dense


@pytest.mark.parametrize("block", [1, 7, 2**24])
def test_gram_matrices_hold_exact_ones_in_blocks_of_any_size(monkeypatch, block):
    monkeypatch.setattr(entry_form, "BLOCK", block)
    rng = np.random.default_rng(90)
    for _ in range(60):
        form, dense = random_form(rng, Enclosure)
        found = gram(form, Enclosure)
        tall = dense if dense.shape[1] <= dense.shape[0] else dense.T
        with ctx.workprec(2000):
            exact = Balls.of(tall.T) @ tall
            assert (found.low <= exact.low).all()
            assert (exact.high <= found.high).all()
            assert (gram(EntryForm(form.places, Balls.of(form.values.mid), form.shape), Balls.of) - exact).is_zero.all()


def test_radii_of_values_are_in_the_gram_matrix():
    """All values at the upper ends of their intervals."""
    rng = np.random.default_rng(91)
    for _ in range(30):
        form, dense = random_form(rng, Enclosure, radius=0.25)
        found, grown = gram(form, Enclosure), 1.25 * dense
        grown = grown if dense.shape[1] <= dense.shape[0] else grown.T
        with ctx.workprec(2000):
            exact = Balls.of(grown.T) @ grown
            assert (found.low <= exact.low).all()
            assert (exact.high <= found.high).all()


@pytest.mark.parametrize("counted", [False, True])
@pytest.mark.parametrize("scale", [1.0, -1.5, 0.0, 1e-30])
def test_coefficients_hold_exact_ones(counted, scale):
    rng = np.random.default_rng(92)
    for order in (2, 3, 4):
        shape = tuple(int(extent) for extent in rng.integers(1, 6, size=order))
        size = int(np.prod(shape))
        chosen = rng.permutation(size)[: int(rng.integers(1, size + 1))]
        inputs = np.stack(np.unravel_index(chosen, shape), 1).astype(float)
        term = EntryTerm(shape, scale)
        found = term.coefficients(inputs, Enclosure, counted=counted)
        if found is None:
            assert scale == 1
            assert not counted
            continue
        counts = [[int((column == place).sum()) for place in column] for column in inputs.T]
        with ctx.workprec(1000):
            products = Balls.of(np.prod(np.array(counts, float), 0) if counted else np.ones(len(inputs)))
            exact = Balls.of(np.full(len(inputs), scale)) / products.square_root()
            assert (found.low <= exact.low).all()
            assert (exact.high <= found.high).all()


def test_sparse_products_sums_and_sizes_are_those_of_the_dense_matrix():
    rng = np.random.default_rng(93)
    for _ in range(30):
        form, dense = random_form(rng, Enclosure)
        sparse = near_matrix(form)
        dense = dense if sparse.shape == dense.shape else dense.T
        for one, other in ((sparse, dense), (sparse.T, dense.T), (abs(sparse), abs(dense)), (sparse * 2.0, dense * 2)):
            assert one.shape == other.shape
            vectors = rng.standard_normal((other.shape[1], 3))
            np.testing.assert_allclose(one @ vectors, other @ vectors, atol=1e-9 * np.abs(other).max())
            for axis in (0, 1):
                np.testing.assert_allclose(one.sum(axis), other.sum(axis), atol=1e-9 * np.abs(other).max())
        np.testing.assert_allclose(sparse.squares, (dense * dense).sum())
        assert abs(sparse).max() == abs(dense).max()
        longest = (dense != 0).sum(0).max() + (dense != 0).sum(1).max()
        assert sparse.longest_products == longest


def test_a_sparse_test_does_what_the_dense_one_does():
    rng = np.random.default_rng(94)
    for _ in range(10):
        form, dense = random_form(rng, Enclosure)
        sparse, edge = near_matrix(form), float(np.linalg.norm(dense, 2)) * (1 + 1e-9)
        dense = dense if sparse.shape == dense.shape else dense.T
        one, other = (plan_test(matrix, 1.01 * edge, edge, 1e-9) for matrix in (sparse, dense))
        assert isinstance(one, PowerTest)
        assert isinstance(other, PowerTest)
        assert one.degree <= other.degree
        starts = random_starts(sparse.shape[1])
        assert one.passes(starts)
        assert other.passes(starts)


def test_false_bounds_of_entries_fail_the_randomized_test():
    rng = np.random.default_rng(95)
    for _ in range(20):
        form, dense = random_form(rng, Enclosure)
        value = float(np.linalg.norm(dense, 2))
        false = proof("randomized", value * (1 - 1e-3), 1e-12, edge=[value * (1 - 2e-3)])
        assert not is_accepted(near_matrix(form), form.values, false)
        true = proof("randomized", value * (1 + 2e-3), 1e-12, edge=[value * (1 + 1e-3)])
        assert is_accepted(near_matrix(form), form.values, true)


def test_places_given_as_negative_zeros_are_zeros():
    header, arrays = entries(ROW, upper=1.5)
    assert verify_bytes(packed(header, arrays | {"X": np.where(ROW == 0, -0.0, ROW)})).status == "valid"


def test_one_entry_of_a_matrix_with_one_row_is_served():
    one = {"Y": np.ones((1, 1)), "A": -np.ones((1, 1))}
    header, arrays = entries(np.zeros((1, 2)), (1, 1), arrays=one)
    header["claim"]["lower"] = (0.3).hex()
    assert verify_bytes(packed(header, arrays)).status == "valid"


def test_many_rows_without_entries_are_served():
    """2²⁶ rows, of which two hold something."""
    header, arrays = empty()
    high, wide = 2**26, 2**8
    header["statement"]["branches"][0]["layers"][0]["shape"] = [high, wide]
    factors = {"F0.0": np.zeros((0, high)), "F0.1": np.zeros((0, wide))}
    places = np.array([[0.0, 0], [high - 1, wide - 1]])
    assert verify_bytes(packed(header, arrays | factors | {"X": places})).status == "valid"


@pytest.mark.parametrize("make", BASES)
def test_the_problem_in_words_tells_counted_biases_and_axes_apart(make):
    header, arrays = make()
    verdict = verify_bytes(packed(header, arrays))
    assert ("times the number of entries" in verdict.problem) == ("counted" in str(header["statement"]))
    for block in header["statement"]["outside"]:
        assert f"axis {block['features'][-1]}" in verdict.problem
