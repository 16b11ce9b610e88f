"""Laws that every kind of subnetwork and every penalty obeys; a kind joins by its line in `KINDS`."""

import itertools

import pytest
import torch

from certify.errors import UnsupportedError
from certify.growth.balance import balanced
from certify.problem import (
    KINDS,
    Branch,
    ConvexPart,
    LossSpec,
    Objective,
    ParallelNetwork,
    ProductOfNorms,
    View,
    WeightDecay,
    kind_of,
)
from certify.problem.architecture import Architecture, AveragePool, AverageTo, Convolution, Dense
from certify.problem.kinds import LeakyReLU, Quadratic
from certify.problem.readout import Readout

N, D, C, R = 6, 3, 2, 4
MORE = (LeakyReLU(-0.3), LeakyReLU(1.7))
WINDOW = Convolution((2,), (1,), (1,), (1,))
ARCHITECTURES = {
    "dense": (Architecture(Dense(), Dense()), (D,)),
    "pooled": (Architecture(WINDOW, Dense(), between=(AverageTo((1,)),)), (1, 5)),
    "windows": (Architecture(WINDOW, Dense(), between=(AveragePool((2,), (2,), (0,), True),)), (2, 5)),
    "convolution": (Architecture(WINDOW, Convolution((2,), (1,), (0,), (1,)), after=(AverageTo((1,)),)), (1, 4)),
    "places": (Architecture(WINDOW, Convolution((5,), (1,), (0,), (1,))), (1, 5)),
}


def drawn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.fixture(params=[*(kind() for kind in KINDS), *MORE], ids=str)
def kind(request):
    return request.param


@pytest.fixture(params=ARCHITECTURES)
def view(request):
    architecture, shape = ARCHITECTURES[request.param]
    geometry = architecture.on(shape)
    samples = drawn(N, *shape).flatten(1)
    return geometry.view(samples, 1.0, False)


def outputs_of(view):
    return C if view.readout.weights is None else C * view.readout.weights.shape[0]


def stack_of(kind, view, width=R, seed=1):
    sizes = kind.sizes(view, outputs_of(view))
    return tuple(drawn(width, size, seed=seed + place) for place, size in enumerate(sizes))


def test_a_kind_is_told_by_its_operations(kind):
    assert kind_of(kind.operations) == kind


def test_outputs_are_positively_homogeneous_of_the_stated_degrees(kind, view):
    factors = stack_of(kind, view)
    base = kind.forward(view, factors)
    for scales in itertools.product((0.5, 3.0), repeat=2):
        scaled = kind.forward(view, tuple(a * f for a, f in zip(scales, factors, strict=True)))
        power = scales[0] ** kind.degrees[0] * scales[1] ** kind.degrees[1]
        assert torch.allclose(scaled, power * base, rtol=1e-12)


def test_pairing_outputs_and_forward_agree(kind, view):
    factors, dual = stack_of(kind, view), drawn(N, outputs_of(view), seed=3)
    pieces = kind.outputs(view, factors)
    assert torch.allclose(pieces.sum(0), kind.forward(view, factors), rtol=1e-12)
    assert torch.allclose(torch.einsum("rnc,nc->r", pieces, dual), kind.pairing(view, dual, factors), rtol=1e-12)


def test_magnitudes_bound_outputs(kind, view):
    factors = stack_of(kind, view)
    assert bool((kind.forward(view, factors).abs() <= kind.magnitudes(view, factors) * (1 + 1e-12)).all())


def test_outputs_of_many_subnetworks_span_no_more_than_is_said(kind, view):
    pieces = kind.outputs(view, stack_of(kind, view, width=200)).flatten(1)
    assert int(torch.linalg.matrix_rank(pieces, rtol=1e-9)) <= kind.span_upper(view, outputs_of(view))


def objective_of(kind, view, penalty):
    c = outputs_of(view)
    convex = ConvexPart(torch.zeros(N, 0, dtype=torch.float64), torch.zeros(0, dtype=torch.float64))
    return Objective((Branch(kind, view, penalty),), convex, LossSpec("mse").bind(drawn(N, c, seed=4), c))


@pytest.mark.parametrize("strengths", [(0.3, 0.3), (0.2, 5.0)])
def test_balancing_keeps_outputs_and_reaches_the_gauge_of_weight_decay(kind, view, strengths):
    objective = objective_of(kind, view, WeightDecay(strengths))
    (branch,), stack = objective.branches, stack_of(kind, view)
    network = ParallelNetwork(((stack[0], 5 * stack[1]),), torch.zeros(0, outputs_of(view), dtype=torch.float64))
    even = balanced(objective, network)
    assert torch.allclose(objective.forward(even), objective.forward(network), rtol=1e-12)
    gauge = branch.penalty.gauge(kind)
    least = gauge.coefficient * branch.products(network.stacks[0]) ** gauge.exponent
    assert objective.evaluate(even).penalty == pytest.approx(float(least.sum()), rel=1e-12)
    assert objective.evaluate(even).penalty < objective.evaluate(network).penalty


@pytest.mark.parametrize("strengths", [(0.3, 0.3), (0.2, 5.0)])
def test_no_rescaling_beats_the_gauge(kind, strengths):
    branch = Branch(kind, View(drawn(N, D)), WeightDecay(strengths))
    gauge, (first, second) = branch.penalty.gauge(kind), (drawn(1, D, seed=1), drawn(1, C, seed=2))
    for factor in torch.logspace(-2, 2, 200, dtype=torch.float64):
        moved = (first * factor, second / factor ** kind.degrees[0])
        least = gauge.coefficient * float(branch.products(moved).sum()) ** gauge.exponent
        assert branch.penalty_of(moved) >= least * (1 - 1e-12)


def test_two_decays_are_their_geometric_mean():
    branch = Branch(LeakyReLU(), View(drawn(N, D)), WeightDecay((0.2, 0.8)))
    assert branch.strength == pytest.approx(0.4, rel=1e-15)


def test_degree_mismatch_is_refused_with_the_remedy():
    def strength(penalty):
        return Branch(Quadratic(), View(drawn(N, D)), penalty).strength

    with pytest.raises(UnsupportedError, match=r"powers \[2, 1\]"):
        strength(WeightDecay((0.1, 0.1)))
    with pytest.raises(UnsupportedError, match=r"set powers: \[2, 1\]"):
        strength(ProductOfNorms(0.1, (1, 1)))
    assert strength(ProductOfNorms(0.1, (2, 1))) == 0.1


def test_the_readout_of_a_bilinear_form_differs_from_sample_to_sample():
    inputs = drawn(N, D)
    view, factors = View(inputs, 0, Readout(inputs[:, None, None, :])), (drawn(R, D, seed=1), drawn(R, D, seed=2))
    expected = ((inputs @ factors[0].T) * (inputs @ factors[1].T)).sum(1, keepdim=True)
    assert torch.allclose(kind_of(()).forward(view, factors), expected, rtol=1e-12)
