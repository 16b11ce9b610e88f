"""First-order surrogate: proven, below every network, never worse than scaling its candidate, deterministic."""

from __future__ import annotations

import math
from collections.abc import Iterator

import pytest
import torch

from certify.bounds.rows.relaxations.direction_region import center_of, direction_region
from certify.bounds.rows.relaxations.dual_chart import dual_chart
from certify.bounds.rows.relaxations.first_order import first_order_majorant, first_order_surrogate
from certify.bounds.rows.relaxations.majorant import majorant_upper
from certify.bounds.rows.relaxations.majorant_logits import multipliers_at, starting_logits, upper_estimate
from certify.bounds.rows.relaxations.matrix_gradients import matrix_absolute, weighted_gram
from certify.bounds.rows.relaxations.surrogate_outcome import SurrogateOutcome
from certify.problem import LOSSES, ConvexPart, LossSpec, Objective, ParallelNetwork, Rows, Slopes
from certify.problem.dual import best_scale, dual_value, feasible_dual
from certify.progress import Progress

from .objectives import KINDS, RECTIFIERS, branch_of, task_at

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


def make_objective(  # noqa: PLR0913
    name: str, outputs: int, free: int = 0, intercept: float | None = None, kind: str = "relu", offset: float = 0.0
) -> Objective:
    generator = torch.Generator().manual_seed(11)
    inputs = torch.randn(16, 4, generator=generator, dtype=torch.float64)
    inputs[:, -1] = 1
    inputs[5] = inputs[4]
    loss = LossSpec(name).bind(targets_for(name, 16, outputs, generator), outputs)
    features = torch.ones(16, 0 if intercept is None else 1, dtype=torch.float64)
    convex = ConvexPart(features, torch.full((features.shape[1],), intercept or 0.0, dtype=torch.float64))
    shift = torch.full((16, outputs), offset, dtype=torch.float64) if offset else None
    return Objective((branch_of(KINDS[kind], inputs, free, strength=0.03),), convex, loss, shift)


def trained(objective: Objective, steps: int) -> ParallelNetwork:
    """A network after some Adam steps from a fixed start; 0 steps leave it random."""
    generator = torch.Generator().manual_seed(5)
    (branch,) = objective.branches
    sizes = branch.kind.sizes(branch.view, objective.outputs)
    shapes = (*((10, size) for size in sizes), (objective.convex.features.shape[1], objective.outputs))
    weights = [(0.4 * torch.randn(*s, generator=generator, dtype=torch.float64)).requires_grad_() for s in shapes]
    optimizer = torch.optim.Adam(weights, lr=0.03)
    for _ in range(steps):
        optimizer.zero_grad()
        outputs = objective.forward(ParallelNetwork(((weights[0], weights[1]),), weights[2]))
        stack = (weights[0], weights[1])
        penalty = branch.penalty.per_subnetwork(branch.norms(stack)).sum()
        ridge = (objective.convex.ridge[:, None] / 2 * weights[2] ** 2).sum()
        (objective.loss.value_terms(outputs).sum() + penalty + ridge).backward()
        optimizer.step()
    return ParallelNetwork(((weights[0].detach(), weights[1].detach()),), weights[2].detach())


def outputs_of(name: str) -> int:
    return 3 if LOSSES[name].couples_row else 1


def lower_of(objective: Objective, outcome: SurrogateOutcome) -> float:
    """The lower bound that an outcome proves."""
    return best_scale(objective, outcome.dual, objective.branches[0].strength / outcome.upper).value


def proven_upper(objective: Objective, outcome: SurrogateOutcome) -> float:
    """The bound recomputed from its multipliers."""
    (branch,) = objective.branches
    return majorant_upper(branch.form, branch.scores(outcome.dual), outcome.multipliers)


@pytest.mark.parametrize(("free", "intercept"), SHAPES)
@pytest.mark.parametrize("name", sorted(LOSSES))
def test_the_bound_is_proven_and_below_every_network(name: str, free: int, intercept: float | None) -> None:
    check_bound(make_objective(name, outputs_of(name), free, intercept))


@pytest.mark.parametrize("free", [0, 1])
@pytest.mark.parametrize("kind", sorted(RECTIFIERS))
def test_the_bound_is_proven_for_any_slopes_and_beside_an_offset(kind: str, free: int) -> None:
    check_bound(make_objective("mse", 1, free, kind=kind, offset=0.5))
    check_bound(make_objective("cross-entropy", 3, free, kind=kind, offset=-0.2))


def check_bound(objective: Objective) -> None:
    start, best = trained(objective, 0), trained(objective, 200)
    events: list[Progress] = []
    outcome = first_order_surrogate(
        task_at(objective, objective.evaluate(best).gradient, listener=events.append), steps=40
    )
    assert outcome.upper == proven_upper(objective, outcome)
    assert math.isfinite(dual_value(objective, outcome.dual))
    lower, reported = lower_of(objective, outcome), [event.lower_bound for event in events]
    assert reported == sorted(reported)
    assert lower == reported[-1]
    objectives = [objective.evaluate(network).objective for network in (start, best, objective.empty_network())]
    assert lower <= min(objectives) + 1e-12
    assert lower >= -objective.loss.conjugate(torch.zeros_like(objective.loss.targets)) - 1e-12


@pytest.mark.parametrize("name", ["mse", "binary-cross-entropy", "huber", "squared-hinge", "soft-margin"])
def test_several_independent_outputs_are_bounded_too(name: str) -> None:
    objective = make_objective(name, 2)
    best = objective.evaluate(trained(objective, 400))
    lower = lower_of(objective, first_order_surrogate(task_at(objective, best.gradient), steps=40))
    assert -objective.loss.conjugate(torch.zeros_like(objective.loss.targets)) < lower <= best.objective


@pytest.mark.parametrize("kind", sorted(RECTIFIERS))
def test_first_order_is_never_worse_than_scaling_the_candidate(kind: str) -> None:
    objective = make_objective("mse", 1, kind=kind)
    (branch,) = objective.branches
    gradient = objective.evaluate(trained(objective, 200)).gradient
    dual = feasible_dual(objective, gradient)
    region, nothing = direction_region(branch.view, dual.new_zeros(0), 1.0), dual.new_zeros(0)
    multipliers = multipliers_at(branch.form, region, branch.scores(dual), starting_logits(region, 1), nothing)
    upper = majorant_upper(branch.form, branch.scores(dual), multipliers)
    scaled = best_scale(objective, dual, branch.strength / upper).value
    assert lower_of(objective, first_order_surrogate(task_at(objective, gradient), steps=30)) >= scaled
    alone = first_order_majorant(task_at(objective, dual), steps=30)
    assert torch.equal(alone.dual, dual)
    assert alone.upper <= upper
    assert alone.upper == proven_upper(objective, alone)


def test_the_result_is_reproducible() -> None:
    objective = make_objective("cross-entropy", 3)
    gradient = objective.evaluate(trained(objective, 100)).gradient
    first, second = (first_order_surrogate(task_at(objective, gradient, seconds=3600), steps=20) for _ in range(2))
    assert first.upper == second.upper
    assert torch.equal(first.dual, second.dual)


def test_a_free_hidden_bias_without_a_free_intercept_is_served() -> None:
    objective = make_objective("huber", 1, free=1)
    best = objective.evaluate(trained(objective, 200))
    lower = lower_of(objective, first_order_surrogate(task_at(objective, best.gradient), steps=40))
    assert 0 <= lower <= best.objective


def test_no_time_still_gives_a_proven_outcome() -> None:
    objective = make_objective("cross-entropy", 3)
    gradient = objective.evaluate(trained(objective, 100)).gradient
    assert math.isfinite(first_order_surrogate(task_at(objective, gradient, seconds=-1.0)).upper)


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


@pytest.mark.parametrize("slopes", [Slopes(1.0, 0.0), Slopes(1.3, -0.3)])
@pytest.mark.parametrize("free", [0, 1])
@pytest.mark.parametrize("outputs", [1, 3])
def test_the_estimate_agrees_with_the_proven_bound_and_has_the_right_gradient(
    outputs: int, free: int, slopes: Slopes
) -> None:
    generator = torch.Generator().manual_seed(2)
    form = Rows(make_objective("mse", outputs, free).branches[0].view, slopes)
    scores = torch.randn(16, outputs, generator=generator, dtype=torch.float64)
    scores = (scores * 1024).round() / 1024
    scores[0] -= scores.sum(0)
    center = center_of(form.view, torch.ones(16, dtype=torch.bool))
    region = direction_region(form.view, center, 1.0)
    logits = starting_logits(region, outputs)
    for values in logits.tensors:
        values.add_(0.3 * torch.randn(values.shape, generator=generator, dtype=torch.float64))
    upper = majorant_upper(form, scores, multipliers_at(form, region, scores, logits, center))
    assert upper == pytest.approx(float(upper_estimate(form, region, scores, logits)), rel=2e-2)
    logits.bend.requires_grad_()
    estimate = upper_estimate(form, region, scores, logits)
    (gradient,) = torch.autograd.grad(estimate, logits.bend)
    direction = torch.randn(logits.bend.shape, generator=generator, dtype=torch.float64)
    with torch.no_grad():
        logits.bend.add_(1e-5 * direction)
        above = float(upper_estimate(form, region, scores, logits))
        logits.bend.sub_(2e-5 * direction)
        below = float(upper_estimate(form, region, scores, logits))
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
