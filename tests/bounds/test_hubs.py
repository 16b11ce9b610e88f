"""Products of rows with hubs: any multipliers bound every direction, and the checker agrees with the bound."""

from __future__ import annotations

import math
import time
from dataclasses import replace

import cvxpy as cp
import numpy as np
import pytest
import torch

from certify.bounds.proof import Hubs, ScalarMajorant
from certify.bounds.rows.kinked_scores import kinked_scores
from certify.bounds.rows.relaxations import hub_search
from certify.bounds.rows.relaxations.direction_region import direction_region
from certify.bounds.rows.relaxations.scalar_majorant import signed_majorant
from certify.problem import LossSpec, Objective, Slopes, View
from certify.problem.dual import best_scale

from .objectives import KINDS, branch_of, plain_convex, task_at
from .test_majorants import NOTHING, SLOPES, exact_polar, sampled_polar, upper_of


def random_hubs(n: int, d: int, count: int, free: int, generator: torch.Generator) -> ScalarMajorant:
    """Multipliers at random, of any sign, of sizes that differ; pairs such that the block of hubs is definite."""

    def draw(*shape: int) -> torch.Tensor:
        scale = 10 ** float(torch.empty(1).uniform_(-2, 0.5, generator=generator))
        return scale * torch.randn(*shape, generator=generator, dtype=torch.float64)

    products = draw(2, 2 * count, 2 * count)
    products = products + products.mT
    links = draw(2, 4, n, count) * (torch.rand(n, 1, generator=generator) < 0.7)
    curvatures = draw(2, n).abs() + 0.05
    # What l² and products of hubs can add to the square of |h·u|.
    most = 1 + 4 * float((links.clamp_min(0).sum(1).sum(2) ** 2 / curvatures).sum() + products.abs().sum())
    for index in range(count):
        products[:, index, count + index] = products[:, count + index, index] = -most
    hubs = Hubs(draw(2, count, d), links, draw(2, n, 2), products, draw(2, 2 * count, d - free))
    return ScalarMajorant(curvatures, draw(2, n), draw(2, n, 2), draw(2, 2, d - free), NOTHING, draw(2), hubs)


def problem(seed: int, free: int) -> tuple[torch.Tensor, torch.Tensor, ScalarMajorant, torch.Generator]:
    generator = torch.Generator().manual_seed(seed)
    n, d = int(torch.randint(2, 13, (1,), generator=generator)), int(torch.randint(2, 4, (1,), generator=generator))
    inputs = torch.randn(n, d, generator=generator, dtype=torch.float64)
    scores = torch.randn(n, 1, generator=generator, dtype=torch.float64)
    if free:
        inputs[:, -1] = 1
        scores = (64 * scores).round() / 64
        scores[-1] -= scores.sum()
    multipliers = random_hubs(n, d, int(torch.randint(1, 4, (1,), generator=generator)), free, generator)
    if free:
        center = torch.zeros(d - 1, dtype=torch.float64)
        values = {name: getattr(multipliers, name) for name in ScalarMajorant.__slots__}
        multipliers = ScalarMajorant(**values | {"center": center})
    return inputs, scores, multipliers, generator


@pytest.mark.parametrize("slopes", SLOPES)
@pytest.mark.parametrize("seed", range(12))
def test_a_majorant_with_hubs_is_above_the_scores_in_every_direction(seed: int, slopes: Slopes) -> None:
    inputs, scores, multipliers, generator = problem(seed, 0)
    region, parts = direction_region(View(inputs, 0), NOTHING, 1.0), kinked_scores(slopes, scores)
    directions = torch.randn(2000, inputs.shape[1], generator=generator, dtype=torch.float64)
    directions /= directions.norm(dim=1, keepdim=True)
    hidden = directions @ inputs.T
    hidden = slopes.positive * hidden.relu() - slopes.negative * (-hidden).relu()
    for index, sign in enumerate((1.0, -1.0)):
        _, majorant = signed_majorant(region, parts.column(0, sign), multipliers, index)
        assert multipliers.hubs is not None
        sides = (directions @ multipliers.hubs.directions[index].T).abs()
        lifted = torch.cat([directions, sides], 1)
        values = lifted @ majorant.linear + ((lifted @ majorant.quadratic) * lifted).sum(1) + majorant.constant
        assert bool((values >= sign * (hidden @ scores)[:, 0] - 1e-9 * values.abs()).all())


@pytest.mark.parametrize("slopes", SLOPES)
@pytest.mark.parametrize("seed", range(8))
def test_a_bound_with_hubs_is_at_least_the_exact_polar(seed: int, slopes: Slopes) -> None:
    inputs, scores, multipliers, _ = problem(seed, 0)
    found = upper_of(inputs, scores, multipliers, slopes=slopes)
    assert math.isfinite(found)
    assert found >= exact_polar(inputs, scores, slopes) * (1 - 1e-12)


@pytest.mark.parametrize("seed", range(8))
def test_a_bound_with_hubs_and_a_free_bias_is_above_sampled_directions(seed: int) -> None:
    inputs, scores, multipliers, generator = problem(seed, 1)
    found = upper_of(inputs, scores, multipliers, free=1)
    assert math.isfinite(found)
    assert found >= sampled_polar(inputs, scores, 1, generator)


def solved_limit(inputs: np.ndarray, targets: np.ndarray, strength: float, hubs: np.ndarray) -> float:
    """The relaxation with hubs as one semidefinite program, for half the mean squared error."""
    (n, d), count, constraints = inputs.shape, len(hubs), []
    outputs, masses, side = 0, 0, 1 + d + count
    for sign in (1, -1):
        lifted, t, h = cp.Variable((side, side), PSD=True), np.zeros((n, side)), np.zeros((count, side))
        t[:, 1 : 1 + d], h[:, 1 : 1 + d] = inputs, hubs
        parts = np.vstack([np.eye(side)[1 + d :] + h, np.eye(side)[1 + d :] - h])
        unit, products = np.eye(side)[: 1 + d], parts @ lifted @ parts.T
        size = cp.Variable((n, side))
        constraints += [cp.trace(lifted[1 : 1 + d, 1 : 1 + d]) == lifted[0, 0], products >= 0]
        constraints += [products[k, count + k] == 0 for k in range(count)]
        for half in [(size + t @ lifted) / 2, (size - t @ lifted) / 2, parts @ lifted]:
            constraints += [cp.SOC((half @ unit.T)[:, 0], (half @ unit.T)[:, 1:], axis=1)]
            constraints += [half @ parts.T >= 0] if half.shape[0] == n else []
        for row in range(n):
            column = cp.reshape(size[row], (side, 1), order="F")
            corner = cp.reshape(t[row] @ lifted @ t[row], (1, 1), order="F")
            constraints.append(cp.bmat([[lifted, column], [column.T, corner]]) >> 0)
        outputs = outputs + sign * (size[:, 0] + t @ lifted[:, 0]) / 2
        masses = masses + lifted[0, 0]
    objective = cp.sum_squares(outputs - targets) / (2 * n) + strength * masses
    return float(cp.Problem(cp.Minimize(objective), constraints).solve(solver="CLARABEL"))


def trained_network(objective: Objective, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    (branch,) = objective.branches
    weights = [torch.randn(8, size, generator=generator, dtype=torch.float64) for size in (4, 1)]
    weights = [weight.requires_grad_() for weight in weights]
    optimizer = torch.optim.LBFGS(weights, max_iter=500, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        penalty = branch.penalty.per_subnetwork(branch.norms(tuple(weights))).sum()
        total = objective.loss.value_terms((branch.view.rows @ weights[0].T).relu() @ weights[1]).sum() + penalty
        total.backward()
        return total

    optimizer.step(closure)
    return weights[0].detach(), weights[1].detach()


@pytest.mark.filterwarnings("ignore:Solution may be inaccurate")
def test_the_search_proves_no_more_than_a_solver_finds_for_the_same_hubs(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(12, 4, generator=generator, dtype=torch.float64)
    targets = torch.randn(12, 1, generator=generator, dtype=torch.float64)
    branch = branch_of(KINDS["relu"], inputs, strength=0.02)
    objective = Objective((branch,), plain_convex(12), LossSpec("mse", scale=0.5).bind(targets, 1))
    network = trained_network(objective, generator)
    monkeypatch.setattr(hub_search, "HUBS", 3)
    dual = objective.loss.gradient(torch.zeros_like(targets))
    task = replace(task_at(objective, dual), network=network, deadline=time.perf_counter() + 5)
    found = hub_search.hub_surrogate(task)
    assert found is not None
    lower = best_scale(objective, found.dual, branch.strength / found.upper).value
    hubs = hub_search.chosen_rows(inputs, task.scores[:, 0], 3)
    limit = solved_limit(inputs.numpy(), targets[:, 0].numpy(), branch.strength, hubs.numpy())
    assert 0 < lower <= limit * (1 + 1e-4)
