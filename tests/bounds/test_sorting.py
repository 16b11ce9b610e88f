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
from certify.problem import ConvexPart, LossSpec, Objective, Rows
from certify.problem.dual import feasible_dual

from .objectives import KINDS, RECTIFIERS, branch_of, task_for

ROUNDING = 1e-13
DECAY = 0.05


def task_of(positions, dual, kind="relu"):
    inputs = np.stack([positions, np.ones_like(positions)], 1)
    return task_for(kind, torch.from_numpy(inputs), torch.from_numpy(dual), free=1)


def neuron(kind, values):
    slopes = KINDS[kind].slopes
    return slopes.positive * np.maximum(values, 0) + slopes.negative * np.minimum(values, 0)


def random_task(rng):
    n, c = int(rng.integers(1, 15)), int(rng.integers(1, 4))
    positions = rng.standard_normal(n) * 10 ** rng.uniform(-3, 3)
    if rng.random() < 0.4:
        positions = np.round(positions * 2) / 2  # ties
    dual = rng.integers(-20, 21, size=(n, c)) / 16
    dual[-1] -= dual.sum(0)
    return positions, dual


def brute_force(positions, dual, kind="relu"):
    """The polar on a fine grid of breakpoints, the samples and far points."""
    reach = np.abs(positions).max() + 1
    grid = np.concatenate([positions, np.linspace(-2 * reach, 2 * reach, 1001)])
    sides = [neuron(kind, sign * (positions[:, None] - grid)).T @ dual for sign in (1, -1)]
    return max(np.linalg.norm(side, axis=1).max() for side in sides), 4 * ROUNDING * reach * np.abs(dual).sum()


@pytest.mark.parametrize("kind", sorted(RECTIFIERS))
def test_both_ends_are_the_brute_force_polar(kind):
    rng = np.random.default_rng(0)
    for _ in range(150):
        positions, dual = random_task(rng)
        expected, slack = brute_force(positions, dual, kind)
        bound = sorting_bound(task_of(positions, dual, kind))
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
    serving = [method.name for method in METHODS[Rows] if method.applies(task_of(positions, dual))]
    assert serving == ["sorting", "sorted program"]


def random_objective(kind, name, outputs, seed):
    """Scaled so that the optimum is not flat: an unpenalized hidden bias and output bias."""
    rng = np.random.default_rng(seed)
    n = 12
    rows = np.stack([np.sort(rng.standard_normal(n)), np.ones(n)], 1)
    draw = torch.from_numpy(np.sin(2 * rows[:, :1]) + 0.3 * rng.standard_normal((n, outputs)))
    targets = {
        "soft-margin": torch.where(draw > 0, 1.0, -1.0).double(),
        "squared-hinge": torch.where(draw > 0, 1.0, -1.0).double(),
        "binary-cross-entropy": (draw > 0).double(),
        "poisson": draw.abs().round(),
        "cross-entropy": draw.argmax(1),
    }.get(name, draw)
    loss = LossSpec(name).bind(targets, outputs)
    convex = ConvexPart(torch.ones(n, 1, dtype=torch.float64), torch.zeros(1, dtype=torch.float64))
    branch = branch_of(KINDS[kind], torch.from_numpy(rows), 1, strength=DECAY)
    return Objective((branch,), convex, loss)


def convex_optimum(objective, kind, name):
    """Group lasso over all breakpoints and both signs, its network's objective evaluated by cvxpy."""
    x, y = objective.branches[0].view.rows[:, 0].numpy(), objective.loss.targets.numpy()
    features = np.concatenate([neuron(kind, sign * (x[:, None] - x)) for sign in (1, -1)], 1)
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
    }[name]()
    problem = cp.Problem(cp.Minimize(terms + DECAY * cp.sum(cp.norm(coefficients, axis=1))))
    problem.solve(solver=cp.CLARABEL)
    return problem.value


@pytest.mark.parametrize(
    ("loss", "outputs", "kind"),
    [
        ("mse", 1, "relu"),
        ("mse", 3, "relu"),
        ("huber", 2, "relu"),
        ("soft-margin", 1, "relu"),
        ("binary-cross-entropy", 2, "relu"),
        ("squared-hinge", 2, "relu"),
        ("poisson", 1, "relu"),
        ("cross-entropy", 3, "relu"),
        *(("mse", 2, kind) for kind in sorted(RECTIFIERS)),
    ],
)
def test_the_sorted_program_attains_the_optimum_of_the_group_lasso(loss, outputs, kind):
    for seed in (2, 3, 4):
        objective = random_objective(kind, loss, outputs, seed)
        start = feasible_dual(objective, objective.evaluate(objective.empty_network()).gradient)
        task = PolarTask(objective, 0, start, 0.0, time.perf_counter() + 20, objective.empty_stacks()[0])
        (dual, polar), optimum = sorted_program(task)[0], convex_optimum(objective, kind, loss)
        assert scaled(objective, dual, (polar,)).value == pytest.approx(optimum, rel=1e-5)
