"""Sorting: the polar of one input and a free bias against brute force; its program against a group lasso by cvxpy."""

import time

import cvxpy as cp
import numpy as np
import pytest
import torch

from certify.bounds.ladder import scaled
from certify.bounds.methods import METHODS
from certify.bounds.polar import PolarTask
from certify.bounds.rows.sorted_program import sorted_program
from certify.bounds.rows.sorting import sorting_applies, sorting_bound
from certify.problem.dual import feasible_dual

from ..verify.cases import make_case
from .test_polar_methods import task_for

ROUNDING = 1e-13


def task_of(positions, dual):
    inputs = np.stack([positions, np.ones_like(positions)], 1)
    return task_for("relu", torch.from_numpy(inputs), torch.from_numpy(dual), free=1)


def random_task(rng):
    n, c = int(rng.integers(1, 15)), int(rng.integers(1, 4))
    positions = rng.standard_normal(n) * 10 ** rng.uniform(-3, 3)
    if rng.random() < 0.4:
        positions = np.round(positions * 2) / 2  # ties
    dual = rng.integers(-20, 21, size=(n, c)) / 16
    dual[-1] -= dual.sum(0)
    return positions, dual


def brute_force(positions, dual):
    """The polar on a fine grid of breakpoints, the samples and far points."""
    reach = np.abs(positions).max() + 1
    grid = np.concatenate([positions, np.linspace(-2 * reach, 2 * reach, 1001)])
    sides = [np.maximum(sign * (positions[:, None] - grid), 0).T @ dual for sign in (1, -1)]
    return max(np.linalg.norm(side, axis=1).max() for side in sides), ROUNDING * reach * np.abs(dual).sum()


def test_both_ends_are_the_brute_force_polar():
    rng = np.random.default_rng(0)
    for _ in range(500):
        positions, dual = random_task(rng)
        expected, slack = brute_force(positions, dual)
        bound = sorting_bound(task_of(positions, dual))
        assert bound.lower <= bound.upper
        assert bound.upper == pytest.approx(expected, rel=1e-12, abs=slack)
        assert bound.lower == pytest.approx(expected, rel=1e-12, abs=slack)


def test_the_norm_between_neighboring_samples_is_below_its_ends():
    rng = np.random.default_rng(1)
    for _ in range(200):
        positions, dual = random_task(rng)
        ends = np.sort(positions)
        inside = ends[:-1] + np.diff(ends) * rng.random(len(ends) - 1)
        for sign in (1, -1):
            at_ends, at_inside = (
                np.linalg.norm(np.maximum(sign * (positions[:, None] - t), 0).T @ dual, axis=1) for t in (ends, inside)
            )
            slack = ROUNDING * np.abs(positions).max() * np.abs(dual).sum()
            assert (at_inside <= np.maximum(at_ends[:-1], at_ends[1:]) + slack).all()


def test_one_sample_and_equal_samples_have_polar_zero():
    assert sorting_bound(task_of(np.array([3.0]), np.zeros((1, 2)))).upper == 0
    assert sorting_bound(task_of(np.full(4, 3.0), np.array([[1.0], [-2.0], [3.0], [-2.0]]))).upper == 0


def test_it_serves_one_input_with_a_free_bias_alone():
    rng = np.random.default_rng(2)
    positions, dual = random_task(rng)
    inputs = torch.from_numpy(np.stack([positions, np.ones_like(positions)], 1))
    assert sorting_applies(task_of(positions, dual))
    assert not sorting_applies(task_for("relu", inputs, torch.from_numpy(dual)))
    wider = torch.cat([inputs[:, :1], inputs], 1)
    assert not sorting_applies(task_for("relu", wider, torch.from_numpy(dual), free=1))
    serving = [method.name for method in METHODS["relu"] if method.applies(task_of(positions, dual))]
    assert serving == ["sorting", "sorted program"]


def convex_optimum(case):
    """Group lasso over all breakpoints and both signs, its network's objective evaluated by cvxpy."""
    objective, decay = case.problem.objective, 0.05
    x, y = objective.inputs[:, 0].numpy(), objective.loss.targets.numpy()
    features = np.concatenate([np.maximum(sign * (x[:, None] - x), 0) for sign in (1, -1)], 1)
    coefficients, bias = cp.Variable((features.shape[1], y.shape[1])), cp.Variable((1, y.shape[1]))
    z = features @ coefficients + np.ones((len(x), 1)) @ bias
    terms = {
        "mse": lambda: cp.sum_squares(z - y) / y.size,
        "huber": lambda: cp.sum(cp.huber(z - y, 1)) / 2 / y.size,
        "soft-margin": lambda: cp.sum(cp.logistic(-cp.multiply(y, z))) / y.size,
        "binary-cross-entropy": lambda: cp.sum(cp.logistic(z) - cp.multiply(y, z)) / y.size,
        "squared-hinge": lambda: cp.sum_squares(cp.pos(1 - cp.multiply(y, z))) / y.size,
        "poisson": lambda: cp.sum(cp.exp(z) - cp.multiply(y, z)) / y.size,
        "cross-entropy": lambda: (cp.sum(cp.log_sum_exp(z, axis=1)) - cp.sum(cp.multiply(y, z))) / len(y),
    }[case.terms.loss.name]()
    problem = cp.Problem(cp.Minimize(terms + decay * cp.sum(cp.norm(coefficients, axis=1))))
    problem.solve(solver=cp.CLARABEL)
    return problem.value


@pytest.mark.parametrize(
    ("loss", "outputs"),
    [
        ("mse", 1),
        ("mse", 3),
        ("huber", 2),
        ("soft-margin", 1),
        ("binary-cross-entropy", 2),
        ("squared-hinge", 2),
        ("poisson", 1),
        ("cross-entropy", 3),
    ],
)
def test_the_sorted_program_attains_the_optimum_of_the_group_lasso(loss, outputs):
    for seed in (2, 3, 4):
        case = make_case("relu", loss, hidden="free", output="free", outputs=outputs, inputs=1, seed=seed)
        objective = case.problem.objective
        start = feasible_dual(objective, objective.evaluate(case.problem.network).gradient)
        blank = objective.empty_network().factors
        task = PolarTask(objective, start, 0.0, time.perf_counter() + 20, blank)
        (dual, polar), optimum = sorted_program(task)[0], convex_optimum(case)
        assert scaled(objective, dual, polar).value == pytest.approx(optimum, rel=1e-5)
