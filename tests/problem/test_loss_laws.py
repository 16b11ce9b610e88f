"""Laws that every registered loss obeys; a new loss joins by being in LOSSES."""

import math

import pytest
import torch
from torch.nn import functional

from certify.errors import UsageError
from certify.problem import LOSSES, LossSpec

N, C = 18, 3


def targets_for(name, generator):
    shape = (N, C)
    if name == "cross-entropy":
        return torch.randint(0, C, (N,), generator=generator)
    if name == "binary-cross-entropy":
        return torch.rand(shape, generator=generator, dtype=torch.float64)
    if name in ("soft-margin", "squared-hinge"):
        return torch.randn(shape, generator=generator, dtype=torch.float64).sign()
    drawn = torch.randn(shape, generator=generator, dtype=torch.float64) * 2
    return drawn.abs() if name == "poisson" else drawn


@pytest.fixture(params=sorted(LOSSES))
def bound_loss(request):
    generator = torch.Generator().manual_seed(1)
    weights = torch.rand(N, generator=generator, dtype=torch.float64) + 0.1
    weights[2] = 0
    targets = targets_for(request.param, generator)
    return LossSpec(request.param, "mean", 0.7).bind(targets, C, weights)


def draw(seed, scale=1.5):
    return torch.randn(N, C, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) * scale


@pytest.mark.parametrize("seed", range(5))
def test_fenchel_young_holds_with_equality_at_the_gradient(bound_loss, seed):
    outputs, other = draw(seed), draw(seed + 100)
    dual = bound_loss.gradient(outputs)
    pairing = float((dual * outputs).sum())
    assert bound_loss.value(outputs) + bound_loss.conjugate(dual) == pytest.approx(pairing, abs=1e-12)
    crossed = float((dual * other).sum())
    assert bound_loss.value(other) + bound_loss.conjugate(dual) >= crossed - 1e-12


@pytest.mark.parametrize("seed", range(3))
def test_gradient_matches_finite_differences(bound_loss, seed):
    outputs, direction, step = draw(seed), draw(seed + 50, 1.0), 1e-6
    slope = (bound_loss.value(outputs + step * direction) - bound_loss.value(outputs - step * direction)) / (2 * step)
    assert float((bound_loss.gradient(outputs) * direction).sum()) == pytest.approx(slope, rel=1e-6, abs=1e-8)


def test_curvature_matches_finite_differences_of_the_gradient(bound_loss):
    outputs, directions, step = draw(3), torch.stack([draw(60, 1.0), draw(61, 1.0)]), 1e-6
    change = bound_loss.gradient(outputs + step * directions[0]) - bound_loss.gradient(outputs - step * directions[0])
    expected = torch.einsum("nc,mnc->m", change / (2 * step), directions)
    assert torch.allclose(bound_loss.curvature_matrix(outputs, directions)[0], expected, rtol=1e-5, atol=1e-7)


def test_curvature_bounds_the_change_of_the_gradient(bound_loss):
    if not math.isfinite(bound_loss.curvature):
        pytest.skip("no global smoothness")
    for seed in range(20):
        left, right = draw(seed), draw(seed + 1)
        change = torch.linalg.vector_norm(bound_loss.gradient(left) - bound_loss.gradient(right))
        distance = torch.linalg.vector_norm(left - right)
        assert float(change) <= bound_loss.curvature * float(bound_loss.weights.max()) * float(distance) * (1 + 1e-12)


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_repair_lands_in_the_domain_and_keeps_points_of_it(bound_loss, scale):
    repaired = bound_loss.repair(draw(7, scale))
    assert math.isfinite(bound_loss.conjugate(repaired * (1 - 1e-12)))
    inside = bound_loss.gradient(draw(8))
    assert torch.allclose(bound_loss.repair(inside), inside, rtol=1e-12, atol=1e-15)


def test_the_infimum_is_below_every_value(bound_loss):
    infimum = -bound_loss.conjugate(torch.zeros_like(bound_loss.targets))
    assert all(infimum <= bound_loss.value(draw(seed, 3.0)) for seed in range(20))


def test_points_outside_the_domain_have_infinite_conjugate(bound_loss):
    if bound_loss.name == "mse":
        pytest.skip("the domain is everything")
    assert bound_loss.conjugate(torch.full((N, C), 50.0, dtype=torch.float64).cumsum(1) * draw(3).sign()) == math.inf


TORCH = {
    "mse": functional.mse_loss,
    "huber": functional.huber_loss,
    "binary-cross-entropy": functional.binary_cross_entropy_with_logits,
    "soft-margin": functional.soft_margin_loss,
    "cross-entropy": functional.cross_entropy,
    "poisson": functional.poisson_nll_loss,
}


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("name", sorted(TORCH))
def test_values_are_those_of_torch(name, reduction):
    generator = torch.Generator().manual_seed(4)
    targets, outputs = targets_for(name, generator), draw(5)
    expected = TORCH[name](outputs, targets, reduction=reduction)
    assert LossSpec(name, reduction, 3.0).bind(targets, C).value(outputs) == pytest.approx(
        3 * float(expected), rel=1e-12
    )


def test_soft_targets_of_cross_entropy_are_those_of_torch():
    shares = torch.softmax(draw(1), 1)
    expected = functional.cross_entropy(draw(2), shares)
    assert LossSpec("cross-entropy").bind(shares, C).value(draw(2)) == pytest.approx(float(expected), rel=1e-12)


def test_squared_hinge_is_the_square_of_the_margin_violation():
    targets, outputs = draw(1).sign(), draw(2)
    expected = (1 - targets * outputs).clamp_min(0).square().mean()
    assert LossSpec("squared-hinge").bind(targets, C).value(outputs) == pytest.approx(float(expected), rel=1e-12)


def test_large_logits_keep_full_accuracy():
    loss = LossSpec("binary-cross-entropy", "sum").bind(torch.zeros(1, 1, dtype=torch.float64), 1)
    # log(1 + e^30) = 30 + e^-30 to first order; torch's softplus drops the second term.
    assert loss.value(torch.full((1, 1), 30.0, dtype=torch.float64)) - 30 == pytest.approx(math.exp(-30), rel=0.05)


def test_mask_averages_over_observed_entries():
    targets, outputs = draw(1), draw(2)
    mask = draw(3) > 0
    loss = LossSpec("mse").bind(targets, C, mask=mask)
    assert loss.value(outputs) == pytest.approx(float(((outputs - targets)[mask] ** 2).mean()), rel=1e-12)
    assert loss.conjugate(torch.ones(N, C, dtype=torch.float64)) == math.inf


def test_targets_that_torch_would_broadcast_are_refused():
    with pytest.raises(UsageError, match="needs shape"):
        LossSpec("mse").bind(torch.zeros(N), C)


def test_unknown_losses_are_named():
    with pytest.raises(UsageError, match="known: mse"):
        LossSpec("focal").bind(torch.zeros(N, C), C)
