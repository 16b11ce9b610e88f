"""Descent of factorizations: it never rises, and a step of alternating least squares is a ridge regression."""

import math

import numpy as np
import pytest
import torch
from scipy.optimize import nnls

from certify.growth import factor_descent
from certify.growth.factor_descent import factors_descended
from certify.problem import ParallelNetwork

from ..soundness.bases import BOTH, COUNTED, COUNTED_FREE, DECAYED, FREE, PRODUCT
from ..soundness.factored import scattered

ALL = (*BOTH, "global_bias")
CASES = {
    "some entries": ("mse", {}),
    "weighted": ("mse", {"weights": np.array([0, 0.5, 2]), "settings": {"reduction": "mean", "factor": -1.5}}),
    "product of norms": ("mse", {"penalty": PRODUCT}),
    "free biases": ("mse", {"penalty": FREE, "biases": BOTH}),
    "decayed biases": ("mse", {"penalty": DECAYED, "biases": ALL}),
    "counted": ("mse", {"penalty": COUNTED, "biases": BOTH}),
    "unobserved": ("mse", {"settings": {"unobserved": 0.3}}),
    "unobserved, weighted": ("mse", {"weights": np.array([0, 0.1, 2]), "settings": {"unobserved": 1.5, "scale": 0.5}}),
    "huber": ("huber", {"penalty": COUNTED_FREE, "biases": ("row_bias",)}),
    "poisson": ("poisson", {"penalty": DECAYED, "biases": ALL}),
}


def made(rng, name, width=2):
    """Problem and objective of a case, at random tables."""
    loss, given = CASES[name]
    problem = scattered(rng, (int(rng.integers(2, 8)), int(rng.integers(2, 7))), rng.uniform(0.3, 1), loss, **given)
    return problem, problem.problem(problem.random_tables(rng, width, 10 ** rng.uniform(-1, 0.5)))


def directions(rng, objective, count):
    """Random unit factors."""
    shapes = objective.branches[0].view.shape
    found = (torch.from_numpy(rng.standard_normal((count, extent))) for extent in shapes)
    return (tuple(f / torch.linalg.vector_norm(f, dim=1, keepdim=True) for f in found),)


@pytest.mark.parametrize("name", CASES)
def test_the_objective_never_rises(name):
    rng = np.random.default_rng(83)
    for count in (0, 1, 3, 0, 2):
        _, problem = made(rng, name, width=int(rng.integers(0, 4)))
        objective, before = problem.objective, problem.objective.evaluate(problem.network).objective
        for deadline, steps in ((-math.inf, 10), (math.inf, 0), (math.inf, 1), (math.inf, 20)):
            new = directions(rng, objective, count)
            found = factors_descended(objective, problem.network, new, deadline, steps)
            assert objective.evaluate(found).objective <= before


@pytest.mark.parametrize("name", [name for name, (loss, _) in CASES.items() if loss == "mse"])
def test_a_step_of_alternating_least_squares_is_a_ridge_regression(name):
    """Of every place by itself, by an augmented least-squares problem of numpy."""
    rng = np.random.default_rng(84)
    for _ in range(5):
        _, problem = made(rng, name, width=3)
        objective, branch = problem.objective, problem.objective.branches[0]
        view, wanted = branch.view, torch.from_numpy(rng.standard_normal(objective.samples))
        for axis in range(2):
            plan = factor_descent._Buckets(view.indices[:, axis], view.shape[axis])
            other = torch.from_numpy(rng.standard_normal((3, view.shape[1 - axis])))
            factors = [other, other] if axis else [other[:, :0], other]
            found = factor_descent._ridge(objective, view, plan, axis, factors, wanted).numpy()
            expected = ridge_by_place(objective, axis, other.numpy(), wanted.numpy())
            np.testing.assert_allclose(found, expected, atol=1e-9)


@pytest.mark.parametrize("size", [1, 4])
def test_sweeps_in_a_cone_lead_to_nonnegative_least_squares(size):
    rng = np.random.default_rng(85)
    for _ in range(5):
        matrices, goals = rng.standard_normal((6, 7, size)), rng.standard_normal((6, 7))
        systems = torch.from_numpy(matrices.transpose(0, 2, 1) @ matrices)
        right = torch.from_numpy(np.einsum("bnr,bn->br", matrices, goals))
        found = torch.from_numpy(rng.random((6, size)))

        def costs(x, systems=systems, right=right):
            return ((systems @ x[:, :, None])[:, :, 0] * x).sum(1) / 2 - (right * x).sum(1)

        for _ in range(2000):
            before, found = costs(found), factor_descent._inside(systems, right, found)
            assert bool((costs(found) <= before + 1e-12).all())
        expected = np.stack([nnls(*pair)[0] for pair in zip(matrices, goals, strict=True)])
        np.testing.assert_allclose(found.numpy(), expected, atol=1e-8)


def ridge_by_place(objective, axis, other, wanted):
    """argmin_u Σ ω (f·u − w)² + λ/2 |u|² of every place, f the coefficient times the row of the other factor.

    Plus κ (f·u)² for every place of the other axis where nothing is observed.
    """
    branch, view = objective.branches[0], objective.branches[0].view
    places, omega = view.indices.numpy(), objective.loss.weights[:, 0].numpy()
    scale = np.ones(len(places)) if view.coefficients is None else view.coefficients.numpy()
    found = np.zeros((len(other), view.shape[axis]))
    for place in range(view.shape[axis]):
        own = places[:, axis] == place
        rows = other.T[places[own, 1 - axis]] * scale[own, None]
        root = np.sqrt(omega[own])
        unseen = np.sqrt(objective.unobserved) * np.delete(other.T, places[own, 1 - axis], 0)
        system = np.concatenate([root[:, None] * rows, unseen, np.sqrt(branch.strength / 2) * np.eye(len(other))])
        goal = np.concatenate([root * wanted[own], np.zeros(len(unseen) + len(other))])
        found[:, place] = np.linalg.lstsq(system, goal, rcond=None)[0]
    return found


@pytest.mark.parametrize("held", [1, 2**23])
def test_systems_of_places_take_every_entry_once(monkeypatch, held):
    monkeypatch.setattr(factor_descent, "HELD", held)
    rng = np.random.default_rng(85)
    for _ in range(20):
        extent = int(rng.integers(1, 12))
        index = torch.from_numpy(rng.integers(0, extent, size=int(rng.integers(1, 60))))
        entries, owners = [], []
        for places, found in factor_descent._Buckets(index, extent)(3):
            there = found >= 0
            entries += found[there].tolist()
            owners += places[:, None].expand_as(found)[there].tolist()
        assert sorted(entries) == list(range(len(index)))
        assert index[entries].tolist() == owners


@pytest.mark.parametrize("name", ["free biases", "decayed biases", "counted"])
def test_biases_of_one_kind_are_the_best_given_all_else(name):
    """The last group of a sweep solves its own ridge regression: its gradient is zero."""
    rng = np.random.default_rng(86)
    for _ in range(5):
        _, problem = made(rng, name)
        objective, network = problem.objective, problem.network
        product = objective.branches[0].forward(network.stacks[0])
        moved = factor_descent._with_biases(objective, network.coefficients, product)
        network = ParallelNetwork(network.stacks, moved)
        slope = objective.loss.gradient(objective.forward(network))
        last = objective.convex.groups[-1]
        ridge = objective.convex.ridge[-last.count :, None]
        np.testing.assert_allclose(last.sums(slope) + ridge * moved[-last.count :], 0, atol=1e-10)


def test_new_terms_beside_unobserved_entries_are_taken_with_the_best_size():
    """From any tables: no multiple of the same direction is better, by the objective itself."""
    rng = np.random.default_rng(88)
    for width in (0, 2, 2, 3):
        _, problem = made(rng, "unobserved", width)
        objective, strength = problem.objective, problem.objective.branches[0].strength
        residuals, weights = dense(problem.objective, problem.network)
        left, values, right = np.linalg.svd(-2 * residuals)
        if values[0] <= strength:
            continue
        pair = (torch.from_numpy(left[:, :1].T.copy()), torch.from_numpy(right[:1].copy()))
        wide = factor_descent._with_terms(objective, problem.network, pair)
        size = float(torch.linalg.vector_norm(wide.stacks[0][0][-1]) ** 2)
        line = left[:, 0][:, None] * right[0]
        best = (values[0] - strength) / (2 * (weights * line**2).sum())
        assert size == pytest.approx(best, rel=1e-2)


def dense(objective, network):
    """Weights times residuals of the whole matrix, and its weights."""
    view = objective.branches[0].view
    weights = np.full(view.shape, objective.unobserved)
    goal = np.zeros(view.shape)
    places = tuple(view.indices.numpy().T)
    weights[places], goal[places] = objective.loss.weights[:, 0].numpy(), objective.loss.targets[:, 0].numpy()
    left, right = (factor.numpy() for factor in network.stacks[0])
    return weights * (left.T @ right - goal), weights


def test_new_terms_are_taken_with_the_best_size_along_their_pull():
    """Growth from nothing: the leading singular pair of a full matrix, whose best size is σ − λ/κ."""
    rng = np.random.default_rng(87)
    for _ in range(10):
        given = scattered(rng, (4, 5), 1.0, penalty={"weight_decay": 0.3})
        problem = given.problem(given.random_tables(rng, 0, 1.0))
        matrix = np.zeros(given.shape)
        matrix[tuple(given.places.T)] = given.values
        left, values, right = np.linalg.svd(matrix)
        pair = (torch.from_numpy(left[:, :1].T.copy()), torch.from_numpy(right[:1].copy()))
        wide = factor_descent._with_terms(problem.objective, problem.network, pair)
        size = float(torch.linalg.vector_norm(wide.stacks[0][0]) * torch.linalg.vector_norm(wide.stacks[0][1]))
        assert size == pytest.approx(values[0] - 0.3 / 2, rel=1e-2)
