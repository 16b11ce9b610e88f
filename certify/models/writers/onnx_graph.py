"""A graph of layers as an ONNX model in float64, with a free number of samples."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from certify.errors import UsageError
from certify.models.graph.layers import LayerGraph
from certify.models.graph.ranks import ranks_of
from certify.models.writers.onnx_nodes import NamedLayer, onnx_nodes

if TYPE_CHECKING:
    from onnx import NodeProto

# Old enough for every runtime of the last years; the operators of the table are the same in later versions, but for
# the axes of means.
OPSET, IR_VERSION = 17, 8


def onnx_bytes(graph: LayerGraph, shape: Sequence[int]) -> bytes:
    """The model; parameters keep their names, the graph's input and output those that the source gave them.

    Args:
        graph: layers on one input.
        shape: of one sample.

    Raises:
        UsageError: a layer that is not written to ONNX files.
    """
    from onnx import TensorProto, helper, numpy_helper  # noqa: PLC0415

    names, last = _value_names(graph), graph.layers[-1].name
    outputs = ["outputs"] * (ranks_of(graph)[last] - 1)
    body = helper.make_graph(
        _nodes(graph, names),
        "network",
        [helper.make_tensor_value_info(names[graph.inputs[0]], TensorProto.DOUBLE, ["samples", *shape])],
        [helper.make_tensor_value_info(names[last], TensorProto.DOUBLE, ["samples", *outputs])],
        [numpy_helper.from_array(tensor.cpu().numpy(), graph.prefix + n) for n, tensor in graph.parameters.items()],
    )
    opset = helper.make_opsetid("", OPSET)
    model = helper.make_model(body, opset_imports=[opset], ir_version=IR_VERSION, producer_name="certify")
    return bytes(model.SerializeToString())


def require_onnx_layers(graph: LayerGraph) -> None:
    """Check, before long work, that the layers of a graph are written to ONNX files.

    Raises:
        UsageError: one is not.
    """
    _nodes(graph, _value_names(graph))


def _value_names(graph: LayerGraph) -> dict[str, str]:
    """What each layer's output, and the input, is called in the file: no two alike, and none like a parameter."""
    taken = {graph.prefix + name for name in graph.parameters}
    names: dict[str, str] = {}
    ends = {graph.inputs[0]: graph.ends.input, graph.layers[-1].name: graph.ends.output}
    inner = {layer.name: layer.name for layer in graph.layers if layer.name not in ends}
    for key, wished in {**ends, **inner}.items():
        name = wished
        while name in taken:
            name += "_value"
        names[key] = name
        taken.add(name)
    return names


def _nodes(graph: LayerGraph, names: dict[str, str]) -> list[NodeProto]:
    ranks, nodes, mark = ranks_of(graph), [], "#"
    while any(mark in name for name in (*names.values(), *graph.parameters, graph.prefix)):
        mark += "#"
    for layer in graph.layers:
        held = [graph.prefix + layer.parameters[role] for role in ("weight", "bias") if role in layer.parameters]
        read = (*(names[name] for name in layer.inputs), *held)
        found = onnx_nodes(NamedLayer(layer, ranks[layer.inputs[0]], read, names[layer.name], mark))
        if found is None:
            raise UsageError(
                f"{graph.label}: {layer.title} is {layer.op}, which with these settings is not written to ONNX files; "
                "name a .pt2 file",
                code="unwritable",
            )
        nodes += found
    return nodes
