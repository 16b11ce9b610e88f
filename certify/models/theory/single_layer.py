"""A single linear layer as a two-layer network without hidden units, and the layer as the linear skip beside them."""

from __future__ import annotations

from dataclasses import replace

from certify.models.graph.layers import Layer, LayerGraph
from certify.models.theory.two_layer import TwoLayerForm


def as_single_layer(graph: LayerGraph) -> LayerGraph | None:
    """The graph rewritten, None if it is something else.

    Args:
        graph: simplified, for inputs (n, d).
    """
    if len(graph.layers) != 1 or len(graph.inputs) != 1 or graph.layers[0].op != "linear":
        return None
    layer = graph.layers[0]
    weight = graph.weight(layer)
    if weight.ndim != 2:
        return None
    names = [f"{layer.name} (no hidden units, {part})" for part in ("in", "none", "out")]
    bias = {} if layer.bias is None else {"bias": layer.bias}
    layers = (
        Layer("linear", names[0], graph.inputs, {"weight": names[0]}),
        Layer("no_units", names[1], (names[0],)),
        Layer("linear", names[2], (names[1],), {"weight": names[2], **bias}),
        replace(layer, parameters={"weight": layer.parameters["weight"]}),
        Layer("add", f"{layer.name} (sum)", (names[2], layer.name)),
    )
    blank = {names[0]: weight.new_zeros(0, weight.shape[1]), names[2]: weight.new_zeros(weight.shape[0], 0)}
    return replace(graph, layers=layers, parameters={**graph.parameters, **blank})


def without_no_units(graph: LayerGraph, form: TwoLayerForm) -> LayerGraph:
    """The single linear layer that `as_single_layer` rewrote; any other graph as it is."""
    if form.family != "single-layer" or form.skip is None:
        return graph
    bias = {} if form.second.bias is None else {"bias": form.second.bias}
    return replace(graph, layers=(replace(form.skip, parameters={**form.skip.parameters, **bias}),))
