"""Searches and closed forms of the polar of rows where it is known."""

import math
import time
from dataclasses import replace

import numpy as np
import pytest
import torch

from certify.bounds.methods import METHODS
from certify.bounds.rows.ascent import ascent
from certify.bounds.rows.cones.cone_method import cones
from certify.bounds.rows.scaled_norms import scaled_norms
from certify.bounds.score_rounding import with_score_rounding

from .objectives import KINDS, RECTIFIERS, branch_of, instance, task_for, task_of


def circle_sweep(task, count=200_001):
    """Values on a dense circle of directions, in two dimensions."""
    slopes, rows = task.branch.kind.slopes, task.branch.view.rows.numpy()
    angles = np.linspace(0, 2 * np.pi, count)
    hidden = rows @ np.stack([np.cos(angles), np.sin(angles)])
    hidden = slopes.positive * np.maximum(hidden, 0) + slopes.negative * np.minimum(hidden, 0)
    return float(np.linalg.norm(task.scores.numpy().T @ hidden, axis=0).max())


@pytest.mark.parametrize("outputs", [1, 2])
@pytest.mark.parametrize("kind", sorted(RECTIFIERS))
def test_ascent_and_cones_match_a_dense_sweep_in_two_dimensions(kind, outputs):
    for seed in range(3):
        rng = np.random.default_rng(seed)
        rows, dual = (
            torch.from_numpy(rng.standard_normal((20, 2))),
            torch.from_numpy(rng.standard_normal((20, outputs))),
        )
        task = task_for(kind, rows, dual)
        sweep = circle_sweep(task)
        assert sweep * (1 - 1e-12) <= ascent(task).value <= sweep * (1 + 5e-5)
        bound = cones(task)
        assert sweep * (1 - 1e-12) <= bound.upper <= sweep * (1 + 1e-3)
        assert bound.lower == pytest.approx(sweep, rel=1e-3)


def test_ascent_never_returns_less_than_its_own_starts():
    rows, dual = instance(3)
    first = torch.nn.functional.normalize(torch.randn(5, rows.shape[1], dtype=torch.float64), dim=1)
    starts = (first, torch.zeros(5, dual.shape[1], dtype=torch.float64))
    task = replace(task_for("relu", rows, dual), deadline=time.perf_counter() - 1, starts=starts)
    values = torch.linalg.vector_norm(dual.T @ (rows @ first.T).clamp_min(0), dim=0)
    # Q = −A, and |·| does not tell them apart.
    assert ascent(task).value >= float(values.max()) * (1 - 1e-12)


@pytest.mark.parametrize("kind", sorted(RECTIFIERS))
def test_scaled_norms_are_exact_for_orthogonal_rows(kind):
    """Directions may choose every t_i freely, so that the polar is |D γ|, γ_i = max(s₊q_i, −s₋q_i, 0)."""
    slopes = KINDS[kind].slopes
    for seed in range(10):
        rng = np.random.default_rng(seed)
        lengths = 10 ** rng.uniform(-2, 2, 5)
        rows = np.linalg.qr(rng.standard_normal((7, 7)))[0][:5] * lengths[:, None]
        q = rng.standard_normal(5)
        exact = max(
            np.linalg.norm(lengths * np.maximum(0, np.maximum(slopes.positive * s, -slopes.negative * s)))
            for s in (q, -q)
        )
        task = task_for(kind, torch.from_numpy(rows), torch.from_numpy(-q[:, None]))
        assert exact * (1 - 1e-12) <= scaled_norms(task).upper <= exact * (1 + 1e-9)


@pytest.mark.parametrize("weights", [[[[0.1], [0.2], [0.7]]], [[[1.0, 0.0], [0.0, -1.0], [0.0, 0.0]]]])
def test_rounded_scores_are_paid_for_and_picked_ones_are_not(weights):
    """Against the sum of what every rounded score may hide, in extended precision."""
    weights = torch.tensor(weights, dtype=torch.float64)
    rng = np.random.default_rng(0)
    rows, dual = torch.from_numpy(rng.standard_normal((12, 2))), torch.from_numpy(rng.standard_normal((4, 1)))
    task = task_of(branch_of(KINDS["leaky 1.7"], rows, weights=weights), dual)
    exact = -np.einsum("no,opk->npk", dual.numpy().astype(np.longdouble), weights.numpy().astype(np.longdouble))
    missed = np.abs(exact.reshape(12, -1) - task.scores.numpy())
    hidden = 1.7 * float(np.linalg.norm(missed, axis=1) @ np.linalg.norm(rows.numpy(), axis=1))
    bound = METHODS[type(task.form)][2].proves(task)[0][1]
    assert bound.upper + hidden <= with_score_rounding(task.branch, dual, bound).upper <= bound.upper * (1 + 1e-13)
    assert (hidden == 0) == bool((weights.abs() == 1).any())


def test_a_free_bias_beside_rounded_scores_is_bounded_by_nothing():
    rows, dual = instance(1, free=1, outputs=1)
    weights = torch.full((1, 1, 1), 0.3, dtype=torch.float64)
    task = task_of(branch_of(KINDS["relu"], rows, 1, weights), dual)
    bound = METHODS[type(task.form)][2].proves(task)[0][1]
    assert with_score_rounding(task.branch, dual, bound).upper == math.inf
