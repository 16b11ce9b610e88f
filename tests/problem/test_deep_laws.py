"""Laws of subnetworks of three weights and more, and their outputs against modules of torch."""

import itertools
import math

import pytest
import torch
from torch import nn

from certify.problem import Deep
from certify.problem.architecture import Architecture, AveragePool, Convolution, Dense, Middle
from certify.problem.kinds import LeakyReLU, Linear, ReLU

N, C = 5, 2


def drawn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def convolution(kernel, stride=1, padding=0):
    return Convolution((kernel,), (stride,), (padding,), (1,))


HALF = AveragePool((2,), (1,), (0,), True)
# Architecture, shape of a sample, kinds of the hidden layers, channels, and the same of torch.
NETWORKS = {
    "three dense": (
        Architecture(Dense(), Dense(), middle=(Middle((), Dense()),)),
        (3,),
        (ReLU(), LeakyReLU(0.2)),
        (4, 2),
        [nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2), nn.LeakyReLU(0.2), nn.Linear(2, C)],
    ),
    "four dense": (
        Architecture(Dense(), Dense(), middle=(Middle((), Dense()), Middle((), Dense()))),
        (2,),
        (LeakyReLU(-1.0), Linear(), ReLU()),
        (2, 3, 1),
        [nn.Linear(2, 2), nn.LeakyReLU(-1.0), nn.Linear(2, 3), nn.Linear(3, 1), nn.ReLU(), nn.Linear(1, C)],
    ),
    "convolutions": (
        Architecture(
            convolution(2, padding=1), Dense(), middle=(Middle((HALF,), convolution(3, 2, 1)),), between=(HALF,)
        ),
        (2, 6),
        (ReLU(), ReLU()),
        (3, 2),
        [
            *(nn.Conv1d(2, 3, 2, padding=1), nn.ReLU(), nn.AvgPool1d(2, 1), nn.Conv1d(3, 2, 3, 2, 1), nn.ReLU()),
            *(nn.AvgPool1d(2, 1), nn.Flatten(), nn.Linear(4, C)),
        ],
    ),
    "averages, then dense": (
        Architecture(convolution(3), Dense(), middle=(Middle((HALF,), Dense()),)),
        (1, 6),
        (ReLU(), LeakyReLU(0.2)),
        (2, 3),
        [
            *(nn.Conv1d(1, 2, 3), nn.ReLU(), nn.AvgPool1d(2, 1), nn.Flatten(), nn.Linear(6, 3)),
            *(nn.LeakyReLU(0.2), nn.Linear(3, C)),
        ],
    ),
}


@pytest.fixture(params=NETWORKS)
def network(request):
    """Kind, view, samples and layers of torch."""
    architecture, shape, hidden, channels, layers = NETWORKS[request.param]
    samples = drawn(N, *shape)
    view = architecture.on(shape).view(samples.flatten(1), None, False)
    return Deep(hidden, channels), view, samples, layers


def stack_of(kind, view, width=3, seed=1):
    return tuple(drawn(width, size, seed=seed + place) for place, size in enumerate(kind.sizes(view, C)))


def of_torch(samples, layers, factors, unit):
    """The output of one subnetwork, its weights in place of those of the layers."""
    values, weights = samples, iter(factors)
    for layer in layers:
        if not isinstance(layer, nn.Linear | nn.Conv1d):
            values = layer(values)
            continue
        weight = next(weights)[unit].reshape(layer.weight.shape)
        if isinstance(layer, nn.Conv1d):
            values = nn.functional.conv1d(values, weight, None, layer.stride, layer.padding)
        else:
            values = values @ weight.T
    return values


def test_outputs_are_those_of_torch(network):
    kind, view, samples, layers = network
    factors = stack_of(kind, view)
    expected = torch.stack([of_torch(samples, layers, factors, unit) for unit in range(3)])
    assert torch.allclose(kind.outputs(view, factors), expected, rtol=1e-12, atol=1e-12)
    assert torch.allclose(kind.forward(view, factors), expected.sum(0), rtol=1e-12, atol=1e-12)


def test_sizes_are_those_of_the_weights_of_torch(network):
    kind, view, _, layers = network
    assert kind.sizes(view, C) == tuple(layer.weight.numel() for layer in layers if hasattr(layer, "weight"))


def test_outputs_are_homogeneous_of_degree_one_in_every_weight(network):
    kind, view, *_ = network
    factors = stack_of(kind, view)
    base = kind.forward(view, factors)
    for scales in itertools.product((0.5, 3.0), repeat=len(factors)):
        scaled = kind.forward(view, tuple(a * f for a, f in zip(scales, factors, strict=True)))
        assert torch.allclose(scaled, math.prod(scales) * base, rtol=1e-12, atol=1e-12)


def test_pairing_is_the_inner_product_with_the_outputs(network):
    kind, view, *_ = network
    factors, dual = stack_of(kind, view), drawn(N, C, seed=9)
    expected = torch.einsum("rnc,nc->r", kind.outputs(view, factors), dual)
    assert torch.allclose(kind.pairing(view, dual, factors), expected, rtol=1e-12, atol=1e-12)


def test_magnitudes_bound_outputs(network):
    kind, view, *_ = network
    factors = stack_of(kind, view)
    assert bool((kind.forward(view, factors).abs() <= kind.magnitudes(view, factors) * (1 + 1e-12)).all())


def test_no_subnetwork_gives_no_output(network):
    kind, view, *_ = network
    blank = kind.blank(view, C)
    assert [f.shape for f in blank] == [(0, size) for size in kind.sizes(view, C)]
    assert kind.forward(view, blank).shape == (N, C)
    assert not bool(kind.forward(view, blank).any())
    assert kind.outputs(view, blank).shape == (0, N, C)


def test_outputs_of_many_subnetworks_span_no_more_than_is_said(network):
    kind, view, *_ = network
    pieces = kind.outputs(view, stack_of(kind, view, width=60)).flatten(1)
    assert int(torch.linalg.matrix_rank(pieces, rtol=1e-9)) <= kind.span_upper(view, C)
