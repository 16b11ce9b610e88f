"""Polar bounds: upper ≥ lower, lower attained by its witness, and both right where the polar is known."""

import time

import numpy as np
import pytest
import torch

from certify.bounds.methods import METHODS, SEARCHES
from certify.bounds.polar import PolarTask
from certify.bounds.rows.ascent import relu_ascent
from certify.problem import SUBNETWORKS, ConvexPart, LossSpec, Objective, ParallelNetwork, ProductOfNorms, WeightDecay

# Methods that choose their own dual point; they have tests of their own.
MOVING = ("surrogate", "first-order surrogate", "sorted program")


def task_for(kind, inputs, dual, free=0):
    n, c = dual.shape
    convex = ConvexPart(torch.zeros(n, 0, dtype=torch.float64), torch.zeros(0, dtype=torch.float64))
    penalty = ProductOfNorms(0.1, (2, 1)) if kind == "quadratic" else WeightDecay(0.1)
    loss = LossSpec("mse").bind(torch.zeros(n, c, dtype=torch.float64), c)
    objective = Objective(SUBNETWORKS[kind], inputs, free, convex, loss, penalty)
    return PolarTask(objective, dual, 0.0, time.perf_counter() + 20, (inputs[:0], dual[:0]))


def instance(seed, free=0):
    rng = np.random.default_rng(seed)
    n, d, c = int(rng.integers(2, 12)), int(rng.integers(1, 4)), int(rng.integers(1, 4))
    inputs = rng.standard_normal((n, d)) * 10 ** rng.uniform(-3, 3)
    if rng.random() < 0.3:
        inputs[n // 2 :] = inputs[: n - n // 2]  # duplicated samples
    if rng.random() < 0.2:
        inputs[:, -1] = 0  # rank-deficient
    dual = rng.integers(-20, 21, size=(n, c)) / 16
    if free:
        inputs[:, -1] = 1
        dual[-1] -= dual.sum(0)
    return torch.from_numpy(inputs), torch.from_numpy(dual)


@pytest.mark.parametrize("kind", sorted(METHODS))
@pytest.mark.parametrize("seed", range(25))
def test_every_method_brackets_the_polar_with_an_attained_lower_end(kind, seed):
    free = int(kind == "relu" and seed % 3 == 0)
    task = task_for(kind, *instance(seed, free), free)
    found = SEARCHES[kind](task)
    witness = tuple(f[:1] for f in found.witness)
    if found.lower > 0:
        attained = -task.objective.kind.pairing(task.objective.inputs, task.dual, witness)
        network = ParallelNetwork(witness, torch.zeros(0, task.dual.shape[1], dtype=torch.float64))
        assert float(attained[0]) == pytest.approx(found.lower, rel=1e-10)
        assert float(task.objective.matched_products(network)[0]) == pytest.approx(1, rel=1e-12)
    for method in METHODS[kind]:
        if method.applies(task) and method.name not in MOVING:
            for _, polar in method.run(task):
                assert polar.upper >= found.lower * (1 - 1e-12), method.name


@pytest.mark.parametrize("seed", range(10))
def test_ascent_matches_a_dense_sweep_in_two_dimensions(seed):
    rng = np.random.default_rng(seed)
    inputs, dual = torch.from_numpy(rng.standard_normal((30, 2))), torch.from_numpy(rng.standard_normal((30, 2)))
    angles = torch.linspace(0, 2 * torch.pi, 200_001, dtype=torch.float64)
    directions = torch.stack([angles.cos(), angles.sin()])
    sweep = torch.linalg.vector_norm(dual.T @ (inputs @ directions).clamp_min(0), dim=0).max()
    assert float(sweep) * (1 - 1e-12) <= relu_ascent(task_for("relu", inputs, dual)).lower <= float(sweep) * (1 + 5e-5)


def test_ascent_never_returns_less_than_its_own_starts():
    inputs, dual = instance(3)
    task = task_for("relu", inputs, dual)
    first = torch.nn.functional.normalize(torch.randn(5, inputs.shape[1], dtype=torch.float64), dim=1)
    task = PolarTask(task.objective, dual, 0.0, time.perf_counter() - 1, (first, torch.zeros(5, dual.shape[1])))
    starts = torch.linalg.vector_norm(dual.T @ (inputs @ first.T).clamp_min(0), dim=0)
    assert relu_ascent(task).lower >= float(starts.max()) * (1 - 1e-12)
