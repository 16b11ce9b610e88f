"""Moments chosen with the dual point: bounds below every network, and conjugates of the convex programs."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import cvxpy as cp
import numpy as np
import pytest
import torch

from certify.bounds.rows.relaxations.convex_program import CONJUGATE_ATOMS
from certify.bounds.rows.relaxations.majorant import majorant_upper
from certify.bounds.rows.relaxations.moment_surrogate import moment_surrogate
from certify.bounds.rows.relaxations.surrogate_outcome import SurrogateOutcome
from certify.problem import LOSSES, ConvexPart, LossSpec, Objective, ParallelNetwork
from certify.problem.dual import best_scale, dual_value

from .objectives import KINDS, RECTIFIERS, branch_of, plain_convex, task_at


def random_targets(name: str, n: int, generator: torch.Generator) -> torch.Tensor:
    draw = torch.randn(n, 1, generator=generator, dtype=torch.float64)
    if name == "cross-entropy":
        return torch.softmax(torch.randn(n, 3, generator=generator, dtype=torch.float64), 1) * draw.abs()
    if name in ("soft-margin", "squared-hinge"):
        return torch.where(draw > 0, 1.0, -1.0).double()
    return {"binary-cross-entropy": (draw > 0).double(), "poisson": draw.abs().round()}.get(name, draw)


@pytest.mark.parametrize("name", sorted(CONJUGATE_ATOMS))
def test_solver_conjugates_agree_with_the_losses(name: str) -> None:
    generator = torch.Generator().manual_seed(3)
    targets = random_targets(name, 20, generator)
    loss = LossSpec(name, "sum").bind(targets, targets.shape[1])
    point = loss.repair(0.9 * loss.gradient(torch.randn(targets.shape, generator=generator, dtype=torch.float64)))
    expression, constraints = CONJUGATE_ATOMS[name](cp, cp.Constant(point.numpy()), loss.targets.numpy())
    assert float(cp.sum(expression).value) == pytest.approx(loss.conjugate(point), rel=1e-9, abs=1e-9)
    assert all(bool(np.all(constraint.value())) for constraint in constraints)


def test_every_loss_has_a_solver_conjugate() -> None:
    assert set(CONJUGATE_ATOMS) == set(LOSSES)


def make_objective(
    name: str, seed: int, free: int = 0, intercept: float | None = None, kind: str = "relu"
) -> Objective:
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.randn(14, 4, generator=generator, dtype=torch.float64)
    inputs[:, -1] = 1
    inputs[3], inputs[4, :-1] = inputs[2], 0
    loss = LossSpec(name).bind(random_targets(name, 14, generator), 1)
    features = torch.ones(14, 0 if intercept is None else 1, dtype=torch.float64)
    convex = ConvexPart(features, torch.full((features.shape[1],), intercept or 0.0, dtype=torch.float64))
    return Objective((branch_of(KINDS[kind], inputs, free, strength=0.03),), convex, loss)


def objectives_nearby(objective: Objective, seed: int) -> list[float]:
    """Objectives of random networks and of one that gradient descent improved."""
    generator = torch.Generator().manual_seed(seed)
    found = []
    for width, scale in itertools.product((1, 12), (0.1, 1.0)):
        (branch,) = objective.branches
        sizes = branch.kind.sizes(branch.view, 1)
        shapes = (*((width, size) for size in sizes), (objective.convex.features.shape[1], 1))
        weights = [(scale * torch.randn(*s, generator=generator, dtype=torch.float64)).requires_grad_() for s in shapes]
        optimizer = torch.optim.LBFGS(weights, max_iter=60, line_search_fn="strong_wolfe")

        def network(parts: list[torch.Tensor] = weights) -> ParallelNetwork:
            return ParallelNetwork(((parts[0], parts[1]),), parts[2])

        def closure(optimizer=optimizer, weights=weights, network=network, branch=branch) -> torch.Tensor:
            optimizer.zero_grad()
            ridge = (objective.convex.ridge[:, None] / 2 * weights[2] ** 2).sum()
            stack = (weights[0], weights[1])
            penalty = branch.penalty.per_subnetwork(branch.norms(stack)).sum()
            total = objective.loss.value_terms(objective.forward(network())).sum() + penalty + ridge
            total.backward()
            return total

        detached = ParallelNetwork(((weights[0].detach(), weights[1].detach()),), weights[2].detach())
        found.append(objective.evaluate(detached).objective)
        optimizer.step(closure)
        found.append(objective.evaluate(detached).objective)
    return found


def solved_jointly(objective: Objective, seconds: float = 60.0) -> SurrogateOutcome | None:
    zero = torch.zeros_like(objective.loss.targets)
    return moment_surrogate(task_at(objective, zero, seconds=seconds))


def lower_of(objective: Objective, outcome: SurrogateOutcome) -> float:
    return best_scale(objective, outcome.dual, objective.branches[0].strength / outcome.upper).value


@pytest.mark.parametrize(("free", "intercept"), [(0, None), (0, 0.03), (1, None), (1, 0.0)])
@pytest.mark.parametrize("name", sorted(set(CONJUGATE_ATOMS) - {"cross-entropy"}))
def test_joint_surrogate_is_below_every_network(name: str, free: int, intercept: float | None) -> None:
    check_joint(make_objective(name, seed=5, free=free, intercept=intercept), missing=0.9 if free else 0.5)


@pytest.mark.parametrize("free", [0, 1])
@pytest.mark.parametrize("kind", sorted(RECTIFIERS))
def test_joint_surrogate_serves_any_slopes(kind: str, free: int) -> None:
    check_joint(make_objective("mse", seed=5, free=free, kind=kind), missing=0.9 if free else 0.6)


def check_joint(objective: Objective, missing: float) -> None:
    outcome = solved_jointly(objective)
    (branch,) = objective.branches
    assert outcome is not None
    assert outcome.upper == majorant_upper(branch.form, branch.scores(outcome.dual), outcome.multipliers)
    assert math.isfinite(dual_value(objective, outcome.dual))
    lower, best = lower_of(objective, outcome), min(objectives_nearby(objective, seed=6))
    assert lower <= best + 1e-12
    # The bound must be worth something: a good part of the way from the zero bound.
    zero_bound = -objective.loss.conjugate(torch.zeros_like(objective.loss.targets))
    assert best - lower <= missing * abs(best - zero_bound) + 1e-9


@pytest.mark.parametrize("shape", [(1, 3, 1), (14, 1, 3, 1)])
@pytest.mark.parametrize("kind", ["relu", "leaky 0.1", "abs"])
def test_joint_surrogate_beside_a_readout_is_the_one_of_the_rows_scored_apart(
    kind: str, shape: tuple[int, ...]
) -> None:
    """Rows of a sample times its weights and one at a time are the same network, as σ is positively homogeneous."""
    generator = torch.Generator().manual_seed(2)
    blank = make_objective("mse", seed=5)
    rows = torch.randn(42, 3, generator=generator, dtype=torch.float64)
    weights = 0.1 + torch.rand(shape, generator=generator, dtype=torch.float64)
    folded = weights.expand(14, 1, 3, 1).reshape(42, 1) * rows
    plain = branch_of(KINDS[kind], folded, weights=torch.ones(1, 3, 1, dtype=torch.float64), strength=0.03)
    weighted = branch_of(KINDS[kind], rows, weights=weights, strength=0.03)
    found = []
    for branch in (plain, weighted):
        objective = replace(blank, branches=(branch,))
        outcome = solved_jointly(objective)
        assert outcome is not None
        found.append(lower_of(objective, outcome))
        assert found[-1] <= min(objectives_nearby(objective, seed=6)) + 1e-12
    assert found[0] == pytest.approx(found[1], rel=1e-4)


def test_an_offset_moves_the_bound_as_it_moves_the_targets() -> None:
    """The squared error of Z_0 + Z to Y is that of Z to Y − Z_0."""
    plain = make_objective("mse", seed=5)
    offset = torch.linspace(-1, 1, 14, dtype=torch.float64)[:, None]
    moved = replace(plain, loss=LossSpec("mse").bind(plain.loss.targets + offset, 1), offset=offset)
    found = [(objective, solved_jointly(objective)) for objective in (plain, moved)]
    values = [lower_of(objective, outcome) for objective, outcome in found if outcome is not None]
    assert values[0] == pytest.approx(values[1], rel=1e-4)


def test_joint_surrogate_takes_masked_samples_and_masked_out_ones_do_not_count() -> None:
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(6, 3, generator=generator, dtype=torch.float64)
    mask = torch.tensor([True, True, False, True, True, True])[:, None]
    loss = LossSpec("mse").bind(torch.randn(6, generator=generator, dtype=torch.float64), 1, mask=mask)
    outcome = solved_jointly(Objective((branch_of(KINDS["relu"], inputs, strength=0.05),), plain_convex(6), loss))
    assert outcome is not None
    assert float(outcome.dual[2]) == 0


@pytest.mark.parametrize("seconds", [1e-9, 1e-3])
def test_a_solver_without_time_never_raises_and_proves_no_more_than_the_optimum(seconds: float) -> None:
    objective = make_objective("mse", seed=1)
    outcome = solved_jointly(objective, seconds)
    assert outcome is None or lower_of(objective, outcome) <= min(objectives_nearby(objective, seed=6)) + 1e-12
