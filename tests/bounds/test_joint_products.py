"""Products of rows for several branches together, and with pooling and places after σ, beside a solver's value."""

import time
from dataclasses import replace

import cvxpy as cp
import numpy as np
import pytest
import torch

from certify.bounds import ladder
from certify.bounds.ladder import climb, scaled
from certify.bounds.polar import PolarTask
from certify.bounds.proof import DoublyNonnegative
from certify.bounds.rows.relaxations.doubly_nonnegative.product_method import (
    joint_products,
    joint_products_apply,
    products,
)
from certify.bounds.rows.relaxations.doubly_nonnegative.splitting import Splitting
from certify.problem import LossSpec, Objective, Readout
from certify.problem.dual import feasible_dual

from .objectives import KINDS, best_found, branch_of, plain_convex, task_for
from .test_doubly_nonnegative import normal

POOLED = torch.full((1, 3, 1), 1 / 3, dtype=torch.float64)
# Two places of outputs, three positions, two places of v: a convolution after σ, and one that differs by sample.
PLACES = normal(90, 2, 3, 2)
SAMPLES = normal(91, 8, 2, 3, 2)
# Kinds, readouts and outputs of the branches of a problem of eight samples.
PROBLEMS = {
    "relu + abs": ([("relu", None), ("abs", None)], 1),
    "relu + leaky relu, two outputs": ([("relu", None), ("leaky 0.1", None)], 2),
    "relu + linear": ([("relu", None), ("linear", None)], 1),
    "relu + linear, two outputs": ([("relu", None), ("linear", None)], 2),
    "pooled": ([("relu", POOLED)], 1),
    "pooled, two outputs": ([("leaky 0.1", POOLED)], 2),
    "pooled + pooled linear + abs": ([("relu", POOLED), ("linear", POOLED), ("abs", None)], 1),
    "places": ([("relu", PLACES)], 2),
    "places of samples": ([("abs", SAMPLES)], 2),
}

QUICK = ("relu + abs", "relu + linear, two outputs", "pooled, two outputs", "places")
# Of the solver, where it says that its solution may be inaccurate.
SOLVER_ACCURACY = 1e-3


def problem_of(name, strength=0.1):
    """Standard normal rows and targets, λ from branch to branch larger."""
    branches, outputs = PROBLEMS[name]
    made = []
    for index, (kind, weights) in enumerate(branches):
        positions = 1 if weights is None else 3
        rows = normal(10 + index, 8 * positions, 2 + index)
        made.append(branch_of(KINDS[kind], rows, 0, weights, strength * (1 + index / 4)))
    targets = normal(1, 8, outputs)
    return Objective(tuple(made), plain_convex(8), LossSpec("mse").bind(targets, outputs))


def collecting(branch, outputs):
    """The matrix from Σ y vᵀ, in rows, to outputs, in rows, of the readout."""
    view, n = branch.view, 8
    m, N = view.readout.weights_of(outputs), len(view.rows)
    units = torch.eye(N * m, dtype=torch.float64).reshape(-1, N, m)
    # By the map of single subnetworks: y and v are unit vectors.
    columns = [view.readout.sum(unit[:, unit.any(0)], unit[unit.any(1)]) for unit in units]
    return torch.stack(columns, -1).reshape(n * outputs, -1).numpy()


def solver_value(objective):
    """The relaxation of all branches as cvxpy has it; mean squared error."""
    outputs, cost, constraints = 0, 0, []
    for branch in objective.branches:
        rows, (n, d) = branch.view.rows.numpy(), branch.view.rows.shape
        m, lam = branch.view.readout.weights_of(objective.outputs), branch.strength
        maps = collecting(branch, objective.outputs)
        if branch.kind.name == "linear":
            weights = cp.Variable((d, m))
            cost = cost + lam * cp.normNuc(weights)
            outputs = outputs + maps @ cp.vec(rows @ weights, order="C")
            continue
        for sign in (1, -1) if m == 1 else (1,):
            reduced = cp.Variable((m + d + n, m + d + n), PSD=True)
            odd, even = np.hstack([np.zeros((n, m)), rows / 2, np.zeros((n, n))]), np.eye(n, m + d + n, m + d)
            lift = np.vstack([np.eye(m + d, m + d + n), even + odd, even - odd])
            lift = lift @ reduced @ lift.T
            v, u, z = slice(0, m), slice(m, m + d), slice(m + d, None)
            above, below = slice(m + d, m + d + n), slice(m + d + n, None)
            constraints += [lift[z, z] >= 0, cp.diag(lift[above, below]) == 0]
            if m == 1:
                constraints += [lift[0, 0] == cp.trace(lift[u, u]), cp.SOC(lift[z, 0], lift[u, z], axis=0)]
            slopes = branch.form.slopes
            paired = slopes.positive * lift[above, v] - slopes.negative * lift[below, v]
            outputs = outputs + sign * maps @ cp.vec(paired, order="C")
            cost = cost + lam / 2 * (cp.trace(lift[v, v]) + cp.trace(lift[u, u]))
    targets = objective.loss.targets.numpy().reshape(-1)
    loss = cp.sum_squares(outputs - targets) / targets.size
    return cp.Problem(cp.Minimize(loss + cost), constraints).solve(solver=cp.CLARABEL)


def tasks_of(objective, seconds, needed=np.inf):
    dual = feasible_dual(objective, objective.loss.gradient(torch.zeros_like(objective.loss.targets)))
    deadline, kept = time.perf_counter() + seconds, {}
    return [
        PolarTask(objective, index, dual, 0.0, deadline, stack, needed=needed, kept=kept)
        for index, stack in enumerate(objective.empty_stacks())
    ]


def descended(objective):
    """The objective of a network of six subnetworks a branch after plain descent."""
    stacks = [
        [normal(20 + j, 6, f.shape[1]).requires_grad_() for j, f in enumerate(stack)]
        for stack in objective.empty_stacks()
    ]
    optimizer = torch.optim.LBFGS([f for stack in stacks for f in stack], max_iter=100)

    def closure():
        optimizer.zero_grad()
        pairs = list(zip(objective.branches, stacks, strict=True))
        outputs = sum(branch.forward(tuple(stack)) for branch, stack in pairs)
        squares = sum(branch.strength / 2 * (f**2).sum() for branch, stack in pairs for f in stack)
        total = objective.loss.value_terms(outputs).sum() + squares
        total.backward()
        return total

    optimizer.step(closure)
    return float(closure().detach())


@pytest.mark.parametrize("weights", [None, POOLED, PLACES, SAMPLES], ids=["plain", "pooled", "places", "samples"])
def test_what_is_collected_is_the_sum_of_subnetworks_and_the_adjoint_of_scores(weights):
    readout = Readout(weights)
    hidden, second = normal(0, 8 * readout.positions, 4), normal(1, 4, readout.weights_of(4))
    outputs, dual = readout.sum(hidden, second), normal(2, 8, 4)
    torch.testing.assert_close(readout.collected(hidden @ second), outputs)
    scores = readout.scores(dual)
    torch.testing.assert_close((scores * (hidden @ second)).sum(), (dual * outputs).sum())
    units = torch.eye(32, dtype=torch.float64).reshape(32, 8, 4)
    matrix = torch.stack([readout.scores(unit).flatten() for unit in units])
    assert readout.squared_norm() == pytest.approx(float(torch.linalg.matrix_norm(matrix, 2)) ** 2)


@pytest.mark.filterwarnings("ignore:Solution may be inaccurate")
@pytest.mark.parametrize(
    "name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in sorted(PROBLEMS)]
)
def test_iterates_approach_the_value_of_a_solver_and_bounds_stay_below_it(name):
    objective = problem_of(name)
    expected = solver_value(objective)
    splitting = Splitting(objective, [None if b.kind.name == "linear" else b.view.rows for b in objective.branches])
    splitting.rescale(2)
    for _ in range(1000):
        splitting.step()
    dual = feasible_dual(objective, splitting.gradient)
    accuracy = 0.1 if name.startswith("places") else 0.01
    assert -objective.loss.conjugate(dual) == pytest.approx(expected, rel=accuracy)
    found = joint_products(tasks_of(objective, 60.0, expected * 0.97))
    assert 0.97 * expected <= found.value <= expected * (1 + SOLVER_ACCURACY)
    assert scaled(objective, found.dual, found.bounds).value == pytest.approx(found.value, rel=1e-9)


@pytest.mark.parametrize("weights", [POOLED, PLACES], ids=["pooled", "places"])
@pytest.mark.parametrize("kind", ["relu", "abs"])
def test_no_bound_with_positions_is_below_brute_force(kind, weights):
    for seed in range(3):
        rows, dual = normal(seed, 15, 3), normal(seed + 9, 5, 2)
        task = task_for(kind, rows, dual, 0, weights)
        ((at, bound),) = products(replace(task, deadline=time.perf_counter() + 2.0))
        assert bound.upper >= best_found(replace(task, dual=at)) * (1 - 1e-12)
        assert isinstance(bound.proof, DoublyNonnegative)


@pytest.mark.parametrize("name", ["relu + abs", "relu + linear, two outputs"])
def test_the_ladder_proves_more_of_several_branches_with_products(name, monkeypatch):
    """At the gradient of the zero network the rungs alone prove little."""
    objective = problem_of(name, 0.3)
    (dual, *_), stacks = [task.dual for task in tasks_of(objective, 1.0)], objective.empty_stacks()
    with_products = climb(objective, dual, stacks, np.inf, time.perf_counter() + 8.0)
    monkeypatch.setattr(ladder, "joint_products_apply", lambda tasks: False)
    without = climb(objective, dual, stacks, np.inf, time.perf_counter() + 8.0)
    assert with_products.value > without.value
    assert with_products.value <= descended(objective)
    assert all(
        polar.upper * with_products.point.scale <= branch.strength
        for branch, polar in zip(objective.branches, with_products.polars, strict=True)
    )


def test_products_serve_no_branches_with_squares_and_none_whose_polars_are_exact():
    rows, dual = normal(0, 8, 2), normal(1, 8, 1)
    for kinds, served in ((("relu", "quadratic"), False), (("linear", "linear"), False), (("relu", "linear"), True)):
        branches = tuple(branch_of(KINDS[kind], rows) for kind in kinds)
        objective = Objective(branches, plain_convex(8), LossSpec("mse").bind(dual, 1))
        assert joint_products_apply(tasks_of(objective, 60.0)) == served
    branches = tuple(
        branch_of(KINDS["relu"], torch.cat([rows[:, j:], torch.ones_like(dual)], 1)[:, -2:], 1) for j in (0, 1)
    )
    objective = Objective(branches, plain_convex(8), LossSpec("mse").bind(dual - dual.mean(), 1))
    assert not joint_products_apply(tasks_of(objective, 60.0))
