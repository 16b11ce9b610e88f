"""Bounds of the polar of deep subnetworks against subnetworks: none is below a value."""

import math
import time

import pytest
import torch

from certify.bounds.layers.base import base_maximum
from certify.bounds.layers.chain import Chain
from certify.bounds.layers.fan import fan_of
from certify.bounds.layers.kink import Kink
from certify.bounds.layers.links import Convolution, FixedMap
from certify.bounds.layers.lipschitz import Flow, best_flow, lipschitz_bound, lipschitz_upper
from certify.bounds.layers.mask import mask_applies, mask_seminorms
from certify.bounds.layers.max_pooling import MaxPooling
from certify.bounds.layers.multipliers import PeelTask, best_multipliers
from certify.bounds.layers.peeling import Peel
from certify.bounds.rows.cones.cone_settings import ConeSettings
from certify.problem import Slopes
from certify.problem.windows import average_matrix, windows

from ..exact_polars import exact_on_circle
from .deep_subnetworks import ABSOLUTE, ALL_SLOPES, LEAKY, RELU, best_found, problem, ratios, starts

# Far more than was ever measured on such instances, far less than no bound at all.
USEFUL = 3.0


def chain_of(layers, slopes, columns, **changes):
    return Chain(Slopes(*slopes), (Kink(Slopes(*slopes)),) * (layers - 2), fan_of(columns, **changes))


def fitted(chain, rows, scores, steps=150):
    task = PeelTask(chain, rows, rows[:0], time.perf_counter() + 120, steps)
    return best_multipliers(task, scores)


def proven(chain, rows, scores, peels, tolerance=1e-3):
    settings = ConeSettings(relative_tolerance=tolerance, slopes=chain.slopes, max_nodes=20_000)
    return base_maximum(rows, chain.seminorms(scores, peels), settings)


@pytest.mark.parametrize("m", [1, 2, 3])
@pytest.mark.parametrize("slopes", ALL_SLOPES)
@pytest.mark.parametrize("layers", [3, 4])
def test_the_peeled_bound_holds_and_is_useful(layers, slopes, m):
    rows, scores, generator = problem(layers + m, 9, 2, m)
    chain = chain_of(layers, slopes, m)
    found = fitted(chain, rows, scores, 40 if m == 2 else 150)
    upper = proven(chain, rows, scores, found.peels).upper
    best = best_found(rows, scores, layers, slopes, generator)
    assert best <= upper <= USEFUL * best
    assert found.upper <= upper


@pytest.mark.parametrize("slopes", ALL_SLOPES)
def test_no_subnetwork_of_five_layers_beats_seminorms_of_random_multipliers(slopes):
    """Peels of every level are in play here, whatever they are; the best of a grid stands for the base."""
    for m in (1, 2, 3):
        rows, scores, generator = problem(20 + m, 6, 2, m)
        chain = chain_of(5, slopes, m)
        peels = []
        for side in chain.sides(scores):
            columns, signs, own = side.shape[1], 1 if m < 3 else 2, []
            for _ in range(3):
                shape = signs, len(rows), columns
                p = torch.randn(*shape, generator=generator, dtype=torch.float64).exp()
                own.append(Peel(p, 0.1 * torch.randn(*shape, generator=generator, dtype=torch.float64)))
                columns, signs = signs * columns, 2
            peels.append(tuple(own))
        upper = proven(chain, rows, scores, tuple(peels), 1e-2).upper
        weights = starts(2000, 2, 5, 3, generator)
        assert float(ratios(rows, scores, weights, slopes).max()) <= upper
        assert best_found(rows, scores, 5, slopes, generator, count=8, steps=120) <= upper


def test_corners_of_a_fan_surround_the_unit_ball():
    """Every v in the ball has v ≤ some edge: between neighbors the chord stays outside; ±1 for one column."""
    assert fan_of(1).tolist() == [[1.0, -1.0]]
    corners = fan_of(2)
    ahead = corners.roll(-1, 1)
    cross = corners[0] * ahead[1] - corners[1] * ahead[0]
    assert bool((cross >= (ahead - corners).norm(dim=0)).all())
    assert fan_of(4) is None
    assert fan_of(3) is None


def test_three_columns_of_zero_sums_are_peeled_as_two():
    rows, scores, generator = problem(9, 9, 2, 3)
    scores = scores - scores.mean(1, keepdim=True)
    chain = chain_of(3, RELU, 3, zero_sums=True)
    upper = proven(chain, rows, scores, fitted(chain, rows, scores, 60).peels).upper
    together = chain_of(3, RELU, 3)
    assert best_found(rows, scores, 3, RELU, generator) <= upper
    assert upper < proven(together, rows, scores, fitted(together, rows, scores).peels).upper


def test_more_layers_of_orthonormal_rows_change_nothing():
    """Rows e_i: the polar of K relu layers is max(|q₊|, |q₋|), that of two (MATH 4.2)."""
    rows = torch.eye(3, dtype=torch.float64)
    scores = torch.tensor([[0.8], [-1.0], [0.3]], dtype=torch.float64)
    exact = max(float(scores.clamp_min(0).norm()), float((-scores).clamp_min(0).norm()))
    for layers in (3, 4):
        chain = chain_of(layers, RELU, 1)
        upper = proven(chain, rows, scores, fitted(chain, rows, scores, 400).peels).upper
        assert exact <= upper <= exact * 1.01


def convolutional_value(images, scores, weights, pooling):
    """|Sᵀ z|/Π|W_k| of a unit: 1-D convolutions with relu after each, pooled before the second."""
    hidden = torch.relu(torch.nn.functional.conv1d(images, weights[0]))
    hidden = torch.nn.functional.avg_pool1d(hidden, 2)
    hidden = torch.relu(torch.nn.functional.conv1d(hidden, weights[1], padding=1))
    if pooling:
        hidden = torch.nn.functional.max_pool1d(hidden, 2)
    return (hidden.flatten() @ scores).norm() / (weights[0].norm() * weights[1].norm())


@pytest.mark.parametrize("pooling", [False, True])
def test_the_bound_holds_for_convolutions_and_pooling(pooling):
    """Length 9, kernel 2 → 8, average pooling → 4, kernel 3 with padding → 4, max pooling → 2."""
    generator = torch.Generator().manual_seed(8)
    images = torch.randn(2, 1, 9, generator=generator, dtype=torch.float64)
    rows = images.unfold(2, 2, 1).reshape(-1, 2)
    average, _ = windows((8,), (2,), (2,), (0,), (1,))
    kernel, _ = windows((4,), (3,), (1,), (1,), (1,))
    halves, _ = windows((4,), (2,), (2,), (0,), (1,))
    relu = Slopes(*RELU)
    top = MaxPooling(1.0, halves, 4) if pooling else Kink(relu)
    matrix = average_matrix(average, 8, counts_padding=True)
    chain = Chain(relu, (top, Convolution(kernel, 4), FixedMap(matrix)), fan_of(1))
    scores = torch.randn(4 if pooling else 8, 1, generator=generator, dtype=torch.float64)
    upper = proven(chain, rows, scores, fitted(chain, rows, scores).peels).upper
    best = 0.0
    for _ in range(8):
        weights = [torch.randn(3, 1, 2, generator=generator), torch.randn(1, 3, 3, generator=generator)]
        weights = [own.double().requires_grad_() for own in weights]
        optimizer = torch.optim.Adam(weights, lr=0.05)
        for _ in range(150):
            value = convolutional_value(images, scores, weights, pooling)
            best = max(best, float(value.detach()))
            optimizer.zero_grad()
            (-value).backward()
            optimizer.step()
    assert best <= upper <= USEFUL * best


def test_the_mask_bound_is_exact_for_scores_of_one_sign():
    """P_2(q) ≤ P_K(q) ≤ max(P_2(q₊), P_2(q₋)); exact two-layer polar from the circle."""
    rows, scores, generator = problem(4, 9, 2, 1)
    exact = exact_on_circle(rows.numpy(), scores.abs().numpy())
    seminorms = mask_seminorms(scores.abs(), Slopes(*RELU), 3)
    found = base_maximum(rows, seminorms, ConeSettings(relative_tolerance=1e-4))
    assert exact <= found.upper <= exact * 1.001
    assert best_found(rows, scores.abs(), 3, RELU, generator) <= found.upper


@pytest.mark.parametrize("m", [1, 2])
@pytest.mark.parametrize("steepness", [1.0, 1.5])
def test_mask_and_lipschitz_bounds_hold(steepness, m):
    slopes = steepness, 0.0
    assert mask_applies(Slopes(*slopes))
    for layers in (3, 4):
        rows, scores, generator = problem(layers, 9, 2, m)
        masked = base_maximum(
            rows, mask_seminorms(scores, Slopes(*slopes), layers), ConeSettings(slopes=Slopes(*slopes))
        )
        best = best_found(rows, scores, layers, slopes, generator)
        assert best <= masked.upper
        assert best <= lipschitz_bound(rows, scores, Slopes(*slopes), layers)


def test_masks_serve_relu_alone():
    assert not any(mask_applies(Slopes(*slopes)) for slopes in (LEAKY, ABSOLUTE, (-1.0, 0.0)))


@pytest.mark.parametrize("slopes", ALL_SLOPES)
def test_any_flow_proves_a_lipschitz_bound_and_the_best_is_attained(slopes):
    """One row: |q||x| is attained where σ reaches it. Then random flows, none of which is below the best."""
    steep = Slopes(*slopes)
    row, q = torch.tensor([[3.0, 4.0]], dtype=torch.float64), torch.tensor([[2.0]], dtype=torch.float64)
    assert lipschitz_bound(row, q, steep, 3) == pytest.approx(10 * steep.steepest**2)
    rows, scores, generator = problem(6, 8, 2, 1)
    best = best_flow(rows, scores[:, 0], steep)
    least = lipschitz_upper(rows, scores[:, 0], steep, 3, best)
    for _ in range(50):
        ends = torch.randint(0, 8, (2, 5), generator=generator)
        flow = Flow(ends, 0.1 * torch.rand(5, generator=generator, dtype=torch.float64))
        assert lipschitz_upper(rows, scores[:, 0], steep, 3, flow) >= least * (1 - 1e-9)
    found = best_found(rows, scores, 3, slopes, generator)
    assert found <= lipschitz_bound(rows, scores, steep, 3)
    assert math.isfinite(least)
