"""Polars under norms and cones of two factors: against enumerated vertices and signs, and random vectors."""

import itertools
import math
import time

import numpy as np
import pytest
import torch

from certify.bounds.bilinear.alternating import alternating_search
from certify.bounds.bilinear.joint import joint_forms, joint_forms_apply
from certify.bounds.bilinear.semidefinite import semidefinite_bound
from certify.bounds.ladder import scaled
from certify.bounds.methods import METHODS
from certify.bounds.polar import PolarTask
from certify.bounds.stated_proof import stated
from certify.growth.improve import SearchSettings, improve
from certify.problem import Bilinear, Branch, ConvexPart, FactorNorms, LossSpec, Objective, SideNorm, View
from certify.problem.dual import feasible_dual
from certify.problem.kinds import Linear

NORMS = {"l1": {"l1": 1.0}, "l2": {"l2": 1.0}, "linf": {"linf": 1.0}, "mixture": {"l1": 0.3, "l2": 0.7}}
SIDES = [SideNorm(**weights, nonnegative=cone) for weights in NORMS.values() for cone in (False, True)]
DRAWN = 20_000
# Grothendieck's constant is at most this (Krivine 1979).
GROTHENDIECK = math.pi / (2 * math.log(1 + math.sqrt(2)))


def drawn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def task_of(moments, left, right, seconds=0.3):
    """The polar at G = HᵀS for H other than I."""
    rows = drawn(len(moments) + 2, len(moments), seed=9)
    scores = torch.linalg.pinv(rows).T @ moments
    convex = ConvexPart(torch.zeros(len(rows), 0).double(), torch.zeros(0).double())
    loss = LossSpec("mse").bind(torch.zeros_like(scores), scores.shape[1])
    objective = Objective((Branch(Linear(), View(rows), FactorNorms(1.0, (left, right))),), convex, loss)
    return PolarTask(objective, 0, -scores, 0.0, time.perf_counter() + seconds, objective.empty_stacks()[0])


def bounds_of(task):
    """The best of all methods at the given dual point."""
    methods = [method for method in METHODS[Bilinear] if method.serves(task) and not method.moves_dual]
    return min((polar for method in methods for _, polar in method.run(task)), key=lambda polar: polar.upper)


def unit(side, vectors):
    """Vectors in the cone, of norm 1."""
    inside = vectors.abs() if side.nonnegative else vectors
    return inside / side.norm(inside)[:, None]


@pytest.mark.parametrize("side", SIDES, ids=str)
def test_dual_norms_are_attained_and_not_exceeded(side):
    goals = drawn(7, 4)
    goals[6] = -goals[6].abs()
    values, found = side.dual_norm(goals), side.maximizer(goals)
    assert torch.allclose((goals * found).sum(1), values, atol=1e-14)
    assert bool(((side.norm(found) - 1).abs() < 1e-12)[values > 0].all())
    points = unit(side, torch.cat([drawn(DRAWN, 4, seed=1), drawn(DRAWN, 4, seed=2) ** 9]))
    assert bool(((goals @ points.T).amax(1) <= values + 1e-13).all())
    assert float(points.norm(dim=1).max()) <= side.radius(4) * (1 + 1e-12)


@pytest.mark.parametrize("side", SIDES, ids=str)
def test_no_point_is_better_than_the_proximal_one(side):
    goals, steps = drawn(6, 4), torch.full((6,), 0.4, dtype=torch.float64)
    found = side.shrunk(goals, steps)

    def costs(points):
        return ((points - goals) ** 2).sum(-1) / 2 + 0.4 * side.norm(points.reshape(-1, 4)).reshape(points.shape[:-1])

    near = found + drawn(500, 6, 4, seed=3) * 10 ** drawn(500, 1, 1, seed=4)
    near = near.clamp_min(0) if side.nonnegative else near
    assert bool((costs(near) >= costs(found) - 1e-14).all())
    assert bool((costs(torch.zeros_like(goals)) >= costs(found)).all())


@pytest.mark.parametrize("side", SIDES, ids=str)
def test_forms_are_bounded_and_products_of_entries_allowed(side):
    points = unit(side, torch.cat([drawn(DRAWN, 4, seed=1), torch.eye(4).double(), torch.ones(1, 4).double()]))
    form = drawn(4, 4, seed=5)
    form, level = form + form.T, float(form.diagonal().abs().mean())
    values = ((points @ form) * points).sum(1)
    assert float(values.max()) <= side.form_upper(form, level) * (1 + 1e-12)
    squares, products, most = side.squares(4)
    assert float((squares * (points**2).sum(1) + products * points.abs().sum(1) ** 2).max()) <= 1 + 1e-12
    assert float((points**2).max()) <= most * (1 + 1e-12)


@pytest.mark.parametrize(("left", "right"), list(itertools.product(SIDES, repeat=2)), ids=str)
def test_bounds_hold_and_witnesses_attain(left, right):
    for seed, shape in enumerate([(3, 4), (4, 2), (1, 3)]):
        moments = drawn(*shape, seed=seed)
        task = task_of(moments, left, right)
        polar = bounds_of(task)
        first, second = (unit(side, drawn(DRAWN, n, seed=8)) for side, n in zip((left, right), shape, strict=True))
        found = max(float(left.dual_norm(second @ moments.T).max()), float(right.dual_norm(first @ moments).max()))
        assert found * (1 - 1e-9) <= polar.upper
        if left.is_l1 or right.is_l1:
            assert polar.upper <= polar.lower * (1 + 1e-9) + 1e-12
        assert polar.lower >= found * (1 - 0.02)
        assert polar.lower <= polar.upper
        pairings = task.branch.pairing(task.dual, polar.witness)
        assert polar.lower == pytest.approx(float(pairings[0]), rel=1e-9) if len(pairings) else polar.lower == 0
        assert torch.allclose(task.branch.products(polar.witness), torch.ones(len(pairings)).double())
        claimed = stated(task.branch, task.dual, polar, 2.0**-30).upper
        assert polar.upper <= claimed <= polar.upper * (1 + 1e-6) + 1e-12


def signs(count):
    return torch.tensor(list(itertools.product([-1.0, 1.0], repeat=count)), dtype=torch.float64)


@pytest.mark.parametrize("seed", range(4))
def test_semidefinite_bounds_are_as_close_as_theorems_say(seed):
    moments = drawn(6, 7, seed=seed)
    pairs = signs(6) @ moments
    length = float((moments @ signs(7).T).norm(dim=0).max())
    for left, right, exact, most in (
        (SideNorm(l2=1.0), SideNorm(linf=1.0), length, math.sqrt(math.pi / 2)),
        (SideNorm(linf=1.0), SideNorm(l2=1.0), float(pairs.norm(dim=1).max()), math.sqrt(math.pi / 2)),
        (SideNorm(linf=1.0), SideNorm(linf=1.0), float(pairs.abs().sum(1).max()), GROTHENDIECK),
    ):
        polar = bounds_of(task_of(moments, left, right, 20.0))
        assert exact * (1 - 1e-9) <= polar.upper <= most * exact
        assert polar.lower == pytest.approx(exact, rel=1e-9)


@pytest.mark.parametrize("cones", [(True, False), (False, True), (True, True)])
def test_cones_of_up_to_four_dimensions_are_tight(cones):
    left, right = (SideNorm(l2=1.0, nonnegative=cone) for cone in cones)
    for seed in range(3):
        polar = bounds_of(task_of(drawn(2, 2, seed=seed), left, right, 20.0))
        assert polar.upper == pytest.approx(polar.lower, rel=1e-5, abs=1e-7)


def test_where_nothing_correlates_the_bound_is_tiny():
    moments = -drawn(3, 4).abs()
    cone = SideNorm(l2=1.0, nonnegative=True)
    polar = bounds_of(task_of(moments, cone, cone, 20.0))
    assert polar.lower == 0
    assert polar.upper <= 1e-9


def enumerated(left, right, moments):
    """The polar of cones and Euclidean norms, over all sets of entries that are not zero."""
    best = 0.0
    for rows, columns in itertools.product(signs(len(moments)) > 0, signs(moments.shape[1]) > 0):
        kept = moments[rows if left.nonnegative else slice(None)][:, columns if right.nonnegative else slice(None)]
        if kept.numel():
            u, values, v = torch.linalg.svd(kept, full_matrices=False)
            sides = (u[:, 0], left.nonnegative), (v[0], right.nonnegative)
            fits = [sign for sign in (1, -1) if all(bool((sign * x >= 0).all()) or not cone for x, cone in sides)]
            best = max(best, float(values[0]) if fits else 0.0)
    return best


@pytest.mark.parametrize("cones", [(True, False), (False, True), (True, True)])
def test_searches_and_bounds_meet_what_enumeration_finds(cones):
    left, right = (SideNorm(l2=1.0, nonnegative=cone) for cone in cones)
    for seed in range(4):
        moments = drawn(4, 4, seed=20 + seed)
        exact, polar = enumerated(left, right, moments), bounds_of(task_of(moments, left, right, 20.0))
        assert polar.lower == pytest.approx(exact, rel=1e-6)
        assert exact * (1 - 1e-9) <= polar.upper <= 1.05 * exact


JOINT = [("l2", "l2", ("left", "right")), ("l2", "l2", ("right",)), ("l2", "linf", ()), ("mixture", "mixture", ())]


@pytest.mark.parametrize(("left", "right", "cones"), JOINT, ids=str)
def test_the_joint_dual_point_proves_less_than_networks_cost_and_more_than_their_own(left, right, cones):
    sides = SideNorm(**NORMS[left], nonnegative="left" in cones), SideNorm(**NORMS[right], nonnegative="right" in cones)
    for seed, bias in ((0, False), (1, True)):
        rows, targets = drawn(7, 5, seed=seed), drawn(7, 4, seed=10 + seed)
        features = torch.ones(7, int(bias)).double()
        convex, loss = ConvexPart(features, torch.zeros(int(bias)).double()), LossSpec("mse").bind(targets, 4)
        objective = Objective((Branch(Linear(), View(rows), FactorNorms(0.05, sides)),), convex, loss)
        empty = objective.empty_network()
        network = improve(objective, empty, SearchSettings(1.0, 1e-9)).best.network
        value = objective.evaluate(network)
        own = feasible_dual(objective, value.gradient)
        until = time.perf_counter() + 2
        task = PolarTask(objective, 0, own, 0.0, until, empty.stacks[0], network=network.stacks[0])
        found = [scaled(objective, dual, (polar,)).value for dual, polar in joint_forms(task)]
        here = scaled(objective, own, (semidefinite_bound(task),)).value
        assert here - 1e-4 * abs(here) <= found[0] <= value.objective * (1 + 1e-12)
        assert joint_forms_apply(task)


def test_the_search_goes_on_from_what_is_known():
    moments = drawn(5, 6)
    task = task_of(moments, SideNorm(l2=1.0), SideNorm(linf=1.0))
    values = alternating_search(task)
    assert values.value > 0
    assert np.all(np.diff(task.branch.pairing(task.dual, values.witness).numpy()) <= 1e-12)
