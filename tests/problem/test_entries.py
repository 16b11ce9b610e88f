"""Entries: products by chunks are those of one piece, and those of the dense matrix or tensor."""

import numpy as np
import pytest
import torch

from certify.problem import Entries, entries
from certify.problem.kinds import FACTORIZATIONS


def made(rng, order, coefficients):
    """Random entries, each once, and factors of random width."""
    shape = tuple(int(extent) for extent in rng.integers(1, 6, size=order))
    size = int(np.prod(shape))
    chosen = rng.permutation(size)[: int(rng.integers(1, size + 1))]
    places = torch.from_numpy(np.stack(np.unravel_index(chosen, shape), 1))
    scale = torch.from_numpy(rng.standard_normal(len(chosen))) if coefficients else None
    factors = tuple(torch.from_numpy(rng.standard_normal((3, extent))) for extent in shape)
    return Entries(places, shape, scale), factors


def dense(view, factors):
    """Σ_i u_i ⊗ v_i ⊗ … at the places, with coefficients."""
    total = np.zeros(view.shape)
    for term in zip(*(factor.numpy() for factor in factors), strict=True):
        product = term[0]
        for vector in term[1:]:
            product = np.multiply.outer(product, vector)
        total += product
    found = total[tuple(view.indices.numpy().T)]
    return found if view.coefficients is None else found * view.coefficients.numpy()


@pytest.mark.parametrize("gathered", [1, 7, 2**24])
@pytest.mark.parametrize("coefficients", [False, True])
@pytest.mark.parametrize("order", [2, 3, 4])
def test_sums_and_pairings_do_not_depend_on_chunks(monkeypatch, order, coefficients, gathered):
    monkeypatch.setattr(entries, "GATHERED", gathered)
    rng = np.random.default_rng([80, order])
    for _ in range(10):
        view, factors = made(rng, order, coefficients)
        expected = dense(view, factors)
        np.testing.assert_allclose(view.sums(factors).numpy(), expected, atol=1e-12)
        kind, dual = FACTORIZATIONS[order], torch.from_numpy(rng.standard_normal((len(expected), 1)))
        by_term = [dense(view, tuple(factor[i : i + 1] for factor in factors)) @ dual[:, 0].numpy() for i in range(3)]
        np.testing.assert_allclose(kind.pairing(view, dual, factors).numpy(), by_term, atol=1e-12)


def test_chunks_cover_every_entry_once(monkeypatch):
    monkeypatch.setattr(entries, "GATHERED", 10)
    view, _ = made(np.random.default_rng(81), 2, coefficients=False)
    for width in (0, 1, 3, 50):
        found = torch.cat([torch.arange(len(view.indices))[chosen] for chosen in view.chunks(width)])
        assert found.tolist() == list(range(len(view.indices)))


def test_no_terms_are_zero():
    view, factors = made(np.random.default_rng(82), 2, coefficients=True)
    assert not bool(view.sums(tuple(factor[:0] for factor in factors)).any())
