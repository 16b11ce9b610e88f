"""Large bilinear forms: the Krylov guess, the Gram proof and the randomized one, against singular values by LAPACK."""

from dataclasses import replace

import numpy as np
import pytest
import torch

import certify.bounds.bilinear.spectral as spectral
from certify.bounds.bilinear.spectral import spectral_bound, spectral_search
from certify.bounds.eigenvalue import gram_norm_upper
from certify.bounds.proof import PowerTest, Recomputed

from .objectives import task_for

ROWS, COLUMNS = 450, 420


def test_the_search_finds_multiple_leading_values():
    rng = np.random.default_rng(0)
    left, right = (np.linalg.qr(rng.standard_normal((size, COLUMNS)))[0] for size in (ROWS, COLUMNS))
    values = np.r_[np.ones(10), rng.uniform(0, 0.999, COLUMNS - 10)]
    dual = torch.from_numpy((left * values) @ right.T)
    task = task_for("linear", torch.eye(ROWS, dtype=torch.float64), dual)
    found = spectral_search(task)
    attained = task.branch.pairing(dual, found.witness)
    assert found.value == pytest.approx(1, rel=1e-9)
    assert attained.numpy() == pytest.approx(np.ones(len(attained)), rel=1e-6)


def test_the_gram_proof_is_just_above_the_largest_value():
    rng = np.random.default_rng(1)
    for shape in ((300, 200), (200, 300), (50, 50), (1, 4)):
        matrix = torch.from_numpy(rng.standard_normal(shape) * 10 ** rng.uniform(-100, 100))
        largest = float(torch.linalg.matrix_norm(matrix, 2))
        for guess in (largest, largest * (1 - 1e-6)):
            upper = gram_norm_upper(matrix, guess)
            assert largest <= upper <= largest * (1 + 1e-4)


def test_a_proof_that_fits_is_rigorous_and_one_that_does_not_is_tested_at_random(monkeypatch):
    generator = torch.Generator().manual_seed(0)
    dual = torch.randn(ROWS, COLUMNS, generator=generator, dtype=torch.float64)
    largest = float(torch.linalg.matrix_norm(dual, 2))
    task = replace(task_for("linear", torch.eye(ROWS, dtype=torch.float64), dual, 0), failure_probability=1e-12)
    rigorous = spectral_bound(task)
    assert rigorous.proof == Recomputed("spectral")
    assert largest <= rigorous.upper <= largest * (1 + 1e-4)
    monkeypatch.setattr(spectral, "MATRICES_HELD", 10**12)
    tested = spectral_bound(task)
    assert isinstance(tested.proof, PowerTest)
    assert largest <= tested.proof.edge * (1 + 1e-9) <= tested.upper <= largest * (1 + 1e-3)
    assert spectral_bound(replace(task, failure_probability=0.0)).proof == Recomputed("spectral")
