"""Every architecture of the zoo that has a bound, written in each format with layers, and read back."""

from dataclasses import replace

import onnx
import pytest
import torch
from onnx.reference import ReferenceEvaluator

from certify.errors import UsageError
from certify.models.graph.layers import Layer
from certify.models.model_file import graph_of_file
from certify.models.theory.decompose import decompose
from certify.models.theory.standing import standing_of
from certify.models.writers import network_parameters, output_format, write_network
from certify.problem import ParallelNetwork
from tests.models.theory.test_architectures import BOUND, close, found_kinds, kept_units, objective_of
from tests.models.traced_graph import traced_graph
from tests.models.zoo import ZOO

SUFFIXES = ("pt2", "onnx")
# ONNX files do not tell what is frozen.
CASES = [(e, suffix) for e in BOUND for suffix in SUFFIXES if (e.name, suffix) != ("gated-relu", "onnx")]
every_case = pytest.mark.parametrize(("entry", "suffix"), CASES, ids=[f"{e.name}-{suffix}" for e, suffix in CASES])


def same(network, _):
    return network


def wider(network, _):
    return ParallelNetwork(
        tuple(tuple(torch.cat([f, 0.3 * f[:2]]) for f in stack) for stack in network.stacks), network.coefficients
    )


def none(network, objective):
    return ParallelNetwork(objective.empty_stacks(), network.coefficients)


def own_outputs(path, inputs):
    """By the library that owns the format."""
    if path.suffix == ".pt2":
        return torch.export.load(path).module()(inputs).detach()
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    session = ReferenceEvaluator(model)
    return torch.from_numpy(session.run(None, {session.input_names[0]: inputs.numpy()})[0])


def written(entry, path, change):
    """Of a changed network: decomposition and outputs as they were, and the decomposition that is read back."""
    (inputs,) = entry.inputs
    found, objective, network = objective_of(entry)
    changed = change(network, objective)
    write_network(path, found.layout.graph, found, changed, inputs.shape[1:])
    again = decompose(graph_of_file(path, None), found.conventions, found.charge).on(inputs)
    widths = [max(w, kept_units(b)) for w, b in zip(changed.widths, found.branches, strict=True)]
    assert again.network.widths == tuple(widths)
    return found, objective.forward(changed), again


@pytest.mark.parametrize("change", [same, wider])
@every_case
def test_kinds_and_outputs_survive_the_round_trip(entry, suffix, change, tmp_path):
    (inputs,) = entry.inputs
    path = tmp_path / f"model.{suffix}"
    found, outputs, again = written(entry, path, change)
    assert [branch.neuron.kind for branch in again.branches] == [branch.neuron.kind for branch in found.branches]
    geometries = [[b.geometry(tuple(inputs.shape[1:])).architecture for b in x.branches] for x in (found, again)]
    assert geometries[0] == geometries[1]
    if change is same:
        assert found_kinds(standing_of(again.layout.graph)) == entry.expected.kinds
    assert sorted(again.layout.graph.parameters) == sorted(found.layout.graph.parameters)
    assert all(tensor.dtype == torch.float64 for tensor in again.layout.graph.parameters.values())
    close(again.layout.graph.forward(inputs).reshape(outputs.shape), outputs)
    for count in (1, len(inputs)):
        own = own_outputs(path, inputs[:count])
        assert own.dtype == torch.float64
        close(own.reshape(count, -1), outputs[:count])


@every_case
def test_a_network_without_subnetworks_survives_the_round_trip(entry, suffix, tmp_path):
    (inputs,) = entry.inputs
    _, outputs, again = written(entry, tmp_path / f"model.{suffix}", none)
    close(again.layout.graph.forward(inputs).reshape(outputs.shape), outputs)
    close(own_outputs(tmp_path / f"model.{suffix}", inputs).reshape(outputs.shape), outputs)


@pytest.mark.parametrize("slope", [0.01, 0.1, 0.25, -2.0, 1 / 3])
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_slopes_are_written_to_the_last_bit(slope, suffix, tmp_path):
    entry = ZOO["two-layer-leaky-relu"]
    (inputs,) = entry.inputs
    graph = with_layer(traced_graph(entry.module, inputs), 1, attributes={"negative_slope": slope})
    found = decompose(graph, *settings(entry))
    write_network(tmp_path / f"m.{suffix}", graph, found, found.network, inputs.shape[1:])
    again = decompose(graph_of_file(tmp_path / f"m.{suffix}", None), *settings(entry))
    assert [branch.neuron.kind.slope for branch in again.branches] == [slope]
    close(own_outputs(tmp_path / f"m.{suffix}", inputs), graph.forward(inputs))


def settings(entry):
    found, _, _ = objective_of(entry)
    return found.conventions, found.charge


def with_layer(graph, place, **changes):
    layers = list(graph.layers)
    layers[place] = replace(layers[place], **changes)
    return replace(graph, layers=tuple(layers))


@pytest.mark.parametrize(
    ("name", "place", "changes"),
    [
        ("conv-relu-global-average-pool", 2, {"attributes": {"output_size": 2}}),
        ("conv1d-relu-average-pool", 2, {"attributes": {"kernel_size": 2, "ceil_mode": True}}),
        ("conv1d-relu-average-pool", 0, {"attributes": {"padding": "same"}}),
        ("two-layer-relu", 1, {"op": "gelu"}),
        ("gated-relu", 1, {}),
        ("bilinear-form", 3, {"op": "squeeze", "attributes": {}}),
    ],
)
def test_what_onnx_files_do_not_hold_is_refused_before_long_work(name, place, changes, tmp_path):
    entry = ZOO[name]
    graph = with_layer(traced_graph(entry.module, *entry.inputs), place, **changes)
    with pytest.raises(UsageError, match=rf"{graph.layers[place].op}, .*name a \.pt2 file") as caught:
        output_format(tmp_path / "model.onnx", graph)
    assert caught.value.code == "unwritable"
    assert output_format(tmp_path / "model.pt2", graph) == "pt2"


def test_layers_that_rearrange_are_written_as_they_are(tmp_path):
    """Squeezing, unsqueezing, scaling and sums of three, which the zoo does not have in a model with a bound."""
    entry = ZOO["two-layer-relu"]
    (inputs,) = entry.inputs
    graph = traced_graph(entry.module, inputs)
    last, attributes = graph.layers[-1].name, {"dim": 2}
    extra = (
        Layer("unsqueeze", "raised", (last,), {}, attributes),
        Layer("squeeze", "lowered", ("raised",), {}, attributes),
        Layer("scale", "half", ("lowered",), {}, {"factor": 0.1}),
        Layer("add", "total", ("half", last, "lowered")),
        Layer("mul", "product", ("total", "half", last)),
    )
    graph = replace(graph, layers=(*graph.layers, *extra))
    found, _, _ = objective_of(entry)
    parameters = network_parameters(graph, found, found.network)
    assert list(parameters) == list(graph.parameters)
    write_network(tmp_path / "model.onnx", graph, found, found.network, inputs.shape[1:])
    close(own_outputs(tmp_path / "model.onnx", inputs), graph.forward(inputs))
    close(graph_of_file(tmp_path / "model.onnx", None).forward(inputs), graph.forward(inputs))
