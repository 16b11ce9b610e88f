"""Laws that every subnetwork kind and penalty obeys."""

import itertools

import pytest
import torch

from certify.errors import UnsupportedError
from certify.growth.balance import balanced
from certify.problem import SUBNETWORKS, ConvexPart, LossSpec, Objective, ParallelNetwork, ProductOfNorms, WeightDecay

N, D, C, R = 6, 3, 2, 4


def drawn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.fixture(params=sorted(SUBNETWORKS))
def kind(request):
    return SUBNETWORKS[request.param]


def test_outputs_are_positively_homogeneous_of_the_stated_degrees(kind):
    inputs, factors = drawn(N, D), (drawn(R, D, seed=1), drawn(R, C, seed=2))
    base = kind.forward(inputs, factors)
    for scales in itertools.product((0.5, 3.0), repeat=2):
        scaled = kind.forward(inputs, tuple(a * f for a, f in zip(scales, factors, strict=True)))
        power = scales[0] ** kind.degrees[0] * scales[1] ** kind.degrees[1]
        assert torch.allclose(scaled, power * base, rtol=1e-12)


def test_pairing_outputs_and_forward_agree(kind):
    inputs, factors, dual = drawn(N, D), (drawn(R, D, seed=1), drawn(R, C, seed=2)), drawn(N, C, seed=3)
    pieces = kind.outputs(inputs, factors)
    assert torch.allclose(pieces.sum(0), kind.forward(inputs, factors), rtol=1e-12)
    assert torch.allclose(torch.einsum("rnc,nc->r", pieces, dual), kind.pairing(inputs, dual, factors), rtol=1e-12)


def objective_of(kind, penalty):
    convex = ConvexPart(torch.zeros(N, 0, dtype=torch.float64), torch.zeros(0, dtype=torch.float64))
    return Objective(kind, drawn(N, D), 0, convex, LossSpec("mse").bind(drawn(N, C, seed=4), C), penalty)


def test_balancing_keeps_outputs_and_reaches_the_gauge_of_weight_decay(kind):
    objective = objective_of(kind, WeightDecay(0.3))
    network = ParallelNetwork((drawn(R, D, seed=1), 5 * drawn(R, C, seed=2)), torch.zeros(0, C, dtype=torch.float64))
    even = balanced(objective, network)
    assert torch.allclose(objective.forward(even), objective.forward(network), rtol=1e-12)
    gauge = objective.penalty.gauge(kind)
    least = gauge.coefficient * objective.matched_products(network) ** gauge.exponent
    assert objective.evaluate(even).penalty == pytest.approx(float(least.sum()), rel=1e-12)
    assert objective.evaluate(even).penalty < objective.evaluate(network).penalty


def test_no_rescaling_beats_the_gauge(kind):
    objective = objective_of(kind, WeightDecay(0.3))
    gauge, network = objective.penalty.gauge(kind), (drawn(1, D, seed=1), drawn(1, C, seed=2))
    for factor in torch.logspace(-2, 2, 200, dtype=torch.float64):
        scaled = (network[0] * factor, network[1] / factor ** kind.degrees[0])
        moved = ParallelNetwork(scaled, torch.zeros(0, C, dtype=torch.float64))
        least = gauge.coefficient * float(objective.matched_products(moved).sum()) ** gauge.exponent
        assert objective.evaluate(moved).penalty >= least * (1 - 1e-12)


def test_degree_mismatch_is_refused_with_the_remedy():
    with pytest.raises(UnsupportedError, match=r"powers \[2, 1\]"):
        _ = objective_of(SUBNETWORKS["quadratic"], WeightDecay(0.1)).strength
    with pytest.raises(UnsupportedError, match=r"set powers: \[2, 1\]"):
        _ = objective_of(SUBNETWORKS["quadratic"], ProductOfNorms(0.1, (1, 1))).strength
    assert objective_of(SUBNETWORKS["quadratic"], ProductOfNorms(0.1, (2, 1))).strength == 0.1
