"""Descent and growth: objectives never rise, convex steps reach their optimum, directions are what they say."""

import time
from dataclasses import replace

import numpy as np
import pytest
import torch

from certify.bounds.polar import PolarEstimate
from certify.growth.corrective import corrected
from certify.growth.descent import descend
from certify.growth.directions import directions_of, subnetworks_of
from certify.growth.improve import SearchSettings, improve
from certify.growth.merge import without_dead
from certify.growth.stages import find_candidate, sobered
from certify.problem import ParallelNetwork
from tests.soundness.planted import INSTANCES


def drawn(family, seed, width=4):
    rng = np.random.default_rng(seed)
    planted = INSTANCES[family](rng)
    d, c = planted.inputs.shape[1], planted.targets.shape[1]
    problem = planted.problem(rng.standard_normal((width, d)), rng.standard_normal((width, c)))
    return planted, problem.objective, problem.network


def soon(seconds=5.0):
    return time.perf_counter() + seconds


@pytest.mark.parametrize("family", INSTANCES)
@pytest.mark.parametrize("seed", range(4))
def test_descent_never_raises_the_objective_and_growth_reaches_the_optimum(family, seed):
    planted, objective, network = drawn(family, seed)
    before = objective.evaluate(network).objective
    assert objective.evaluate(descend(objective, network, soon())).objective <= before
    found = improve(objective, network, SearchSettings(5.0, 1e-9 * planted.optimum))
    stages = [found.start, found.balanced, found.local, found.best]
    assert all(a.objective >= b.objective for a, b in zip(stages, stages[1:], strict=False))
    assert found.best.objective == pytest.approx(objective.evaluate(found.best.network).objective, rel=1e-15)
    assert found.best.objective == pytest.approx(planted.optimum, rel=1e-6)


def test_growth_starts_from_width_zero():
    planted, objective, _ = drawn("relu", 5)
    found = improve(objective, objective.empty_network(), SearchSettings(5.0, 1e-9))
    assert found.best.objective == pytest.approx(planted.optimum, rel=1e-6)


@pytest.mark.parametrize("family", INSTANCES)
def test_the_corrective_step_satisfies_the_optimality_conditions_of_its_convex_problem(family):
    _, objective, network = drawn(family, 7, width=6)
    (branch,) = objective.branches
    best = corrected(objective, network, objective.empty_stacks(), soon())
    gradient = objective.evaluate(best).gradient
    own, _ = directions_of(branch, network.stacks[0])
    assert float(branch.pairing(gradient, own).max()) <= branch.strength * (1 + 1e-7)
    kept, scales = directions_of(branch, best.stacks[0])
    active = branch.pairing(gradient, kept)[scales > 1e-6]
    assert torch.allclose(active, torch.full_like(active, branch.strength), rtol=1e-5)


@pytest.mark.parametrize("family", INSTANCES)
def test_directions_times_scales_are_the_network(family):
    _, objective, network = drawn(family, 8)
    (branch,), (stack,) = objective.branches, network.stacks
    directions, scales = directions_of(branch, stack)
    rebuilt = torch.einsum("r,rnc->nc", scales, branch.outputs(directions))
    assert torch.allclose(rebuilt, objective.forward(network), rtol=1e-10)
    assert torch.allclose(branch.forward(subnetworks_of(branch, directions, scales)), rebuilt, rtol=1e-10)


def test_dead_subnetworks_are_dropped_without_changing_the_outputs():
    _, objective, network = drawn("relu", 9)
    padded = tuple(torch.cat([f, torch.zeros_like(f[:2])]) for f in network.stacks[0])
    lean = without_dead(objective, ParallelNetwork((padded,), network.coefficients))
    assert lean.width == network.width
    assert torch.equal(objective.forward(lean), objective.forward(network))


@pytest.mark.parametrize("family", INSTANCES)
def test_a_candidate_whose_search_missed_a_direction_loses_the_hope_that_it_leaves(family):
    _, objective, network = drawn(family, 11)
    candidate = find_candidate(objective, network, soon())
    (polar,) = candidate.polars
    strongest = tuple(f[:1] for f in polar.witness)
    missed = replace(
        candidate,
        polars=(PolarEstimate(0.0, tuple(f[:0] for f in strongest)),),
        hope_estimate=objective.evaluate(network).objective,
    )
    corrected_candidate = sobered(missed, (strongest,))
    assert corrected_candidate.hope_estimate == pytest.approx(candidate.hope_estimate, rel=1e-12)
    assert corrected_candidate.polars[0].value == pytest.approx(polar.value, rel=1e-12)
    assert sobered(candidate, (strongest,)) is candidate


def test_time_limits_are_kept():
    _, objective, network = drawn("relu", 10)
    began = time.perf_counter()
    descend(objective, network, began - 1)
    improve(objective, network, SearchSettings(0.0, 0.0))
    assert objective.evaluate(descend(objective, network, began - 1)).objective <= (
        objective.evaluate(network).objective
    )
