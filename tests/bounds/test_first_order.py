"""First-order surrogate: proven, below every network, never worse than scaling its candidate, deterministic."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator

import pytest
import torch

from certify.bounds.rows.relaxations.direction_region import direction_region
from certify.bounds.rows.relaxations.dual_chart import dual_chart
from certify.bounds.rows.relaxations.first_order import first_order_surrogate
from certify.bounds.rows.relaxations.majorant import majorant_upper
from certify.bounds.rows.relaxations.majorant_logits import multipliers_at, starting_logits, upper_estimate
from certify.bounds.rows.relaxations.matrix_gradients import matrix_absolute, weighted_gram
from certify.bounds.rows.relaxations.surrogate import joint_surrogate
from certify.problem import LOSSES, SUBNETWORKS, ConvexPart, LossSpec, Objective, ParallelNetwork, WeightDecay
from certify.problem.dual import best_scale, dual_value, feasible_dual

SHAPES = [(0, None), (0, 0.05), (1, 0.0)]


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Tiny matrices run fastest on one thread."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def targets_for(name: str, n: int, outputs: int, generator: torch.Generator) -> torch.Tensor:
    draw = torch.randn(n, outputs, generator=generator, dtype=torch.float64)
    if name == "cross-entropy":
        return draw.argmax(1)
    if name in ("soft-margin", "squared-hinge"):
        return torch.where(draw > 0, 1.0, -1.0).double()
    return {"binary-cross-entropy": (draw > 0).double(), "poisson": draw.abs().round()}.get(name, draw)


def make_objective(name: str, outputs: int, free: int = 0, intercept: float | None = None) -> Objective:
    generator = torch.Generator().manual_seed(11)
    inputs = torch.randn(16, 4, generator=generator, dtype=torch.float64)
    inputs[:, -1] = 1
    inputs[5] = inputs[4]
    loss = LossSpec(name).bind(targets_for(name, 16, outputs, generator), outputs)
    features = torch.ones(16, 0 if intercept is None else 1, dtype=torch.float64)
    convex = ConvexPart(features, torch.full((features.shape[1],), intercept or 0.0, dtype=torch.float64))
    return Objective(SUBNETWORKS["relu"], inputs, free, convex, loss, WeightDecay(0.03))


def trained(objective: Objective, steps: int) -> ParallelNetwork:
    """A network after some Adam steps from a fixed start; 0 steps leave it random."""
    generator = torch.Generator().manual_seed(5)
    d, c, k = objective.inputs.shape[1], objective.outputs, objective.convex.features.shape[1]
    shapes = ((10, d), (10, c), (k, c))
    weights = [(0.4 * torch.randn(*s, generator=generator, dtype=torch.float64)).requires_grad_() for s in shapes]
    optimizer = torch.optim.Adam(weights, lr=0.03)
    for _ in range(steps):
        optimizer.zero_grad()
        outputs = objective.forward(ParallelNetwork((weights[0], weights[1]), weights[2]))
        norms = (weights[0][:, : d - objective.free_inputs].norm(dim=1), weights[1].norm(dim=1))
        penalty = objective.penalty.per_subnetwork((weights[0], weights[1]), norms).sum()
        ridge = (objective.convex.ridge[:, None] / 2 * weights[2] ** 2).sum()
        (objective.loss.value_terms(outputs).sum() + penalty + ridge).backward()
        optimizer.step()
    return ParallelNetwork((weights[0].detach(), weights[1].detach()), weights[2].detach())


def outputs_of(name: str) -> int:
    return 3 if LOSSES[name].couples_row else 1


@pytest.mark.parametrize(("free", "intercept"), SHAPES)
@pytest.mark.parametrize("name", sorted(LOSSES))
def test_the_bound_is_proven_and_below_every_network(name: str, free: int, intercept: float | None) -> None:
    objective = make_objective(name, outputs_of(name), free, intercept)
    start, best = trained(objective, 0), trained(objective, 200)
    gradient = objective.evaluate(best).gradient
    reported: list[float] = []
    outcome = first_order_surrogate(objective, gradient, time.perf_counter() + 20, 40, reported.append)
    assert outcome.upper == majorant_upper(objective.inputs, -outcome.dual, outcome.multipliers, free)
    assert math.isfinite(dual_value(objective, outcome.dual))
    lower = best_scale(objective, outcome.dual, objective.strength / outcome.upper).value
    assert reported == sorted(reported)
    assert lower == reported[-1]
    objectives = [objective.evaluate(network).objective for network in (start, best, objective.empty_network())]
    assert lower <= min(objectives) + 1e-12
    assert lower >= objective.loss.infimum() - 1e-12


@pytest.mark.parametrize("name", ["mse", "binary-cross-entropy", "huber", "squared-hinge", "soft-margin"])
def test_several_independent_outputs_are_bounded_too(name: str) -> None:
    objective = make_objective(name, 2)
    network = trained(objective, 400)
    outcome = first_order_surrogate(objective, objective.evaluate(network).gradient, time.perf_counter() + 20, 40)
    lower = best_scale(objective, outcome.dual, objective.strength / outcome.upper).value
    assert objective.loss.infimum() < lower <= objective.evaluate(network).objective


def test_first_order_is_never_worse_than_scaling_the_candidate() -> None:
    objective = make_objective("mse", 1)
    gradient = objective.evaluate(trained(objective, 200)).gradient
    dual = feasible_dual(objective, gradient)
    region = direction_region(objective.inputs, 0, objective.inputs.new_zeros(0), 1.0)
    multipliers = multipliers_at(region, -dual, starting_logits(region, 1), objective.inputs.new_zeros(0), 0)
    upper = majorant_upper(objective.inputs, -dual, multipliers)
    scaled = best_scale(objective, dual, objective.strength / upper).value
    outcome = first_order_surrogate(objective, gradient, time.perf_counter() + 20, 30)
    assert best_scale(objective, outcome.dual, objective.strength / outcome.upper).value >= scaled


@pytest.mark.parametrize("name", ["mse", "soft-margin"])
def test_first_order_comes_close_to_the_joint_program(name: str) -> None:
    objective = make_objective(name, 1)
    best = objective.evaluate(trained(objective, 600))
    joint = joint_surrogate(objective, seconds=20)
    assert joint is not None
    first = first_order_surrogate(objective, best.gradient, time.perf_counter() + 60, 400)
    values = [best_scale(objective, o.dual, objective.strength / o.upper).value for o in (joint, first)]
    # Both maximize the same concave function but for the split a = q₊, so neither is far ahead.
    assert values[1] <= values[0] + 1e-3 * best.objective
    assert values[1] >= values[0] - 0.03 * best.objective


def test_the_result_is_reproducible() -> None:
    objective = make_objective("cross-entropy", 3)
    gradient = objective.evaluate(trained(objective, 100)).gradient
    first, second = (first_order_surrogate(objective, gradient, time.perf_counter() + 3600, 20) for _ in range(2))
    assert first.upper == second.upper
    assert torch.equal(first.dual, second.dual)


def test_a_free_hidden_bias_without_a_free_intercept_is_served() -> None:
    objective = make_objective("huber", 1, free=1)
    network = trained(objective, 200)
    outcome = first_order_surrogate(objective, objective.evaluate(network).gradient, time.perf_counter() + 20, 40)
    lower = best_scale(objective, outcome.dual, objective.strength / outcome.upper).value
    assert 0 <= lower <= objective.evaluate(network).objective


def test_no_time_still_gives_a_proven_outcome() -> None:
    objective = make_objective("cross-entropy", 3)
    gradient = objective.evaluate(trained(objective, 100)).gradient
    outcome = first_order_surrogate(objective, gradient, time.perf_counter() - 1)
    assert math.isfinite(outcome.upper)


@pytest.mark.parametrize(("free", "intercept"), SHAPES)
@pytest.mark.parametrize("name", sorted(LOSSES))
def test_the_chart_returns_to_its_start_and_its_conjugate_is_that_of_the_loss(
    name: str, free: int, intercept: float | None
) -> None:
    objective = make_objective(name, outputs_of(name), free, intercept)
    dual = feasible_dual(objective, 0.9 * objective.evaluate(trained(objective, 50)).gradient)
    chart = dual_chart(objective, dual)
    again = chart.dual(chart.logits(dual))
    assert float((again - dual).norm()) <= 1e-3 * float(dual.norm())
    repaired = feasible_dual(objective, again)
    assert float((repaired - again).norm()) <= 1e-9 * float(dual.norm())
    assert float(chart.conjugate(0.7 * repaired)) == pytest.approx(-dual_value(objective, 0.7 * repaired), abs=1e-9)


@pytest.mark.parametrize(("name", "free", "intercept"), [("cross-entropy", 0, 0.0), ("huber", 1, 0.0)])
def test_chart_gradient_agrees_with_finite_differences(name: str, free: int, intercept: float | None) -> None:
    objective = make_objective(name, outputs_of(name), free, intercept)
    dual = feasible_dual(objective, 0.5 * objective.evaluate(trained(objective, 20)).gradient)
    chart = dual_chart(objective, dual)
    logits = chart.logits(dual).requires_grad_()
    assert torch.autograd.gradcheck(lambda t: chart.dual(t) * 16, (logits,), atol=1e-6)


@pytest.mark.parametrize("free", [0, 1])
@pytest.mark.parametrize("outputs", [1, 3])
def test_the_estimate_agrees_with_the_proven_bound_and_has_the_right_gradient(outputs: int, free: int) -> None:
    generator = torch.Generator().manual_seed(2)
    objective = make_objective("mse", outputs, free)
    scores = torch.randn(16, outputs, generator=generator, dtype=torch.float64)
    scores = (scores * 1024).round() / 1024
    scores[0] -= scores.sum(0)
    center = objective.inputs[:, :-1].mean(0) if free else objective.inputs.new_zeros(0)
    region = direction_region(objective.inputs, free, center, 1.0)
    logits = starting_logits(region, outputs)
    for values in logits.tensors:
        values.add_(0.3 * torch.randn(values.shape, generator=generator, dtype=torch.float64))
    multipliers = multipliers_at(region, scores, logits, center, free)
    upper = majorant_upper(objective.inputs, scores, multipliers, free)
    assert upper == pytest.approx(float(upper_estimate(region, scores, logits, free)), rel=2e-2)
    logits.bend.requires_grad_()
    estimate = upper_estimate(region, scores, logits, free)
    (gradient,) = torch.autograd.grad(estimate, logits.bend)
    direction = torch.randn(logits.bend.shape, generator=generator, dtype=torch.float64)
    with torch.no_grad():
        logits.bend.add_(1e-5 * direction)
        above = float(upper_estimate(region, scores, logits, free))
        logits.bend.sub_(2e-5 * direction)
        below = float(upper_estimate(region, scores, logits, free))
    assert (above - below) / 2e-5 == pytest.approx(float((gradient * direction).sum()), rel=2e-2, abs=1e-4)


def test_matrix_functions_have_the_gradients_of_finite_differences() -> None:
    generator = torch.Generator().manual_seed(1)
    matrix = torch.randn(2, 4, 4, generator=generator, dtype=torch.float64)
    matrix = (matrix + matrix.mT).requires_grad_()
    assert torch.autograd.gradcheck(lambda m: matrix_absolute((m + m.mT) / 2), (matrix,))
    equal = torch.eye(3, dtype=torch.float64).requires_grad_()
    matrix_absolute(equal).sum().backward()
    assert torch.equal(equal.grad, torch.ones(3, 3, dtype=torch.float64))
    inputs = torch.randn(5, 3, generator=generator, dtype=torch.float64)
    weights = torch.randn(2, 5, generator=generator, dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(lambda w: weighted_gram(inputs, w), (weights,))
