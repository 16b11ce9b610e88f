"""Quadratic majorants and the joint convex surrogate: proven bounds never fall below the exact polar."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import cvxpy as cp
import numpy as np
import pytest
import torch
from scipy.optimize import nnls

from certify.bounds.rows.relaxations.direction_region import direction_region
from certify.bounds.rows.relaxations.majorant import ScalarMajorant, VectorMajorant, majorant_upper
from certify.bounds.rows.relaxations.majorant_logits import multipliers_at, starting_logits, upper_estimate
from certify.bounds.rows.relaxations.surrogate import CONJUGATE_ATOMS, joint_surrogate
from certify.problem import LOSSES, SUBNETWORKS, ConvexPart, LossSpec, Objective, ParallelNetwork, WeightDecay
from certify.problem.dual import best_scale, dual_value

NOTHING = torch.zeros(0, dtype=torch.float64)
ONES = torch.ones(2, dtype=torch.float64)


def cells(rows: np.ndarray) -> set[tuple[bool, ...]]:
    """Activation patterns of the central arrangement of `rows`, from the points near every vertex of it."""
    n, d = rows.shape
    rng = np.random.default_rng(0)
    points = [rng.standard_normal((500, d))]
    for subset in itertools.combinations(range(n), min(d - 1, n)):
        basis = np.linalg.svd(rows[list(subset)].reshape(-1, d), full_matrices=True)[2]
        axis = basis[-1]
        near = rng.standard_normal((40, d)) * 1e-4
        points += [axis + near, -axis + near]
    return {tuple(pattern) for pattern in np.concatenate(points) @ rows.T > 0}


def exact_polar(inputs: torch.Tensor, scores: torch.Tensor) -> float:
    """max |Σ q_i relu(x_i u)| over |u| ≤ 1 by one nonnegative least squares problem in every cell.

    In the cell of signs s the maximum is min over α ≥ 0 of |Xᵀ D q + Xᵀ diag(s) α|.
    """
    scale = float(inputs.abs().max()) or 1.0
    rows, q = inputs.numpy() / scale, scores[:, 0].numpy()
    best = 0.0
    for pattern in cells(rows):
        active = np.array(pattern)
        signs = np.where(active, 1.0, -1.0)
        for direction in (q, -q):
            target = -(rows.T @ (direction * active))
            best = max(best, nnls((rows * signs[:, None]).T, target)[1])
    return best * scale


def sampled_polar(inputs: torch.Tensor, scores: torch.Tensor, free: int, generator: torch.Generator) -> float:
    """A lower bound on the polar from random directions."""
    directions = torch.randn(1000, inputs.shape[1], generator=generator, dtype=torch.float64)
    penalized = directions[:, : inputs.shape[1] - free]
    penalized /= penalized.norm(dim=1, keepdim=True)
    directions[:, inputs.shape[1] - free :] *= 2
    return float(((directions @ inputs.T).relu() @ scores).norm(dim=1).max())


def random_multipliers(n: int, d: int, outputs: int, generator: torch.Generator) -> ScalarMajorant | VectorMajorant:
    def draw(*shape: int) -> torch.Tensor:
        scale = 10 ** float(torch.empty(1).uniform_(-3, 2, generator=generator))
        return scale * torch.randn(*shape, generator=generator, dtype=torch.float64)

    if outputs == 1:
        return ScalarMajorant(draw(2, n).abs(), draw(2, n), draw(2, n), NOTHING, draw(2).abs())
    slopes, mixings = draw(2, n, outputs), draw(2, outputs).abs()
    return VectorMajorant(draw(2, n, outputs), slopes, mixings, draw(outputs, d, d), NOTHING, float(mixings[0, 0]))


def gradient_like_multipliers(inputs: torch.Tensor, scores: torch.Tensor) -> ScalarMajorant:
    """Multipliers near the best, so that the bound is close to the polar."""
    size = scores[:, 0].abs() / (2 * inputs.norm(dim=1)).clamp_min(1e-30)
    zero = torch.zeros(2, len(size), dtype=torch.float64)
    slopes = torch.stack([0.9 * (-scores[:, 0]).clamp_min(0), -0.7 * scores[:, 0].clamp_min(0)])
    return ScalarMajorant(torch.stack([size, size]), slopes, zero, NOTHING, ONES)


@pytest.mark.parametrize("seed", range(24))
def test_scalar_majorant_is_at_least_the_exact_polar(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    n, d = int(torch.randint(1, 8, (1,), generator=generator)), int(torch.randint(1, 4, (1,), generator=generator))
    inputs = torch.randn(n, d, generator=generator, dtype=torch.float64)
    scores = torch.randn(n, 1, generator=generator, dtype=torch.float64)
    if seed % 4 == 0:
        inputs[0] = 0
    if seed % 4 == 1 and n > 1:
        inputs[1] = inputs[0]
        scores[1] = -scores[0] * (1 + 1e-12)
    if seed % 4 == 2:
        scores = scores.abs()
    if seed % 4 == 3:
        inputs, scores = inputs * 10.0 ** (seed % 13 - 6), scores * 10.0 ** (6 - seed % 12)
    exact = exact_polar(inputs, scores)
    assert majorant_upper(inputs, scores, gradient_like_multipliers(inputs, scores)) >= exact * (1 - 1e-12)
    for _ in range(5):
        upper = majorant_upper(inputs, scores, random_multipliers(n, d, 1, generator))
        assert upper >= exact * (1 - 1e-12)


def optimized_multipliers(inputs: torch.Tensor, scores: torch.Tensor, free: int) -> ScalarMajorant | VectorMajorant:
    """Multipliers that make the bound close to the polar, where a wrong formula would show."""
    center = inputs[:, :-1].mean(0) if free else NOTHING
    region = direction_region(inputs, free, center, 1.0)
    logits = starting_logits(region, scores.shape[1])
    variables = [values.requires_grad_() for values in logits.tensors if values.numel()]
    optimizer = torch.optim.Adam(variables, lr=0.1)
    for _ in range(80):
        optimizer.zero_grad()
        upper_estimate(region, scores, logits, free).backward()
        optimizer.step()
    with torch.no_grad():
        return multipliers_at(region, scores, logits, center, free)


@pytest.mark.parametrize("seed", range(12))
def test_optimized_majorant_is_between_the_exact_polar_and_a_few_times_it(seed: int) -> None:
    generator = torch.Generator().manual_seed(100 + seed)
    inputs = torch.randn(6, 1 + seed % 3, generator=generator, dtype=torch.float64)
    scores = torch.randn(6, 1, generator=generator, dtype=torch.float64)
    exact = exact_polar(inputs, scores)
    upper = majorant_upper(inputs, scores, optimized_multipliers(inputs, scores, 0))
    assert exact * (1 - 1e-12) <= upper <= 5 * exact


@pytest.mark.parametrize("outputs", [1, 2])
@pytest.mark.parametrize("seed", range(12))
def test_optimized_majorant_with_a_free_bias_is_at_least_the_exact_polar(seed: int, outputs: int) -> None:
    """On a line, |Qᵀ relu(±x + β)| is convex between the kinks β = ∓x_i, so its maximum is at one of them."""
    generator = torch.Generator().manual_seed(seed)
    line = torch.randn(2 + seed % 3, 1, generator=generator, dtype=torch.float64)
    scores = (torch.randn(len(line), outputs, generator=generator, dtype=torch.float64) * 1024).round() / 1024
    scores[0] -= scores.sum(0)
    values = [float(((sign * (line - kink)).relu().T @ scores).norm()) for sign in (1, -1) for kink in line]
    inputs = torch.cat([line, torch.ones_like(line)], 1)
    upper = majorant_upper(inputs, scores, optimized_multipliers(inputs, scores, 1), 1)
    assert upper >= max(values) * (1 - 1e-12)


@pytest.mark.parametrize("ratio", [1e-3, 1.0, 50.0])
def test_region_with_a_free_bias_reaches_as_far_as_its_samples_do(ratio: float) -> None:
    inputs = torch.randn(7, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    inputs[:, -1] = 1
    center = inputs[:, :-1].mean(0)
    region = direction_region(inputs, 1, center, ratio)
    norms = (inputs[:, :-1] - center).norm(dim=1)
    # Sample i at the direction toward it and the largest bias B that counts: t_i = |x_i − m| + B.
    weights = (inputs[:, :-1] - center) / norms[:, None]
    points = torch.cat([weights, (norms.max() / region.inputs[0, -1]).expand(7, 1)], 1)
    assert torch.all((region.inputs * points).sum(1) <= region.reach)
    assert torch.allclose(region.reach, norms + norms.max())
    assert torch.all(points.square().sum(1) <= region.radius_squared)


@pytest.mark.parametrize("seed", range(24))
def test_vector_majorant_is_at_least_any_value_of_the_polar(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    n, d, c = 2 + seed % 7, 1 + seed % 4, 2 + seed % 3
    inputs = torch.randn(n, d, generator=generator, dtype=torch.float64) * 10.0 ** (seed % 13 - 6)
    scores = torch.randn(n, c, generator=generator, dtype=torch.float64)
    if seed % 2:
        inputs[0], scores[1] = 0, 0
    lower = sampled_polar(inputs, scores, 0, generator)
    for _ in range(5):
        assert majorant_upper(inputs, scores, random_multipliers(n, d, c, generator)) >= lower * (1 - 1e-12)


@pytest.mark.parametrize("outputs", [1, 3])
@pytest.mark.parametrize("seed", range(20))
def test_majorant_with_a_free_bias_is_at_least_any_value_of_the_polar(seed: int, outputs: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    n, d = 2 + seed % 6, 2 + seed % 3
    inputs = torch.randn(n, d, generator=generator, dtype=torch.float64) + 5 * (seed % 2)
    inputs[:, -1] = 1
    scores = (torch.randn(n, outputs, generator=generator, dtype=torch.float64) * 1024).round() / 1024
    scores[0] -= scores.sum(0)
    lower = sampled_polar(inputs, scores, 1, generator)
    for _ in range(3):
        guess = replace(random_multipliers(n, d, outputs, generator), center=inputs[:, :-1].mean(0) * (seed % 3))
        assert majorant_upper(inputs, scores, guess, 1) >= lower * (1 - 1e-12)


def test_free_bias_needs_scores_that_sum_to_zero_exactly() -> None:
    inputs = torch.ones(3, 2, dtype=torch.float64)
    scores = torch.tensor([[1.0], [-1.0], [2.0**-60]], dtype=torch.float64)
    zero = torch.zeros(2, 3, dtype=torch.float64)
    guess = ScalarMajorant(zero + 1, zero, zero, torch.zeros(1, dtype=torch.float64), ONES)
    assert majorant_upper(inputs, scores, guess, 1) == math.inf


@pytest.mark.parametrize("garbage", [math.nan, math.inf, -math.inf, 1e308, -1e308, 0.0])
def test_garbage_multipliers_never_give_less_than_the_exact_polar(garbage: float) -> None:
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(5, 2, generator=generator, dtype=torch.float64)
    scores = torch.randn(5, 1, generator=generator, dtype=torch.float64)
    exact = exact_polar(inputs, scores)
    clean = gradient_like_multipliers(inputs, scores)
    for name in ("curvatures", "slopes", "caps"):
        values = {key: getattr(clean, key).clone() for key in ("curvatures", "slopes", "caps")}
        values[name][:, 2] = garbage
        assert majorant_upper(inputs, scores, ScalarMajorant(**values, center=NOTHING, ratios=ONES)) >= exact


def test_majorant_is_exact_for_one_sample() -> None:
    inputs = torch.tensor([[3.0, 4.0]], dtype=torch.float64)
    scores = torch.tensor([[2.0]], dtype=torch.float64)
    # a = 2, touching |t| = R = 5 needs p = a/(4R); the polar is q |x| = 10.
    zero = torch.zeros(2, 1, dtype=torch.float64)
    guess = ScalarMajorant(zero + 0.1, zero, zero, NOTHING, ONES)
    assert majorant_upper(inputs, scores, guess) == pytest.approx(10, rel=1e-9)


def random_targets(name: str, n: int, generator: torch.Generator) -> torch.Tensor:
    draw = torch.randn(n, 1, generator=generator, dtype=torch.float64)
    if name in ("soft-margin", "squared-hinge"):
        return torch.where(draw > 0, 1.0, -1.0).double()
    return {"binary-cross-entropy": (draw > 0).double(), "poisson": draw.abs().round()}.get(name, draw)


@pytest.mark.parametrize("name", sorted(CONJUGATE_ATOMS))
def test_solver_conjugates_agree_with_the_losses(name: str) -> None:
    generator = torch.Generator().manual_seed(3)
    targets = random_targets(name, 20, generator)
    loss = LossSpec(name, "sum").bind(targets, 1)
    point = loss.repair(0.9 * loss.gradient(torch.randn(20, 1, generator=generator, dtype=torch.float64)))
    expression, constraints = CONJUGATE_ATOMS[name](cp, cp.Constant(point[:, 0].numpy()), targets[:, 0].numpy())
    assert float(cp.sum(expression).value) == pytest.approx(loss.conjugate(point), rel=1e-9, abs=1e-9)
    assert all(bool(np.all(constraint.value())) for constraint in constraints)


def test_every_loss_of_one_output_has_a_solver_conjugate() -> None:
    assert set(CONJUGATE_ATOMS) == {name for name, loss in LOSSES.items() if not loss.couples_row}


def make_objective(name: str, seed: int, free: int = 0, intercept: float | None = None) -> Objective:
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.randn(14, 4, generator=generator, dtype=torch.float64)
    inputs[:, -1] = 1
    inputs[3], inputs[4, :-1] = inputs[2], 0
    loss = LossSpec(name).bind(random_targets(name, 14, generator), 1)
    features = torch.ones(14, 0 if intercept is None else 1, dtype=torch.float64)
    convex = ConvexPart(features, torch.full((features.shape[1],), intercept or 0.0, dtype=torch.float64))
    return Objective(SUBNETWORKS["relu"], inputs, free, convex, loss, WeightDecay(0.03))


def objectives_nearby(objective: Objective, seed: int) -> list[float]:
    """Objectives of random networks and of one that gradient descent improved."""
    generator = torch.Generator().manual_seed(seed)
    found = []
    for width, scale in itertools.product((1, 12), (0.1, 1.0)):
        shapes = ((width, 4), (width, 1), (objective.convex.features.shape[1], 1))
        weights = [(scale * torch.randn(*s, generator=generator, dtype=torch.float64)).requires_grad_() for s in shapes]
        optimizer = torch.optim.LBFGS(weights, max_iter=60, line_search_fn="strong_wolfe")

        def network(parts: list[torch.Tensor] = weights) -> ParallelNetwork:
            return ParallelNetwork((parts[0], parts[1]), parts[2])

        def closure(optimizer=optimizer, weights=weights, network=network) -> torch.Tensor:
            optimizer.zero_grad()
            ridge = (objective.convex.ridge[:, None] / 2 * weights[2] ** 2).sum()
            free = weights[0][:, : 4 - objective.free_inputs]
            norms = (free.norm(dim=1), weights[1].norm(dim=1))
            penalty = objective.penalty.per_subnetwork((weights[0], weights[1]), norms).sum()
            total = objective.loss.value_terms(objective.forward(network())).sum() + penalty + ridge
            total.backward()
            return total

        detached = ParallelNetwork((weights[0].detach(), weights[1].detach()), weights[2].detach())
        found.append(objective.evaluate(detached).objective)
        optimizer.step(closure)
        found.append(objective.evaluate(detached).objective)
    return found


@pytest.mark.parametrize(("free", "intercept"), [(0, None), (0, 0.03), (1, None), (1, 0.0)])
@pytest.mark.parametrize("name", sorted(CONJUGATE_ATOMS))
def test_joint_surrogate_is_below_every_network(name: str, free: int, intercept: float | None) -> None:
    objective = make_objective(name, seed=5, free=free, intercept=intercept)
    outcome = joint_surrogate(objective, seconds=10)
    assert outcome is not None
    assert outcome.upper == majorant_upper(objective.inputs, -outcome.dual, outcome.multipliers, free)
    assert math.isfinite(dual_value(objective, outcome.dual))
    lower = best_scale(objective, outcome.dual, objective.strength / outcome.upper).value
    best = min(objectives_nearby(objective, seed=6))
    assert lower <= best + 1e-12
    # The bound must be worth something: a good part of the way from the zero bound.
    assert best - lower <= (0.9 if free else 0.5) * abs(best - objective.loss.infimum()) + 1e-9


def test_joint_surrogate_answers_none_where_it_does_not_apply() -> None:
    loss = LossSpec("cross-entropy").bind(torch.tensor([0, 1, 0]), 2)
    convex = ConvexPart(torch.zeros(3, 0, dtype=torch.float64), NOTHING)
    inputs = torch.eye(3, dtype=torch.float64)
    objective = Objective(SUBNETWORKS["relu"], inputs, 0, convex, loss, WeightDecay(0.1))
    assert joint_surrogate(objective, seconds=5) is None


def test_joint_surrogate_takes_masked_samples_and_masked_out_ones_do_not_count() -> None:
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(6, 3, generator=generator, dtype=torch.float64)
    mask = torch.tensor([True, True, False, True, True, True])[:, None]
    loss = LossSpec("mse").bind(torch.randn(6, generator=generator, dtype=torch.float64), 1, mask=mask)
    convex = ConvexPart(torch.zeros(6, 0, dtype=torch.float64), NOTHING)
    outcome = joint_surrogate(Objective(SUBNETWORKS["relu"], inputs, 0, convex, loss, WeightDecay(0.05)), seconds=5)
    assert outcome is not None
    assert float(outcome.dual[2]) == 0


@pytest.mark.parametrize("seconds", [1e-9, 1e-3])
def test_a_solver_without_time_never_raises(seconds: float) -> None:
    outcome = joint_surrogate(make_objective("mse", seed=1), seconds=seconds)
    assert outcome is None or outcome.upper > 0
