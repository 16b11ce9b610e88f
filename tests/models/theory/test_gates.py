"""Gated ReLU networks: how users write them, how they split into branches, and how they are written back."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

import certify
from certify.errors import UnsupportedError, UsageError
from certify.models.loading import Problem
from certify.models.lowering.live_module import graph_of_module
from certify.models.model_file import graph_of_file
from certify.models.theory.decays import Decays
from certify.models.theory.decompose import decompose
from certify.models.theory.standing import standing_of
from certify.models.writers import network_parameters, write_network
from certify.problem import ParallelNetwork
from certify.problem.gate import Gate
from tests.models.theory.test_architectures import close, found_kinds

INPUTS = torch.from_numpy(np.random.default_rng(0).normal(size=(12, 3)))
TARGETS = torch.from_numpy(np.random.default_rng(1).normal(size=(12, 2)))
# The first and third unit have one gate.
GATES = torch.tensor([[1.0, -0.5, 0.2], [0.3, 0.1, -1.0], [1.0, -0.5, 0.2], [-0.7, 0.4, 0.5]])


class Gated(nn.Module):
    """Σ_k 1[x·g_k > 0] (x·w_k + b_k) v_k, put together by a function of the module and its inputs."""

    def __init__(self, combine, gates=GATES, *, bias=False):
        super().__init__()
        torch.manual_seed(0)
        self.register_buffer("gates", gates.clone())
        self.register_buffer("shift", torch.linspace(-0.5, 0.5, len(gates)))
        self.hidden, self.head = nn.Linear(3, 4, bias=bias), nn.Linear(4, 2)
        self.combine = combine
        self.double()

    def forward(self, x):
        return self.head(self.combine(self, x))


def product(module, x):
    return (x @ module.gates.T > 0) * module.hidden(x)


WRITTEN = {
    "a product": product,
    "a product the other way around": lambda m, x: m.hidden(x) * (functional.linear(x, m.gates) > 0),
    "a product of numbers": lambda m, x: (functional.linear(x, m.gates) > 0).to(x.dtype) * m.hidden(x),
    "of the type of another": lambda m, x: x.matmul(m.gates.T).gt(0.0).type_as(x) * m.hidden(x),
    "a choice": lambda m, x: torch.where(x @ m.gates.T > 0, m.hidden(x), 0),
    "a choice of zeros": lambda m, x: torch.where(x @ m.gates.T > 0, m.hidden(x), torch.zeros_like(x[:, :1])),
    "a step": lambda m, x: torch.heaviside(x @ m.gates.T, x.new_zeros(())) * m.hidden(x),
}


def problem_of(module, **settings):
    return Problem.from_torch(module, INPUTS, TARGETS, **({"weight_decay": 0.1} | settings))


def gates_of(problem):
    return [branch.neuron.architecture.gate for branch in problem.decomposition.branches]


@pytest.mark.parametrize("name", WRITTEN)
def test_units_of_one_gate_are_a_branch_however_the_gate_is_written(name):
    module = Gated(WRITTEN[name])
    problem = problem_of(module)
    assert problem.source.family == "gated relu"
    assert problem.network.widths == (2, 1, 1)
    assert [gate.weights for gate in gates_of(problem)] == [tuple(row) for row in GATES[[0, 1, 3]].double().tolist()]
    outputs = module(INPUTS).detach()
    close(problem.objective.forward(problem.network), outputs)
    penalty = sum((p.detach() ** 2).sum() for p in module.parameters())
    expected = float(((outputs - TARGETS) ** 2).mean() + 0.05 * penalty)
    assert problem.objective.evaluate(problem.network).objective == pytest.approx(expected, rel=1e-13)


@pytest.mark.parametrize(
    "combine",
    [
        lambda m, x: (functional.linear(x, m.gates, m.shift) > 0) * m.hidden(x),
        lambda m, x: (x @ m.gates.T + m.shift > 0) * m.hidden(x),
    ],
)
def test_gates_and_units_may_have_biases(combine):
    module = Gated(combine, bias=True)
    problem = problem_of(module)
    assert [gate.bias for gate in gates_of(problem)] == module.shift.tolist()
    close(problem.objective.forward(problem.network), module(INPUTS).detach())


def test_one_gate_of_all_units_is_one_branch():
    module = Gated(product, GATES[:1])
    problem = problem_of(module)
    assert problem.network.widths == (4,)
    assert problem.source.parameters == 12 + 8 + 2
    close(problem.objective.forward(problem.network), module(INPUTS).detach())
    wider = _wider(problem.network)
    parameters = network_parameters(problem.graph, problem.decomposition, wider)
    assert parameters["gates"].shape == (1, 3)
    close(replace(problem.graph, parameters=parameters).forward(INPUTS), problem.objective.forward(wider))


@pytest.mark.parametrize(
    "combine",
    [
        lambda m, x: torch.abs((x @ m.gates.T > 0) * m.hidden(x)),
        lambda m, x: (x @ m.gates.T > 0) * torch.abs(m.hidden(x)),
    ],
)
def test_a_gate_may_stand_before_or_after_a_function(combine):
    module = Gated(combine)
    problem = problem_of(module)
    assert problem.source.family == "gated abs"
    assert {branch.neuron.kind.name for branch in problem.decomposition.branches} == {"abs"}
    close(problem.objective.forward(problem.network), module(INPUTS).detach())


def test_a_gate_of_the_outputs_keeps_units_together_and_has_no_bound():
    class OnOutputs(Gated):
        def forward(self, x):
            return (x @ self.gates.T > 0) * self.head(torch.relu(self.hidden(x)))

    module = OnOutputs(product, GATES[:1])
    module.head.bias = None
    with pytest.raises(UnsupportedError, match="no bound on the polar"):
        problem_of(module)


def _wider(network):
    """Each branch with two units more, but the second, which has none."""
    stacks = [tuple(torch.cat([f, 0.3 * f[:1], -f[:1]]) for f in stack) for stack in network.stacks]
    stacks[1:2] = [tuple(factor[:0] for factor in stack) for stack in stacks[1:2]]
    return ParallelNetwork(tuple(stacks), network.coefficients)


def test_a_grown_network_is_written_with_a_copy_of_its_gate_for_each_unit_and_keeps_every_gate(tmp_path):
    problem = problem_of(Gated(product))
    wider, before = _wider(problem.network), problem.decomposition
    expected = problem.objective.forward(wider)
    write_network(tmp_path / "wide.pt2", problem.graph, before, wider, (3,))
    graph = graph_of_file(tmp_path / "wide.pt2", None)
    assert graph.frozen == {"gates"}
    rows, counts = np.unique(graph.parameters["gates"].numpy(), axis=0, return_counts=True)
    expected_rows, _ = np.unique(GATES.double().numpy(), axis=0, return_counts=True)
    assert np.array_equal(rows, expected_rows)
    assert sorted(counts) == [1, 3, 4]
    close(graph.forward(INPUTS), expected)
    program = torch.export.load(tmp_path / "wide.pt2")
    close(program.module()(INPUTS).detach(), expected)
    assert [name for name, _ in program.named_buffers()] == ["gates"]
    again = decompose(graph, before.conventions, before.charge)
    # The unit of zeros that keeps the gate is no part of what is penalized.
    assert again.network.widths == (4, 1, 3)


def test_towers_with_a_gate_each_are_split_and_towers_with_one_gate_have_no_bound():
    class Towers(nn.Module):
        def __init__(self, *, shared):
            super().__init__()
            self.register_buffer("one", GATES[:2].clone())
            self.register_buffer("other", GATES[2:].clone())
            self.left, self.right = nn.Linear(3, 2, bias=False), nn.Linear(3, 2, bias=False)
            self.out, self.end = nn.Linear(2, 2, bias=False), nn.Linear(2, 2)
            self.shared = shared
            self.double()

        def forward(self, x):
            gate = x @ self.one.T > 0
            beside = gate if self.shared else x @ self.other.T > 0
            return self.out(gate * self.left(x)) + self.end(beside * self.right(x))

    problem = problem_of(Towers(shared=False))
    # The first gates of both towers are one.
    assert problem.network.widths == (2, 1, 1)
    wider = _wider(problem.network)
    graph = replace(problem.graph, parameters=network_parameters(problem.graph, problem.decomposition, wider))
    close(graph.forward(INPUTS), problem.objective.forward(wider))
    with pytest.raises(UnsupportedError, match="no bound on the polar"):
        problem_of(Towers(shared=True))


def test_frozen_weights_are_neither_penalized_nor_parameters():
    module = Gated(product)
    found = certify.inspect(module, inputs=INPUTS)
    assert found.penalized == ("hidden.weight", "head.weight", "head.bias")
    assert "gates" not in found.weight_degrees
    assert all("gates" not in row.weights for row in found.subnetworks)
    assert any(note.startswith("neither trained nor penalized") and "'gates'" in note for note in found.notes)
    decays = {"hidden.weight": 0.1, "head.*": 0.1}
    problem = problem_of(module)
    conventions = problem.decomposition.conventions
    whole, each = (decompose(problem.graph, conventions, Decays(rule)) for rule in (0.1, decays))
    assert [b.penalty for b in whole.branches] == [b.penalty for b in each.branches]
    with pytest.raises(UsageError, match="'gates', which matches no parameter"):
        problem_of(module, weight_decay=decays | {"gates": 0.1})


def test_a_gate_that_is_trained_is_told_to_be_a_buffer():
    module = Gated(product)
    gates = module.gates
    del module.gates
    module.gates = nn.Parameter(gates)
    with pytest.raises(UnsupportedError, match="register_buffer") as caught:
        problem_of(module)
    assert caught.value.code == "not-homogeneous"


def test_a_free_bias_behind_a_gate_is_unsupported():
    for settings in ({"biases": {"hidden": "free"}}, {"weight_decay": {"hidden.bias": 0.0, "*": 0.1}}):
        with pytest.raises(UnsupportedError, match="'hidden.weight' is gated with a hidden bias") as caught:
            problem_of(Gated(product, bias=True), **settings)
        assert caught.value.code == "no-bound-yet"


@pytest.mark.parametrize(
    "combine",
    [
        lambda m, x: functional.linear(x, m.hidden.weight, m.shift),
        lambda m, x: functional.linear(x, m.gates, m.extra),
    ],
)
def test_a_layer_that_is_trained_in_part_is_unsupported(combine):
    module = Gated(combine)
    module.extra = nn.Parameter(torch.zeros(4, dtype=torch.float64))
    with pytest.raises(UnsupportedError, match="is not trained"):
        problem_of(module)


def test_a_sample_on_the_border_that_two_sums_put_on_different_sides_is_told_as_such(monkeypatch):
    exact = Gate.opened
    monkeypatch.setattr(Gate, "opened", lambda gate, x: 1 - exact(gate, x))
    with pytest.raises(UnsupportedError, match="border of a gate") as caught:
        problem_of(Gated(product))
    assert caught.value.code == "unsupported-architecture"


class RandomFeatures(nn.Module):
    def __init__(self, function):
        super().__init__()
        torch.manual_seed(0)
        self.register_buffer("frequencies", torch.randn(3, 5))
        self.function, self.head = function, nn.Linear(5, 2, bias=False)
        self.double()

    def forward(self, x):
        return self.head(self.function(x @ self.frequencies))


@pytest.mark.parametrize("function", [torch.cos, torch.tanh, torch.relu])
def test_random_features_are_a_single_layer_of_a_head(function):
    module = RandomFeatures(function)
    with pytest.raises(UnsupportedError, match="--scope head"):
        problem_of(module)
    features = function(INPUTS @ module.frequencies)
    # Ridge regression: Φᵀ(ΦC − Y)·2/24 + 0.1 C = 0.
    best = torch.linalg.solve(features.T @ features / 12 + 0.1 * torch.eye(5), features.T @ TARGETS / 12)
    module.head.weight.data = best.T.contiguous()
    result = certify.check(problem_of(module, scope="head"))
    assert result.verdict == "certified"
    expected = float(((features @ best - TARGETS) ** 2).mean() + 0.05 * (best**2).sum())
    assert result.objective == pytest.approx(expected, rel=1e-12)
    assert result.lower_bound == pytest.approx(expected, rel=1e-6)


def test_a_frozen_layer_before_or_after_trained_ones_is_no_subnetwork_with_a_bound():
    class Frozen(RandomFeatures):
        def __init__(self, place):
            super().__init__(torch.relu)
            self.inner, self.place = nn.Linear(5, 5, bias=False).double(), place
            self.register_buffer("mixing", torch.randn(2, 2, dtype=torch.float64))

        def forward(self, x):
            before = x @ self.frequencies if self.place == "before" else x.repeat(1, 2)[:, :5]
            outputs = self.head(torch.relu(self.inner(before)))
            return outputs if self.place == "before" else outputs @ self.mixing

    for place in ("before", "after"):
        graph = certify.inspect(Frozen(place), inputs=INPUTS)
        assert graph.problems, place


def test_batch_normalization_is_not_folded_into_frozen_weights():
    class Normalized(Gated):
        def __init__(self):
            super().__init__(product)
            self.norm = nn.BatchNorm1d(4).double()

        def forward(self, x):
            return self.head((self.norm(x @ self.gates.T) > 0) * self.hidden(x))

    standing = standing_of(graph_of_module(Normalized(), None, INPUTS))
    assert standing.obstacles[0].code == "not-homogeneous"
    assert found_kinds(standing) == ()
