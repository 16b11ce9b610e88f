"""Layers as people write them: open slices, Python's sum, means of one axis, biases that places share."""

from dataclasses import replace

import pytest
import torch
from torch import nn

import certify
from certify.models.loading import Problem
from certify.models.theory.standing import standing_of
from certify.problem.gate import Gate
from tests.models.traced_graph import traced_graph

X = torch.linspace(-1.0, 1.0, 24, dtype=torch.float64).reshape(8, 3)


def columns(layout):
    return [neuron.architecture.select.columns for neuron in layout.neurons]


class Of(nn.Module):
    """A module of one function and its layers."""

    def __init__(self, function, *layers):
        super().__init__()
        self.layers = nn.ModuleList(layers).double()
        self.function = function

    def forward(self, x):
        return self.function(self.layers, x)


def two_layers(d, c=1):
    return nn.Sequential(nn.Linear(d, 2), nn.ReLU(), nn.Linear(2, c, bias=False))


@pytest.mark.parametrize("end", [None, 3, 10])
def test_a_slice_that_ends_with_the_columns_or_beyond_reads_them(end):
    module = Of(lambda layers, x: layers[0](x[:, 1:end]), two_layers(2))
    assert columns(standing_of(traced_graph(module, X)).layout) == [(1, 2)]
    problem = Problem.from_torch(module, X, X[:, :1], weight_decay=0.1)
    expected = module(X).detach()
    assert float((problem.objective.forward(problem.network) - expected).abs().max()) <= 1e-12


@pytest.mark.parametrize("window", [slice(-2, None), slice(None, -1)])
def test_a_slice_counted_from_the_end_is_left_without_a_bound(window):
    standing = standing_of(traced_graph(Of(lambda layers, x: layers[0](x[:, window]), two_layers(2)), X))
    assert [obstacle.code for obstacle in standing.obstacles] == ["no-bound-yet"]


def test_the_sum_of_a_generator_is_a_sum_of_branches():
    module = Of(lambda layers, x: sum(f(x[:, i : i + 1]) for i, f in enumerate(layers)), *map(two_layers, (1, 1, 1)))
    problem = Problem.from_torch(module, X, X[:, :1], weight_decay=0.1)
    assert len(problem.objective.branches) == 3
    assert float((problem.objective.forward(problem.network) - module(X).detach()).abs().max()) <= 1e-12


def test_a_mean_of_one_axis_of_an_image_is_not_taken_for_one_of_both():
    layers = nn.Conv2d(1, 2, 2, bias=False), nn.Linear(2 * 3, 1, bias=False)
    module = Of(lambda layers, x: layers[1](layers[0](x).relu().mean(2, keepdim=True).flatten(1)), *layers)
    with pytest.raises(certify.UnsupportedError, match="no bound"):
        Problem.from_torch(module, torch.ones(5, 1, 4, 4), torch.ones(5), weight_decay=0.1)


def test_a_bias_that_several_places_share_is_refused_in_words():
    inputs = torch.ones(5, 2, 6).double()
    layers = nn.Conv1d(2, 3, 3, bias=False), nn.Conv1d(3, 1, 2)
    module = Of(lambda layers, x: layers[1](layers[0](x).relu()).flatten(1), *layers)
    with pytest.raises(certify.UnsupportedError, match="share a bias"):
        Problem.from_torch(module, inputs, torch.ones(5, 3), weight_decay=0.1)


def test_a_gate_decides_by_exact_arithmetic_as_the_checker_does():
    # 0.1 + 0.2 rounds up to more than 0.3, of which floats make 5.6e-17; as binary64 numbers the sum is 2.8e-17.
    samples = torch.tensor([[1.0, 1.0, 1.0], [0.5, -0.5, 0.0], [0.0, 0.0, 1.0]], dtype=torch.float64)
    gate = Gate((0.1, 0.2, -0.3), 0.0)
    assert gate.opened(samples)[:, 0].tolist() == [1.0, 0.0, 0.0]
    tiny = replace(gate, weights=(1.0, 2.0**-60, -1.0))
    assert tiny.opened(samples)[:, 0].tolist() == [1.0, 1.0, 0.0]
