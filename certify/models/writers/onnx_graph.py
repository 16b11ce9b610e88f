"""A graph of linear layers, ReLU, squares and sums as an ONNX model in float64, with a free number of samples."""

from __future__ import annotations

from typing import TYPE_CHECKING

from certify.models.graph.layers import Layer, LayerGraph

if TYPE_CHECKING:
    from onnx import NodeProto

# Old enough for every runtime of the last years; the operators below are the same in later versions.
OPSET, IR_VERSION = 17, 8
_POINTWISE = {"relu": "Relu", "square": "Mul", "add": "Add"}


def onnx_bytes(graph: LayerGraph) -> bytes:
    """The model; parameters keep their names, the graph's input and output those that the source gave them.

    Args:
        graph: layers `linear`, `relu`, `square` and `add` on one input (n, d).
    """
    from onnx import TensorProto, helper, numpy_helper  # noqa: PLC0415

    names = _value_names(graph)
    nodes = [_node(layer, graph, names) for layer in graph.layers]
    initializers = [
        numpy_helper.from_array(tensor.cpu().numpy(), graph.prefix + name) for name, tensor in graph.parameters.items()
    ]
    linear = [graph.weight(layer) for layer in graph.layers if layer.op == "linear"]
    read, returned = names[graph.inputs[0]], names[graph.layers[-1].name]
    body = helper.make_graph(
        nodes,
        "network",
        [helper.make_tensor_value_info(read, TensorProto.DOUBLE, ["samples", linear[0].shape[1]])],
        [helper.make_tensor_value_info(returned, TensorProto.DOUBLE, ["samples", len(linear[-1])])],
        initializers,
    )
    opset = helper.make_opsetid("", OPSET)
    model = helper.make_model(body, opset_imports=[opset], ir_version=IR_VERSION, producer_name="certify")
    return bytes(model.SerializeToString())


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


def _node(layer: Layer, graph: LayerGraph, names: dict[str, str]) -> NodeProto:
    from onnx import helper  # noqa: PLC0415

    inputs, output = [names[name] for name in layer.inputs], [names[layer.name]]
    if layer.op == "linear":
        held = [graph.prefix + layer.parameters[role] for role in ("weight", "bias") if role in layer.parameters]
        return helper.make_node("Gemm", [*inputs, *held], output, layer.name, transB=1)
    read = inputs * 2 if layer.op == "square" else inputs
    return helper.make_node(_POINTWISE[layer.op], read, output, layer.name)
