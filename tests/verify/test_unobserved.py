"""A sparse matrix plus one of low rank in the checker: Gram matrices, products, sizes, and the randomized test."""

from dataclasses import replace

import numpy as np
import pytest
from flint import ctx

from certify.verify.enclosure import Enclosure
from certify.verify.exact.balls import Balls
from certify.verify.forms import entry_form
from certify.verify.forms.entry_form import gram, near_matrix
from certify.verify.proofs.power_test import is_accepted

from .rule_claims import proof
from .test_entries import random_form


def extended_form(rng, *, cancels=False):
    """A random form with factors of what is added, and dense copies; where it cancels, little is left at entries."""
    form, dense = random_form(rng, Enclosure)
    factors = tuple(rng.standard_normal((int(rng.integers(1, 4)), extent)) for extent in form.shape)
    rank = min(map(len, factors))
    added = (factors[0][:rank] * 10.0 ** rng.integers(-3, 4), factors[1][:rank])
    low = added[0].T @ added[1]
    if cancels:
        values = (1e-6 * rng.standard_normal(form.shape) - low)[tuple(form.places.T)]
        dense = np.zeros(form.shape)
        dense[tuple(form.places.T)] = values
        form = replace(form, values=Enclosure(values))
    return replace(form, added=added), dense, low


@pytest.mark.parametrize("block", [1, 7, 2**24])
def test_gram_matrices_hold_exact_ones_in_blocks_of_any_size(monkeypatch, block):
    monkeypatch.setattr(entry_form, "BLOCK", block)
    rng = np.random.default_rng(98)
    for _ in range(40):
        form, dense, _ = extended_form(rng, cancels=bool(rng.integers(2)))
        found = gram(form, Enclosure)
        with ctx.workprec(2000):
            whole = Balls.of(dense) + Balls.of(form.added[0].T) @ form.added[1]
            tall = whole if dense.shape[1] <= dense.shape[0] else whole.T
            exact = tall.T @ tall
            assert (found.low <= exact.low).all()
            assert (exact.high <= found.high).all()


def test_products_are_those_of_the_dense_matrix_and_sizes_bound_its_own():
    rng = np.random.default_rng(99)
    for _ in range(30):
        form, sparse, low = extended_form(rng)
        found, dense = near_matrix(form), sparse + low
        dense = dense if found.shape == dense.shape else dense.T
        scale = np.abs(sparse).max() + np.abs(low).max()
        for one, other in ((found, dense), (found.T, dense.T), (found * 2.0, dense * 2)):
            vectors = rng.standard_normal((other.shape[1], 3))
            np.testing.assert_allclose(one @ vectors, other @ vectors, atol=1e-9 * scale)
            sizes, room = abs(one), 1 + 1e-12
            assert sizes.max() * room >= np.abs(other).max()
            assert sizes.squares * room >= (other**2).sum()
            for axis in (0, 1):
                assert (sizes.sum(axis) * room >= np.abs(other).sum(axis)).all()


def test_false_bounds_fail_the_randomized_test_and_true_ones_pass():
    rng = np.random.default_rng(100)
    for _ in range(20):
        form, sparse, low = extended_form(rng)
        value = float(np.linalg.norm(sparse + low, 2))
        false = proof("randomized", value * (1 - 1e-3), 1e-12, edge=[value * (1 - 2e-3)])
        assert not is_accepted(near_matrix(form), form.values, false)
        true = proof("randomized", value * (1 + 2e-3), 1e-12, edge=[value * (1 + 1e-3)])
        assert is_accepted(near_matrix(form), form.values, true)
