"""Trees of signs: shortest vectors beside scipy's, bounds beside brute force over all cells, and how many leaves."""

import itertools
import math
import time
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.optimize import lsq_linear, nnls

from certify.bounds.rows.signs.boxed_residual import Boxed, shorten
from certify.bounds.rows.signs.sign_method import signs, signs_apply
from certify.bounds.rows.sorting import sorting_bound

from .objectives import KINDS, RECTIFIERS, best_found, branch_of, instance, task_for, task_of


def over_all_cells(task):
    """The polar: in each cell a linear form over a cone, as long as the form's projection on it."""
    slopes, rows, q = task.branch.kind.slopes, task.branch.view.rows.numpy(), task.scores.numpy()[:, 0]
    found = 0.0
    for signs_of_rows in itertools.product((1.0, -1.0), repeat=len(q)):
        side = np.array(signs_of_rows)
        form = rows.T @ (q * np.where(side > 0, slopes.positive, slopes.negative))
        found = max(found, *(nnls(-(side[:, None] * rows).T, sign * form)[1] for sign in (1, -1)))
    return found


def normal(seed, n, d, free=0):
    rng = np.random.default_rng(seed)
    rows, dual = rng.standard_normal((n, d)), rng.integers(-20, 21, (n, 1)) / 16
    if free:
        rows[:, -1] = 1
        dual[-1] -= dual.sum(0)
    return torch.from_numpy(rows), torch.from_numpy(dual)


@pytest.mark.parametrize(("n", "k"), [(6, 2), (12, 4), (30, 5)])
def test_vectors_are_as_short_as_bounded_least_squares_makes_them(n, k):
    rng = np.random.default_rng(n)
    columns, base = rng.standard_normal((n, k)), 3 * rng.standard_normal((40, k))
    sides, caps = rng.choice([-1.0, 1.0], (40, n)), rng.choice([0.0, 1.0, np.inf], (40, n))
    zero = torch.zeros(40, n, dtype=torch.float64)
    given = Boxed(*map(torch.from_numpy, (base, sides, caps)), zero, zero > 0)
    found = shorten(given, torch.from_numpy(columns), torch.zeros(40, dtype=torch.float64))
    assert bool(((found.x >= 0) & (found.x <= given.caps)).all())
    lengths = torch.linalg.vector_norm(found.residuals(torch.from_numpy(columns)), dim=1).numpy()
    for own, side, cap, length in zip(base, sides, caps, lengths, strict=True):
        matrix = (side * columns.T)[:, cap > 0]
        expected = lsq_linear(matrix, -own, (0, cap[cap > 0]), method="bvls", tol=1e-14) if matrix.size else None
        rest = own if expected is None else own + matrix @ expected.x
        assert length == pytest.approx(np.linalg.norm(rest), abs=1e-8)


@pytest.mark.parametrize("d", [2, 3])
@pytest.mark.parametrize("kind", sorted(RECTIFIERS))
def test_both_ends_are_the_maximum_over_all_cells(kind, d):
    for seed in range(3):
        task = task_for(kind, *normal([seed, d], 7, d))
        exact, bound = over_all_cells(task), signs(task)
        assert exact * (1 - 1e-12) <= bound.upper <= exact * (1 + 1e-5)
        assert bound.lower == pytest.approx(exact, rel=1e-5)


@pytest.mark.parametrize("kind", sorted(RECTIFIERS))
def test_a_free_bias_beside_one_input_is_as_exact_as_sorting(kind):
    for seed in range(5):
        task = task_for(kind, *normal([seed, 9], 12, 2, free=1), free=1)
        exact = sorting_bound(task).upper
        assert exact * (1 - 1e-9) <= signs(task).upper <= exact * (1 + 1e-5)


@pytest.mark.parametrize("free", [0, 1])
@pytest.mark.parametrize("kind", sorted(RECTIFIERS))
def test_no_bound_is_below_what_brute_force_finds(kind, free):
    """Of rows that are doubled, of low rank, and of any size; finished, and stopped at once."""
    for seed in range(6):
        rows, dual = instance(seed, free, outputs=1)
        task = task_of(branch_of(KINDS[kind], rows, free), dual)
        if not signs_apply(task):
            continue
        lower = best_found(task)
        for seconds in (20.0, 0.0):
            upper = signs(replace(task, deadline=time.perf_counter() + seconds)).upper
            assert lower * (1 - 1e-12) <= upper < math.inf


def test_a_search_ends_where_its_bound_is_useful():
    task = task_for("relu", *normal(4, 14, 4))
    exact = signs(task)
    loose = signs(replace(task, target=1.2 * exact.upper))
    assert exact.upper <= loose.upper <= 1.2 * exact.upper
    assert len(loose.proof.splits) < len(exact.proof.splits)


@pytest.mark.parametrize(("n", "d"), [(16, 2), (30, 2), (16, 3)])
def test_there_are_no_more_leaves_than_cells_of_the_rows_of_positive_scores(n, d):
    """Cover (1965); with one sign of q these rows alone are decided."""
    task = task_for("relu", *normal([n, d], n, d))
    splits, q = signs(task).proof.splits, task.scores[:, 0]
    cells = [2 * sum(math.comb(int(m) - 1, k) for k in range(d)) for m in ((q > 0).sum(), (q < 0).sum())]
    assert 2 < splits.count(-1) <= sum(cells)
    assert -2 in splits
