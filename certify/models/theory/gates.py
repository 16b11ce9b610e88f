"""Gates 1[x·g + b > 0] with g and b frozen, by which a product multiplies channels (Mishkin, Sahiner, Pilanci 2022)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from certify.models.graph.layers import Layer, LayerGraph
from certify.models.graph.simplify import bypassed
from certify.problem.gate import Gate

if TYPE_CHECKING:
    from certify.models.theory.channels import Labels


def labels_with_gates(
    graph: LayerGraph, product: Layer, labels: dict[str, Labels | None], rank: int
) -> dict[str, Labels | None] | None:
    """Labels of a product that keeps channels apart, and of its gates that have one channel for each of them.

    Args:
        graph: simplified.
        product: the layer.
        labels: of what it reads; None for fixed values.
        rank: number of axes of the product.

    Returns:
        None unless all it reads is gates and one value of trained weights.
    """
    trained = [found for name in product.inputs if (found := labels[name]) is not None]
    gates = [gate_layers(graph, name) for name in product.inputs if labels[name] is None]
    if product.op != "mul" or rank != 2 or len(trained) != 1:
        return None
    (channels,) = trained
    own: dict[str, Labels | None] = {product.name: channels}
    for gate in gates:
        count = 0 if gate is None else len(graph.weight(gate[0]))
        if gate is None or count not in (1, len(channels)):
            return None
        own |= dict.fromkeys((layer.name for layer in gate), channels) if count == len(channels) else {}
    return own


def gate_layers(graph: LayerGraph, name: str) -> tuple[Layer, Layer] | None:
    """The linear layer and the step that make a value, if it is a gate of the inputs that one layer reads."""
    step = graph.layer(name)
    linear = graph.layer(step.inputs[0]) if step is not None and step.op == "gt" else None
    if step is None or linear is None or linear.op != "linear" or not graph.is_frozen(linear):
        return None
    alone = all(len(graph.readers(layer.name)) == 1 for layer in (linear, step))
    return (linear, step) if alone and linear.inputs[0] in graph.inputs else None


def without_gate(graph: LayerGraph) -> tuple[Gate | None, LayerGraph]:
    """The only gate of a subnetwork, and its layers without it; None and the layers as they are without one.

    Args:
        graph: layers of one subnetwork; its parameters are stacked, (r, …), and gates are all alike.
    """
    found = [
        (product, gate)
        for product in graph.layers
        if product.op == "mul" and len(product.inputs) == 2
        for name in product.inputs
        if (gate := gate_layers(graph, name)) is not None
    ]
    if len(found) != 1:
        return None, graph
    product, (linear, step) = found[0]
    weights, bias = graph.weight(linear)[0], graph.bias(linear)
    if len(weights) != 1:
        return None, graph
    gated = replace(product, inputs=tuple(name for name in product.inputs if name != step.name))
    kept = (layer for layer in graph.layers if layer.name not in (linear.name, step.name))
    rest = tuple(gated if layer.name == product.name else layer for layer in kept)
    value = Gate(tuple(weights[0].tolist()), 0.0 if bias is None else float(bias[0, 0]))
    return value, bypassed(replace(graph, layers=rest), gated)
