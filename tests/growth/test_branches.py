"""Growth over branches ends at the optimum over all widths that another solver finds (`reference.py`)."""

import time
from dataclasses import replace

import numpy as np
import pytest
import torch

from certify.growth.balance import balanced
from certify.growth.corrective import corrected
from certify.growth.descent import descend
from certify.growth.directions import joined
from certify.growth.improve import SearchSettings, improve
from certify.growth.merge import costs, without_dead
from certify.growth.prune import pruned
from certify.growth.width_bound import width_bound
from certify.problem import Branch, ParallelNetwork, ProductOfNorms, Readout, View, WeightDecay
from certify.problem.kinds import Absolute, LeakyReLU, Linear, Quadratic, ReLU
from tests.growth.reference import SOLVER_ERROR, drawn, objective_of, optimum, view_of

N, D = 10, 3
SETTINGS = SearchSettings(30.0, 1e-8)
EVEN, UNEVEN = WeightDecay((0.1, 0.1)), WeightDecay((0.05, 0.2))
CONES = ProductOfNorms(0.1, (2, 1))
FAMILIES = {
    "relu": [(ReLU(), UNEVEN)],
    "abs": [(Absolute(), EVEN)],
    "leaky-relu": [(LeakyReLU(0.2), UNEVEN)],
    "rising-left": [(LeakyReLU(-0.3), EVEN)],
    "relu + abs": [(ReLU(), EVEN), (Absolute(), WeightDecay((0.09, 0.12)))],
    "relu + linear": [(ReLU(), WeightDecay((0.05, 0.05))), (Linear(), WeightDecay((0.02, 0.03)))],
    "relu + quadratic": [(ReLU(), EVEN), (Quadratic(), CONES)],
    "all": [(ReLU(), EVEN), (Quadratic(), CONES), (LeakyReLU(0.3), UNEVEN), (Linear(), EVEN)],
}


def branches_of(family, view):
    return [Branch(kind, view, penalty) for kind, penalty in FAMILIES[family]]


def assert_grown(objective):
    """Growth from width zero reaches the optimum; the other solver errs a little."""
    found, expected = improve(objective, objective.empty_network(), SETTINGS).best, optimum(objective)
    assert found.objective == pytest.approx(objective.evaluate(found.network).objective, rel=1e-15)
    assert found.objective == pytest.approx(expected, rel=2 * SOLVER_ERROR)


@pytest.mark.parametrize("family", FAMILIES)
def test_growth_reaches_the_optimum_of_another_solver(family):
    view = View(drawn(N, D, seed=1))
    assert_grown(objective_of(*branches_of(family, view), targets=drawn(N, 1, seed=101)))


@pytest.mark.parametrize("family", ["relu + abs", "relu + linear"])
def test_growth_sees_the_offset_and_the_output_bias(family):
    branches, offset = branches_of(family, View(drawn(N, D, seed=2))), 2 * drawn(N, 1, seed=3)
    assert_grown(objective_of(*branches, targets=drawn(N, 1, seed=102), offset=offset, ridge=0.1))


@pytest.mark.parametrize("hidden", ["penalized", "free"])
def test_branches_may_have_a_hidden_bias(hidden):
    inputs = drawn(N, 2, seed=3)
    branches = [Branch(ReLU(), view_of(inputs, hidden), EVEN), Branch(Linear(), View(inputs), EVEN)]
    assert_grown(objective_of(*branches, targets=drawn(N, 1, seed=103)))


@pytest.mark.parametrize("kind", [ReLU(), Absolute(), Linear()], ids=lambda kind: kind.name)
def test_a_constant_costs_next_to_nothing_where_the_hidden_bias_is_free(kind):
    branch = Branch(kind, view_of(drawn(N, 2, seed=3), "free"), EVEN)
    objective = objective_of(branch, targets=torch.full((N, 1), 3.0, dtype=torch.float64))
    assert improve(objective, objective.empty_network(), SearchSettings(10.0, 1e-6)).best.objective < 1e-2


@pytest.mark.parametrize("kinds", [(ReLU(),), (ReLU(), Linear()), (Absolute(), ReLU())], ids=str)
def test_growth_reaches_the_optimum_through_pooling(kinds):
    pooled = View(drawn(6 * 2, 2, seed=4), 0, Readout(torch.full((1, 2, 1), 0.5, dtype=torch.float64)))
    branches = [Branch(kind, pooled, EVEN) for kind in kinds]
    assert_grown(objective_of(*branches, targets=drawn(6, 1, seed=104)))


def two_branches(seed=5, width=4, c=2):
    """ReLU and linear subnetworks with random weights."""
    view = View(drawn(N, D, seed=seed))
    objective = objective_of(*branches_of("relu + linear", view), targets=drawn(N, c, seed=seed + 1), ridge=0.0)
    stacks = tuple((drawn(width, D, seed=seed + 2 + b), drawn(width, c, seed=seed + 7 + b)) for b in range(2))
    return objective, ParallelNetwork(stacks, drawn(1, c, seed=seed + 9))


def test_balancing_unequal_decays_keeps_the_function_and_costs_the_geometric_mean():
    objective, network = two_branches()
    even = balanced(objective, network)
    assert torch.allclose(objective.forward(even), objective.forward(network), rtol=1e-12)
    for branch, before, after in zip(objective.branches, network.stacks, even.stacks, strict=True):
        first, second = branch.penalty.strengths
        products = torch.linalg.vector_norm(before[0], dim=1) * torch.linalg.vector_norm(before[1], dim=1)
        assert branch.penalty_of(after) == pytest.approx(float(np.sqrt(first * second) * products.sum()), rel=1e-12)
        ratio = torch.linalg.vector_norm(after[0], dim=1) / torch.linalg.vector_norm(after[1], dim=1)
        assert torch.allclose(ratio, torch.full_like(ratio, np.sqrt(second / first)), rtol=1e-12)


def test_descent_and_corrective_steps_lower_the_objective_of_all_branches():
    objective, network = two_branches()
    before = objective.evaluate(balanced(objective, network)).objective
    for found in (
        descend(objective, network, time.perf_counter() + 5),
        corrected(objective, network, objective.empty_stacks(), time.perf_counter() + 5),
    ):
        assert objective.evaluate(found).objective < before
        assert objective.evaluate(found).objective == pytest.approx(
            objective.evaluate(balanced(objective, found)).objective, rel=1e-12
        )


def test_the_corrective_step_leaves_no_given_direction_above_the_strength_of_its_branch():
    objective, network = two_branches()
    more = tuple(tuple(torch.nn.functional.normalize(f, dim=1) for f in stack) for stack in network.stacks)
    found = corrected(objective, objective.empty_network(), more, time.perf_counter() + 5)
    dual = objective.evaluate(found).gradient
    for branch, stack in zip(objective.branches, more, strict=True):
        assert float(branch.pairing(dual, stack).max()) <= branch.strength * (1 + 1e-7)


def test_a_branch_that_costs_next_to_nothing_is_dropped():
    objective, network = two_branches()
    faint = tuple(1e-9 * f for f in network.stacks[1])
    lean = without_dead(objective, replace(network, stacks=(network.stacks[0], faint)))
    assert lean.widths == (4, 0)


def test_pruning_takes_what_costs_least_from_any_branch():
    objective, network = two_branches()
    best = improve(objective, network, SearchSettings(10.0, 1e-6)).best
    small = tuple((1e-3 * drawn(5, D, seed=20 + b), 1e-3 * drawn(5, 2, seed=22 + b)) for b in range(2))
    stacks = tuple(joined(*pair) for pair in zip(best.network.stacks, small, strict=True))
    ceiling = best.objective * (1 + 1e-4)
    found = pruned(objective, replace(best.network, stacks=stacks), ceiling, time.perf_counter() + 10)
    assert objective.evaluate(found).objective <= ceiling
    assert found.width <= best.network.width
    assert all(float(cost.min()) > 0 for cost in costs(objective, found) if len(cost))


def test_the_width_bound_adds_up_branches_and_never_exceeds_the_outputs():
    few = View(drawn(N, 2, seed=1))
    linear, relu = Branch(Linear(), few, EVEN), Branch(ReLU(), few, EVEN)
    targets = drawn(N, 3, seed=2)
    assert width_bound(objective_of(linear, targets=targets)) == 2 * 3 + 1
    assert width_bound(objective_of(linear, linear, targets=targets)) == 2 * 2 * 3 + 1
    assert width_bound(objective_of(linear, relu, targets=targets)) == N * 3 + 1
    assert width_bound(objective_of(targets=targets)) == 1


def test_without_branches_growth_finds_the_least_squares_fit():
    targets = drawn(N, 2, seed=3)
    objective = objective_of(targets=targets, ridge=0.0)
    found = improve(objective, objective.empty_network(), SETTINGS).best
    assert torch.allclose(found.network.coefficients, targets.mean(0, keepdim=True), rtol=1e-9)
