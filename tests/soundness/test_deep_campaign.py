"""Release gate: peeling proves no less than a polar that search finds, and no more than a trained network reaches.

What is compared with is plain torch: ascent from many starts, a cloud of directions passed through one channel of every
layer, and networks of several widths trained by L-BFGS.
"""

from __future__ import annotations

import time

import numpy as np
import pytest
import torch
from torch import nn

from certify.bounds.ladder import scaled
from certify.bounds.layers.peel_method import joint_peeling, peeling
from certify.bounds.polar import PolarTask
from certify.bounds.score_rounding import with_score_rounding
from certify.problem.dual import feasible_dual
from certify.workflows.certificate_of import settled_certificate

from ..bounds.layers.deep_subnetworks import best_found, kinked
from .deep_networks import Absolute, Sketch, dense, fitted

FUNCTIONS = {
    "relu": (nn.ReLU, (1.0, 0.0)),
    "leaky": (lambda: nn.LeakyReLU(0.3), (1.0, 0.3)),
    "absolute": (Absolute, (1.0, -1.0)),
}
PARTS, COUNT, FEW, SECONDS = 6, 6, 1, 0.5
DIRECTIONS, TRAININGS = 4000, 3
# Rounding of values by search, relative.
ERROR = 1e-11


def passed_on(rows, scores, layers, slopes, rng):
    """The largest |Sᵀz| of directions that one channel of every layer passes on, with either sign."""
    drawn = torch.from_numpy(rng.standard_normal((rows.shape[1], DIRECTIONS)))
    values = kinked(rows @ (drawn / drawn.norm(dim=0)), slopes)
    for _ in range(layers - 2):
        values = kinked(torch.cat([values, -values], 1), slopes)
    return float(torch.linalg.vector_norm(scores.T @ values, dim=0).max())


def objective_value(weights, inputs, targets, slopes, strength):
    """Half the squared error, and λ Σ ∏ |W_k|, of weights (r, in, out) each."""
    values = inputs
    for weight in weights[:-1]:
        values = kinked(values @ weight, slopes)
    error = (values @ weights[-1]).sum(0) - targets
    return (error**2).sum() / 2 + strength * torch.stack([w.flatten(1).norm(dim=1) for w in weights]).prod(0).sum()


def trained(sizes, inputs, targets, slopes, strength, rng):
    """The least objective that L-BFGS comes to."""
    width = int(rng.integers(1, 6))
    weights = [
        torch.from_numpy(rng.standard_normal((width, *pair))).requires_grad_()
        for pair in zip(sizes, sizes[1:], strict=False)
    ]
    optimizer = torch.optim.LBFGS(weights, max_iter=150, line_search_fn="strong_wolfe")

    def closure():
        optimizer.zero_grad()
        value = objective_value(weights, inputs, targets, slopes, strength)
        value.backward()
        return value

    optimizer.step(closure)
    return float(objective_value(weights, inputs, targets, slopes, strength).detach())


def instance(rng, name, layers):
    function, slopes = FUNCTIONS[name]
    n, d, outputs = int(rng.integers(3, 11)), int(rng.integers(2, 4)), int(rng.integers(1, 3))
    sizes = (d, *map(int, rng.integers(1, 4, layers - 1)), outputs)
    strength = float(10 ** rng.uniform(-1.5, 0.3))
    problem = fitted(int(rng.integers(2**31)), dense(Sketch(sizes, function)), (n, d), outputs, strength)
    return problem, sizes, slopes, strength


def compare(rng, name, layers):
    """Bound over what search finds, and what is proven over what is trained."""
    problem, sizes, slopes, strength = instance(rng, name, layers)
    objective, rows = problem.objective, problem.objective.branches[0].view.view.rows
    dual = feasible_dual(objective, objective.loss.gradient(objective.forward(problem.network)))
    alone, joint = (
        PolarTask(objective, 0, dual, 0.0, time.perf_counter() + after, problem.network.stacks[0])
        for after in (SECONDS, 2 * SECONDS)
    )
    points = [(dual, peeling(alone)), *joint_peeling(joint)]
    generator = torch.Generator().manual_seed(int(rng.integers(2**31)))
    ratios, lower = [], -np.inf
    for point, bound in points:
        found = best_found(rows, -point, layers, slopes, generator, count=16, steps=120)
        found = max(found, passed_on(rows, point, layers, slopes, rng))
        assert found <= bound.upper * (1 + ERROR)
        ratios.append(bound.upper / found)
        rounded = with_score_rounding(objective.branches[0], point, bound)
        settled = settled_certificate(problem, scaled(objective, point, (rounded,)))
        lower = max(lower, settled.verdict.lower)
    reached = objective.evaluate(problem.network).objective
    targets = objective.loss.targets
    for _ in range(TRAININGS):
        reached = min(reached, trained(sizes, rows, targets, slopes, strength, rng))
    assert lower <= reached + ERROR * (1 + abs(reached))
    return ratios, 1 - lower / reached


def campaign(seed, name, layers, count):
    rng = np.random.default_rng([64, layers, *map(ord, name), seed])
    found = [compare(rng, name, layers) for _ in range(count)]
    ratios = [ratio for own, _ in found for ratio in own]
    gaps = [gap for _, gap in found]
    sizes = f"{count} networks, {len(ratios)} polars"
    spread = f"ratios to {max(ratios):.4f}, median {np.median(ratios):.4f}; gaps to {max(gaps):.2%}"
    print(f"{name}, {layers} layers: {sizes}, {spread}")  # noqa: T201


@pytest.mark.parametrize("layers", [3, 4])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_peeling_is_never_below_a_subnetwork_nor_above_a_network(name, layers):
    campaign(0, name, layers, FEW)


@pytest.mark.slow
@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("layers", [3, 4])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_peeling_is_never_below_a_subnetwork_nor_above_a_network_in_many(name, layers, part):
    campaign(1 + part, name, layers, COUNT)
