"""Dual points are feasible, and their scaled values are lower bounds for every network, trained or not."""

import math

import pytest
import torch

from certify.problem import LOSSES, Branch, ConvexPart, LossSpec, Objective, ParallelNetwork, View, WeightDecay
from certify.problem.dual import best_scale, dual_value, feasible_dual
from certify.problem.kinds import Linear
from tests.problem.test_loss_laws import C, N, draw, targets_for

FREE = {"none": [], "penalized": [0.3], "free-intercept": [0.0], "free-intercept-and-skip": [0.0, 0.0, 0.2]}


def objective_for(name, ridge, offset=None):
    generator = torch.Generator().manual_seed(2)
    inputs = torch.randn(N, 2, generator=generator, dtype=torch.float64)
    features = torch.cat([torch.ones(N, 1, dtype=torch.float64), inputs], 1)[:, : len(ridge)]
    loss = LossSpec(name).bind(targets_for(name, generator), C)
    ridge = torch.tensor(ridge, dtype=torch.float64)
    branch = Branch(Linear(), View(inputs), WeightDecay((0.1, 0.1)))
    return Objective((branch,), ConvexPart(features, ridge), loss, offset)


@pytest.mark.parametrize("case", FREE)
@pytest.mark.parametrize("name", sorted(LOSSES))
def test_repaired_points_meet_every_constraint_exactly_where_it_has_integer_coefficients(name, case):
    objective = objective_for(name, FREE[case])
    dual = feasible_dual(objective, objective.loss.gradient(draw(9)))
    assert math.isfinite(objective.loss.conjugate(dual))
    assert float((objective.convex.features[:, objective.convex.free].T @ dual).abs().sum()) < 1e-12
    if case.startswith("free-intercept"):
        assert all(math.fsum(column) == 0 for column in dual.T.tolist())
    if name == "cross-entropy":
        assert all(math.fsum(row) == 0 for row in dual.tolist())


@pytest.mark.parametrize("offset", [None, draw(11)], ids=["plain", "offset"])
@pytest.mark.parametrize("case", FREE)
@pytest.mark.parametrize("name", sorted(LOSSES))
def test_scaled_dual_values_bound_untrained_networks_from_below(name, case, offset):
    objective = objective_for(name, FREE[case], offset)
    (branch,) = objective.branches
    dual = feasible_dual(objective, objective.loss.gradient(draw(9)))
    polar = float(torch.linalg.matrix_norm(branch.view.rows.T @ dual, 2)) * (1 + 1e-12)
    bound = best_scale(objective, dual, branch.strength / polar).value
    generator = torch.Generator().manual_seed(5)
    for _ in range(50):
        factors = (
            torch.randn(4, 2, generator=generator, dtype=torch.float64),
            torch.randn(4, C, generator=generator, dtype=torch.float64),
        )
        coefficients = torch.randn(objective.convex.features.shape[1], C, generator=generator, dtype=torch.float64)
        scale = float(torch.rand(1, generator=generator))
        network = ParallelNetwork((tuple(scale * f for f in factors),), scale * coefficients)
        assert bound <= objective.evaluate(network).objective


def test_the_best_scale_is_at_least_as_good_as_a_grid():
    objective = objective_for("cross-entropy", [])
    dual = feasible_dual(objective, objective.loss.gradient(draw(9)))
    found = best_scale(objective, dual, 0.8)
    grid = max(dual_value(objective, s * dual) for s in torch.linspace(0, 0.8, 400).tolist())
    assert found.value >= grid - 1e-9
    assert 0 <= found.scale <= 0.8
