"""Merging, pruning and the width of Theorem 2."""

import time

import numpy as np
import pytest
import torch

from certify.growth.directions import joined
from certify.growth.merge import merged
from certify.growth.prune import pruned
from certify.growth.width_bound import width_bound
from certify.problem import ParallelNetwork
from tests.growth.test_growth import drawn
from tests.soundness.planted import INSTANCES


@pytest.mark.parametrize("family", INSTANCES)
def test_split_subnetworks_are_merged_again_at_the_same_function(family):
    _, objective, network = drawn(family, 3)
    share = 0.5 ** (1 / objective.branches[0].kind.degree)
    halves = tuple(share * torch.cat([f, f]) for f in network.stacks[0])
    doubled = ParallelNetwork((halves,), network.coefficients)
    found = merged(objective, doubled)
    assert found.width == network.width
    assert torch.allclose(objective.forward(found), objective.forward(network), rtol=1e-6)
    assert objective.evaluate(found).objective <= objective.evaluate(doubled).objective * (1 + 1e-12)


@pytest.mark.parametrize("family", INSTANCES)
def test_pruning_finds_the_planted_width_and_stays_below_the_ceiling(family):
    rng = np.random.default_rng(5)
    planted = INSTANCES[family](rng)
    problem = planted.problem(planted.first, planted.second)
    objective, network = problem.objective, problem.network
    generator = torch.Generator().manual_seed(0)
    (branch,), (stack,) = objective.branches, network.stacks
    extra = tuple(1e-3 * torch.randn(6, f.shape[1], generator=generator, dtype=f.dtype) for f in stack)
    cluttered = ParallelNetwork((joined(stack, extra),), network.coefficients)
    ceiling = planted.optimum * (1 + 1e-4)
    found = pruned(objective, cluttered, ceiling, time.perf_counter() + 10)
    assert objective.evaluate(found).objective <= ceiling
    assert found.width <= max(1, int((branch.products(stack) > 0).sum()))


def test_pruning_keeps_a_network_that_nothing_can_be_taken_from():
    _, objective, network = drawn("relu", 6)
    below = objective.evaluate(network).objective * 1e-3
    assert pruned(objective, network, below, time.perf_counter() + 5).width == network.width


@pytest.mark.parametrize("family", INSTANCES)
def test_the_width_bound_exceeds_the_dimension_of_the_span_of_random_subnetworks(family):
    _, objective, network = drawn(family, 7, width=400)
    pieces = objective.branches[0].outputs(network.stacks[0]).flatten(1)
    assert width_bound(objective) >= int(torch.linalg.matrix_rank(pieces)) + 1
