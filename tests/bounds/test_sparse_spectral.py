"""Largest singular values of sparse matrices, by Cholesky and at random, through certificate and checker."""

import time

import numpy as np
import pytest

from certify.bounds.ladder import scaled
from certify.bounds.multilinear import sparse_spectral
from certify.bounds.polar import PolarTask
from certify.bounds.score_rounding import with_score_rounding
from certify.problem.dual import feasible_dual
from certify.problem.unobserved import anchored
from certify.verify import verify_bytes
from certify.workflows.certificate_of import FAILURE_PROBABILITY, settled_certificate

from ..soundness.factored import scattered

BIASES = ("row_bias", "column_bias")
SETTINGS = {
    "plain": {"penalty": {"weight_decay": 8.0}},
    "counted": {"penalty": {"weight_decay": 0.1, "entry_counts": True}, "settings": {"factor": -2.0}},
    "unobserved": {"penalty": {"weight_decay": 8.0}, "settings": {"unobserved": 0.3}},
    "free": {"penalty": {"weight_decay": {"left": 8.0, "right": 2.0} | dict.fromkeys(BIASES, 0.0)}, "biases": BIASES},
}


@pytest.mark.parametrize("side", [2**14, 0])
@pytest.mark.parametrize("name", SETTINGS)
def test_matrices_that_are_not_decomposed_are_proven_either_way(monkeypatch, name, side):
    """At random tables; the upper end is hardly above the singular value that numpy finds."""
    monkeypatch.setattr(sparse_spectral, "DENSE_DIMENSION", 0)
    monkeypatch.setattr(sparse_spectral, "LARGEST_SIDE", side)
    rng = np.random.default_rng(97)
    made = scattered(rng, (170, 150), 0.5, **SETTINGS[name])
    problem = made.problem(made.random_tables(rng, 4, 0.3))
    objective, until = anchored(problem.objective, problem.network), time.perf_counter() + 1e6
    dual = feasible_dual(objective, objective.evaluate(problem.network).gradient)
    task = PolarTask(objective, 0, dual, 0.0, until, objective.empty_stacks()[0], failure_probability=1e-12)
    polar = sparse_spectral.sparse_spectral(task)
    left, right = (factor.numpy() for factor in problem.network.stacks[0])
    matrix = 2 * 0.3 * left.T @ right if name == "unobserved" else np.zeros(made.shape)
    entries = objective.branches[0].view
    values = dual[: len(made.places), 0]
    matrix[tuple(entries.indices.numpy().T)] = (values if name == "unobserved" else entries.weighted(values)).numpy()
    value = np.linalg.norm(matrix, 2)
    assert value * (1 - 1e-9) <= polar.upper <= value * (1 + 1e-3)
    assert polar.lower <= value * (1 + 1e-9)
    bound = scaled(objective, dual, (with_score_rounding(objective.branches[0], dual, polar),))
    settled = settled_certificate(problem, bound, FAILURE_PROBABILITY)
    verdict = verify_bytes(settled.data)
    assert verdict.status == "valid", verdict.message
    assert verdict.kind == ("spectral" if side else "randomized")
