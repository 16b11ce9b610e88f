"""Laws of every method for every form: nothing found by brute force exceeds a proven upper end."""

import time
from dataclasses import replace

import numpy as np
import pytest
import torch

from certify.bounds.ladder import climb, scaled, scaled_estimate, trivial_bound
from certify.bounds.methods import METHODS, SEARCHES
from certify.bounds.search import search
from certify.bounds.stated_proof import stated
from certify.problem import Objective, ParallelNetwork
from certify.problem.dual import dual_value, feasible_dual

from .objectives import KINDS, RECTIFIERS, best_found, branch_of, instance, objective_of, plain_convex, task_of

READOUTS = ("plain", "pooled", "places", "sample by sample")
# Covers the rounding of the brute force itself.
ROUNDING = 1e-11


def readout_of(name, n, outputs, rng):
    """Positions and weights R of a readout: means, nonnegative weights of several places, and ones for each sample."""
    if name == "plain":
        return 1, outputs, None
    if name == "pooled":
        return 3, outputs, torch.full((1, 3, 1), 1 / 3, dtype=torch.float64)
    shape = (2, 3, 2) if name == "places" else (n, 1, 3, 1)
    outputs = 2 * outputs if name == "places" else outputs
    return 3, outputs, torch.from_numpy(rng.random(shape) * (rng.random(shape) < 0.8))


def law_task(kind, readout, outputs, seed, free=0):
    rng = np.random.default_rng(seed)
    dual = instance(seed, free, outputs=outputs)[1]
    positions, outputs, weights = readout_of(readout, len(dual), outputs, rng)
    rows, dual = instance(seed, free, positions, outputs)
    branch = branch_of(KINDS[kind], rows, free, weights)
    return task_of(branch, dual)


def scale_of(task):
    """What rounding is relative to."""
    lengths = torch.linalg.vector_norm(task.branch.view.rows, dim=1)
    power = task.branch.kind.degrees[0]
    return float((torch.linalg.vector_norm(task.scores, dim=1) * lengths**power).sum())


@pytest.mark.parametrize("outputs", [1, 2])
@pytest.mark.parametrize("readout", READOUTS)
@pytest.mark.parametrize("kind", sorted(KINDS))
def test_no_method_proves_less_than_brute_force_finds(kind, readout, outputs):
    for seed in range(2):
        check_methods(law_task(kind, readout, outputs, seed))


@pytest.mark.parametrize("outputs", [1, 2])
@pytest.mark.parametrize("kind", sorted(RECTIFIERS))
def test_no_method_proves_less_than_brute_force_finds_with_a_free_bias(kind, outputs):
    for seed in range(3):
        check_methods(law_task(kind, "plain", outputs, seed, free=1))


def check_methods(task):
    found = best_found(task)
    branches = [task.objective.branches, task.objective.branches * 2]
    served = 0
    for method in METHODS[type(task.form)]:
        # Some methods run only where the dual point is shared.
        for several in branches:
            own = replace(task, objective=replace(task.objective, branches=several))
            own = replace(own, deadline=time.perf_counter() + 0.2)
            if not method.serves(own):
                continue
            for dual, polar in method.run(own):
                served += 1
                bound = found if not method.moves_dual else best_found(replace(task, dual=dual))
                assert polar.upper >= bound - ROUNDING * scale_of(task), method.name
                assert polar.lower <= polar.upper * (1 + 1e-12) + ROUNDING * scale_of(task), method.name
                assert_attained(replace(task, dual=dual), polar.lower, polar.witness)
                own_proof = stated(task.branch, dual, polar, 2.0**-30)
                same_family = {"scalar-majorant": "vector-majorant"}
                assert method.proof in (own_proof.kind, same_family.get(own_proof.kind))
                assert own_proof.upper >= polar.upper * (1 - 1e-6) - ROUNDING * scale_of(task)
            break
    assert served > 0


def assert_attained(task, lower, witness):
    if lower == 0:
        return
    first = tuple(factor[:1] for factor in witness)
    attained = float(task.branch.pairing(task.dual, first)[0])
    # Large free biases cancel in the pairing.
    rounding = ROUNDING * float(task.dual.abs().sum()) * max(float(factor.abs().max()) for factor in first)
    # Found before the dual point was moved for the last time, it may be worth a little more.
    assert lower * (1 - 1e-9) - rounding <= attained <= lower * (1 + 1e-6) + rounding
    assert float(task.branch.products(first)[0]) == pytest.approx(1, rel=1e-12)


@pytest.mark.parametrize("outputs", [1, 2])
@pytest.mark.parametrize("readout", READOUTS)
@pytest.mark.parametrize("kind", sorted(KINDS))
def test_searches_attain_what_brute_force_finds(kind, readout, outputs):
    for seed in range(2):
        task = law_task(kind, readout, outputs, seed)
        found = SEARCHES[type(task.form)](task)
        assert_attained(task, found.value, found.witness)
        assert found.value >= best_found(task) * (1 - 1e-3)


@pytest.mark.parametrize("outputs", [1, 2])
@pytest.mark.parametrize("kind", sorted(RECTIFIERS))
def test_searches_attain_what_brute_force_finds_with_a_free_bias(kind, outputs):
    for seed in range(4):
        task = law_task(kind, "plain", outputs, seed, free=1)
        found = SEARCHES[type(task.form)](task)
        assert_attained(task, found.value, found.witness)
        assert found.value >= best_found(task) * (1 - 1e-3) - ROUNDING * scale_of(task)


def random_network(objective, rng, width, size):
    stacks = []
    for branch in objective.branches:
        sizes = branch.kind.sizes(branch.view, objective.outputs)
        stacks.append(tuple(torch.from_numpy(size * rng.standard_normal((width, s))) for s in sizes))
    return ParallelNetwork(tuple(stacks), torch.zeros(0, objective.outputs, dtype=torch.float64))


@pytest.mark.parametrize("kind", sorted(KINDS))
@pytest.mark.parametrize("readout", READOUTS)
def test_the_lower_bound_is_below_every_random_network(kind, readout):
    rng = np.random.default_rng(7)
    for seed in range(2):
        task = law_task(kind, readout, 1, seed)
        objective = task.objective
        dual = feasible_dual(objective, objective.loss.gradient(objective.forward(objective.empty_network())))
        bound = climb(objective, dual, objective.empty_stacks(), np.inf, time.perf_counter() + 0.2)
        networks = [random_network(objective, rng, 3, size) for size in (1e-3, 0.1, 1.0) for _ in range(5)]
        best = min(objective.evaluate(network).objective for network in (*networks, objective.empty_network()))
        assert bound.value <= best + 1e-12 * abs(best)
        assert bound.value == pytest.approx(dual_value(objective, bound.point.scale * bound.point.values))
        assert bound.polars[0].upper * bound.point.scale <= task.branch.strength


def several_branches(seed):
    """A linear, a leaky and a squared branch on different rows of the same samples."""
    rng = np.random.default_rng(seed)
    dual = torch.from_numpy(rng.integers(-20, 21, size=(6, 2)) / 16)
    pooled = torch.full((1, 2, 1), 0.5, dtype=torch.float64)
    rows = [torch.from_numpy(rng.standard_normal(shape)) for shape in ((6, 3), (12, 2), (6, 2))]
    branches = (
        branch_of(KINDS["linear"], rows[0], strength=0.3),
        branch_of(KINDS["leaky 0.1"], rows[1], weights=pooled, strength=0.2),
        branch_of(KINDS["quadratic"], rows[2], strength=0.5),
    )
    return objective_of(branches, dual), dual


@pytest.mark.parametrize("seed", range(4))
def test_several_branches_are_bounded_together(seed):
    objective, dual = several_branches(seed)
    events = []
    deadline = time.perf_counter() + 2
    bound = climb(objective, dual, objective.empty_stacks(), np.inf, deadline, listener=events.append)
    assert len(bound.polars) == 3
    assert torch.equal(bound.point.values, dual)
    for index, (branch, polar) in enumerate(zip(objective.branches, bound.polars, strict=True)):
        task = replace(task_of(branch, dual), objective=objective, index=index)
        assert polar.upper >= best_found(task) * (1 - 1e-12)
        assert bound.point.scale * polar.upper <= branch.strength
        assert_attained(task, polar.lower, polar.witness)
    rng = np.random.default_rng(seed)
    networks = [random_network(objective, rng, 2, size) for size in (1e-3, 0.1, 0.5) for _ in range(5)]
    assert bound.value <= min(objective.evaluate(network).objective for network in networks)
    assert bound.value > trivial_bound(objective).value
    assert {event.phase for event in events} == {"bounding"}
    assert all(event.polar[0] <= event.polar[1] and event.method for event in events)


def test_estimates_of_a_search_bound_the_bound_and_become_witnesses():
    objective, dual = several_branches(9)
    found = search(objective, dual, objective.empty_stacks(), time.perf_counter() + 2)
    deadline = time.perf_counter() + 2
    bound = climb(objective, dual, objective.empty_stacks(), np.inf, deadline, estimates=found)
    assert bound.value <= scaled_estimate(objective, dual, found) + 1e-12
    for polar, estimate in zip(bound.polars, found, strict=True):
        assert polar.lower >= estimate.value
        assert len(polar.witness[0]) > 0
    assert bound.value == scaled(objective, dual, bound.polars).value


def test_a_decisive_bound_ends_the_climb():
    """Norm products alone prove the trivial bound, so no cone is bounded."""
    objective, dual = several_branches(3)
    needed = trivial_bound(objective).value
    bound = climb(objective, dual, objective.empty_stacks(), needed, time.perf_counter() + 20)
    assert bound.value >= needed
    assert bound.polars[1].method == "norm-products"


def test_without_branches_every_dual_point_counts():
    """The minimum of the squared error over a ridge-penalized linear layer, by its normal equations."""
    rng = np.random.default_rng(0)
    inputs, targets = torch.from_numpy(rng.standard_normal((8, 3))), torch.from_numpy(rng.standard_normal((8, 1)))
    blank = objective_of((), targets)
    convex = replace(plain_convex(8), features=inputs, ridge=torch.full((3,), 0.4, dtype=torch.float64))
    objective = Objective((), convex, blank.loss)
    y = objective.loss.targets
    weights = torch.linalg.solve(2 / 8 * inputs.T @ inputs + 0.4 * torch.eye(3), 2 / 8 * inputs.T @ y)
    best = objective.evaluate(ParallelNetwork((), weights))
    dual = feasible_dual(objective, best.gradient)
    bound = climb(objective, dual, (), np.inf, time.perf_counter() + 1)
    assert bound.polars == ()
    assert bound.value == pytest.approx(best.objective, rel=1e-9)
    assert bound.value <= best.objective * (1 + 1e-12)
    assert trivial_bound(objective).polars == ()


def test_methods_that_end_by_themselves_exhaust_the_climb():
    task = law_task("linear", next(iter(READOUTS)), 2, 0)
    given = (task.objective, feasible_dual(task.objective, task.dual), task.objective.empty_stacks(), np.inf)
    assert climb(*given, time.perf_counter() + 60).exhausted
    assert not climb(*given, time.perf_counter() - 1).exhausted


def test_no_time_proves_the_trivial_bound():
    objective, dual = several_branches(1)
    bound = climb(objective, dual, objective.empty_stacks(), np.inf, time.perf_counter() - 1)
    assert bound.value == trivial_bound(objective).value
