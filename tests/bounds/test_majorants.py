"""Quadratic majorants: proven bounds never fall below the exact polar, whatever the multipliers."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.optimize import nnls

from certify.bounds.proof import QuadraticMajorant, ScalarMajorant, VectorMajorant
from certify.bounds.rows.relaxations.direction_region import center_of, direction_region
from certify.bounds.rows.relaxations.majorant import majorant_upper
from certify.bounds.rows.relaxations.majorant_logits import multipliers_at, starting_logits, upper_estimate
from certify.bounds.rows.relaxations.moment_surrogate import moment_majorant
from certify.problem import Rows, Slopes, View

from .objectives import TwoSlopes, branch_of, task_of

NOTHING = torch.zeros(0, dtype=torch.float64)
ONES = torch.ones(2, dtype=torch.float64)
RELU = Slopes(1.0, 0.0)
SLOPES = [RELU, Slopes(1.0, 0.1), Slopes(1.0, 1.7), Slopes(1.0, -1.0), Slopes(1.3, -0.3)]


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


def exact_polar(inputs: torch.Tensor, scores: torch.Tensor, slopes: Slopes = RELU) -> float:
    """max |Σ q_i σ(x_i u)| over |u| ≤ 1 by one nonnegative least squares problem in every cell.

    In the cell of signs s, with slopes D, the maximum is min over α ≥ 0 of |Xᵀ D q + Xᵀ diag(s) α|.
    """
    scale = float(inputs.abs().max()) or 1.0
    rows, q = inputs.numpy() / scale, scores[:, 0].numpy()
    best = 0.0
    for pattern in cells(rows):
        active = np.array(pattern)
        signs = np.where(active, 1.0, -1.0)
        for direction in (q, -q):
            target = -(rows.T @ (direction * np.where(active, slopes.positive, slopes.negative)))
            best = max(best, nnls((rows * signs[:, None]).T, target)[1])
    return best * scale


def upper_of(
    inputs: torch.Tensor,
    scores: torch.Tensor,
    multipliers: QuadraticMajorant,
    free: int = 0,
    slopes: Slopes = RELU,
) -> float:
    return majorant_upper(Rows(View(inputs, free), slopes), scores, multipliers)


def sampled_polar(
    inputs: torch.Tensor, scores: torch.Tensor, free: int, generator: torch.Generator, slopes: Slopes = RELU
) -> float:
    """A lower bound on the polar from random directions."""
    directions = torch.randn(1000, inputs.shape[1], generator=generator, dtype=torch.float64)
    penalized = directions[:, : inputs.shape[1] - free]
    penalized /= penalized.norm(dim=1, keepdim=True)
    directions[:, inputs.shape[1] - free :] *= 2
    hidden = directions @ inputs.T
    hidden = slopes.positive * hidden.relu() - slopes.negative * (-hidden).relu()
    return float((hidden @ scores).norm(dim=1).max())


def random_multipliers(n: int, d: int, outputs: int, generator: torch.Generator) -> ScalarMajorant | VectorMajorant:
    def draw(*shape: int) -> torch.Tensor:
        scale = 10 ** float(torch.empty(1).uniform_(-3, 2, generator=generator))
        return scale * torch.randn(*shape, generator=generator, dtype=torch.float64)

    if outputs == 1:
        return ScalarMajorant(draw(2, n), draw(2, n), draw(2, n, 2), draw(2, 2, d), NOTHING, draw(2))
    slopes, mixings = draw(2, n, outputs), draw(2, outputs).abs()
    return VectorMajorant(draw(2, n, outputs), slopes, mixings, draw(outputs, d, d), NOTHING, float(mixings[0, 0]))


def untilted(n: int, d: int) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.zeros(2, n, 0, dtype=torch.float64), torch.zeros(2, 0, d, dtype=torch.float64)


def gradient_like_multipliers(inputs: torch.Tensor, scores: torch.Tensor) -> ScalarMajorant:
    """Multipliers near the best, so that the bound is close to the polar."""
    size = scores[:, 0].abs() / (2 * inputs.norm(dim=1)).clamp_min(1e-30)
    slopes = torch.stack([0.9 * (-scores[:, 0]).clamp_min(0), -0.7 * scores[:, 0].clamp_min(0)])
    toward = inputs / inputs.norm(dim=1, keepdim=True).clamp_min(1e-30)
    tilts = (0.1 * slopes.abs() / 0.9)[:, :, None] * toward
    axes = torch.eye(inputs.shape[1], dtype=torch.float64).expand(2, -1, -1)
    return ScalarMajorant(torch.stack([size, size]), slopes, tilts, axes, NOTHING, ONES)


@pytest.mark.parametrize("slopes", SLOPES)
@pytest.mark.parametrize("seed", range(12))
def test_scalar_majorant_is_at_least_the_exact_polar(seed: int, slopes: Slopes) -> None:
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
    exact = exact_polar(inputs, scores, slopes)
    guess = gradient_like_multipliers(inputs, slopes.bend * scores)
    assert upper_of(inputs, scores, guess, slopes=slopes) >= exact * (1 - 1e-12)
    for _ in range(5):
        upper = upper_of(inputs, scores, random_multipliers(n, d, 1, generator), slopes=slopes)
        assert upper >= exact * (1 - 1e-12)


def optimized_multipliers(form: Rows, scores: torch.Tensor) -> QuadraticMajorant:
    """Multipliers that make the bound close to the polar, where a wrong formula would show."""
    if scores.shape[1] == 1:
        kind = TwoSlopes(form.slopes.positive, form.slopes.negative)
        branch = branch_of(kind, form.view.rows, form.view.free_inputs)
        return moment_majorant(task_of(branch, -scores, seconds=0.5)).multipliers
    center = center_of(form.view, torch.ones(len(scores), dtype=torch.bool))
    region = direction_region(form.view, center, 1.0)
    logits = starting_logits(region, scores.shape[1])
    variables = [values.requires_grad_() for values in logits.tensors if values.numel()]
    optimizer = torch.optim.Adam(variables, lr=0.1)
    for _ in range(80):
        optimizer.zero_grad()
        upper_estimate(form, region, scores, logits).backward()
        optimizer.step()
    with torch.no_grad():
        return multipliers_at(form, region, scores, logits, center)


@pytest.mark.parametrize("slopes", SLOPES)
@pytest.mark.parametrize("seed", range(6))
def test_optimized_majorant_is_between_the_exact_polar_and_a_few_times_it(seed: int, slopes: Slopes) -> None:
    generator = torch.Generator().manual_seed(100 + seed)
    inputs = torch.randn(6, 1 + seed % 3, generator=generator, dtype=torch.float64)
    scores = torch.randn(6, 1, generator=generator, dtype=torch.float64)
    exact, form = exact_polar(inputs, scores, slopes), Rows(View(inputs), slopes)
    upper = majorant_upper(form, scores, optimized_multipliers(form, scores))
    # Where σ grows on both sides, terms of either sign may cancel almost all of the polar, but not of the relaxation.
    terms = slopes.steepest * float(scores[:, 0].abs() @ inputs.norm(dim=1))
    assert exact * (1 - 1e-12) <= upper <= 5 * max(exact, 0.1 * terms * (slopes.negative < 0))


@pytest.mark.parametrize("slopes", SLOPES)
@pytest.mark.parametrize("outputs", [1, 2])
@pytest.mark.parametrize("seed", range(6))
def test_optimized_majorant_with_a_free_bias_is_at_least_the_exact_polar(
    seed: int, outputs: int, slopes: Slopes
) -> None:
    """On a line, |Sᵀσ(±x + β)| is convex between the kinks β = ∓x_i, so its maximum is at one of them."""
    generator = torch.Generator().manual_seed(seed)
    line = torch.randn(2 + seed % 3, 1, generator=generator, dtype=torch.float64)
    scores = (torch.randn(len(line), outputs, generator=generator, dtype=torch.float64) * 1024).round() / 1024
    scores[0] -= scores.sum(0)
    values = [float((slopes.of(sign * (line - kink)).T @ scores).norm()) for sign in (1, -1) for kink in line]
    form = Rows(View(torch.cat([line, torch.ones_like(line)], 1), 1), slopes)
    assert majorant_upper(form, scores, optimized_multipliers(form, scores)) >= max(values) * (1 - 1e-12)


@pytest.mark.parametrize("ratio", [1e-3, 1.0, 50.0])
def test_region_with_a_free_bias_reaches_as_far_as_its_samples_do(ratio: float) -> None:
    inputs = torch.randn(7, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    inputs[:, -1] = 1
    center = inputs[:, :-1].mean(0)
    region = direction_region(View(inputs, 1), center, ratio)
    norms = (inputs[:, :-1] - center).norm(dim=1)
    # Sample i at the direction toward it and the largest bias B that counts: t_i = |x_i − m| + B.
    weights = (inputs[:, :-1] - center) / norms[:, None]
    points = torch.cat([weights, (norms.max() / region.inputs[0, -1]).expand(7, 1)], 1)
    assert torch.all((region.inputs * points).sum(1) <= region.reach)
    assert torch.allclose(region.reach, norms + norms.max())
    assert torch.all(points.square().sum(1) <= region.radius_squared)


@pytest.mark.parametrize("slopes", SLOPES)
@pytest.mark.parametrize("seed", range(12))
def test_vector_majorant_is_at_least_any_value_of_the_polar(seed: int, slopes: Slopes) -> None:
    generator = torch.Generator().manual_seed(seed)
    n, d, c = 2 + seed % 7, 1 + seed % 4, 2 + seed % 3
    inputs = torch.randn(n, d, generator=generator, dtype=torch.float64) * 10.0 ** (seed % 13 - 6)
    scores = torch.randn(n, c, generator=generator, dtype=torch.float64)
    if seed % 2:
        inputs[0], scores[1] = 0, 0
    lower = sampled_polar(inputs, scores, 0, generator, slopes)
    for _ in range(5):
        guess = random_multipliers(n, d, c, generator)
        assert upper_of(inputs, scores, guess, slopes=slopes) >= lower * (1 - 1e-12)


@pytest.mark.parametrize("slopes", SLOPES)
@pytest.mark.parametrize("outputs", [1, 3])
@pytest.mark.parametrize("seed", range(10))
def test_majorant_with_a_free_bias_is_at_least_any_value_of_the_polar(seed: int, outputs: int, slopes: Slopes) -> None:
    generator = torch.Generator().manual_seed(seed)
    n, d = 2 + seed % 6, 2 + seed % 3
    inputs = torch.randn(n, d, generator=generator, dtype=torch.float64) + 5 * (seed % 2)
    inputs[:, -1] = 1
    scores = (torch.randn(n, outputs, generator=generator, dtype=torch.float64) * 1024).round() / 1024
    scores[0] -= scores.sum(0)
    lower = sampled_polar(inputs, scores, 1, generator, slopes)
    for _ in range(3):
        guess = random_multipliers(n, d if outputs > 1 else d - 1, outputs, generator)
        guess = replace(guess, center=inputs[:, :-1].mean(0) * (seed % 3))
        assert upper_of(inputs, scores, guess, 1, slopes) >= lower * (1 - 1e-12)


def test_free_bias_needs_scores_that_sum_to_zero_exactly() -> None:
    inputs = torch.ones(3, 2, dtype=torch.float64)
    scores = torch.tensor([[1.0], [-1.0], [2.0**-60]], dtype=torch.float64)
    zero = torch.zeros(2, 3, dtype=torch.float64)
    guess = ScalarMajorant(zero + 1, zero, *untilted(3, 1), torch.zeros(1, dtype=torch.float64), ONES)
    assert upper_of(inputs, scores, guess, 1) == math.inf


@pytest.mark.parametrize("garbage", [math.nan, math.inf, -math.inf, 1e308, -1e308, 0.0])
def test_garbage_multipliers_never_give_less_than_the_exact_polar(garbage: float) -> None:
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(5, 2, generator=generator, dtype=torch.float64)
    scores = torch.randn(5, 1, generator=generator, dtype=torch.float64)
    exact = exact_polar(inputs, scores)
    clean = gradient_like_multipliers(inputs, scores)
    for name in ("curvatures", "slopes", "tilts", "axes"):
        values = {key: getattr(clean, key).clone() for key in ("curvatures", "slopes", "tilts", "axes")}
        values[name][:, min(2, values[name].shape[1] - 1)] = garbage
        assert upper_of(inputs, scores, ScalarMajorant(**values, center=NOTHING, offsets=ONES)) >= exact


def test_majorant_is_exact_for_one_sample() -> None:
    inputs = torch.tensor([[3.0, 4.0]], dtype=torch.float64)
    scores = torch.tensor([[2.0]], dtype=torch.float64)
    # a = 2, touching |t| = R = 5 needs p = a/(4R); the polar is q |x| = 10.
    zero = torch.zeros(2, 1, dtype=torch.float64)
    guess = ScalarMajorant(zero + 0.1, zero, *untilted(1, 2), NOTHING, ONES)
    assert upper_of(inputs, scores, guess) == pytest.approx(10, rel=1e-9)
