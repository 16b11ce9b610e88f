"""Models in the words of tables: inputs (n, d) and outputs (n, c)."""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor

from certify.models.graph.layers import Layer, LayerGraph
from certify.models.graph.simplify import bypassed, simplified
from certify.models.theory.terms import CHANNEL


def plain_graph(graph: LayerGraph) -> LayerGraph:
    """The graph simplified, and on tables."""
    return on_tables(simplified(graph))


def on_tables(graph: LayerGraph) -> LayerGraph:
    """The graph for inputs (n, d) and outputs (n, c), which flattening the one or dropping an axis of the other is not.

    Args:
        graph: simplified.
    """
    while flattening := next((layer for layer in graph.layers if _flattens_inputs(graph, layer)), None):
        graph = _as_table(replace(graph, ranks={**graph.ranks, flattening.inputs[0]: 2}), flattening)
    last = graph.layers[-1] if graph.layers else None
    before = None if last is None else graph.layer(last.inputs[0])
    single = before is not None and before.op == "linear" and graph.weight(before).shape[:1] == (1,)
    return _as_table(graph, last) if last is not None and single and _drops_an_axis(last) else graph


def _drops_an_axis(layer: Layer) -> bool:
    if layer.op == "squeeze":
        return layer.axes == (CHANNEL,)
    return layer.op == "flatten" and layer.attributes.get("start_dim", 0) == 0


def _as_table(graph: LayerGraph, reshaping: Layer) -> LayerGraph:
    return bypassed(replace(graph, ends=replace(graph.ends, reshaped=True)), reshaping)


def _flattens_inputs(graph: LayerGraph, layer: Layer) -> bool:
    """Whether a layer makes a table of the inputs for linear layers, or another such, as all that read them do."""
    if layer.op != "flatten" or layer.inputs[0] not in graph.inputs or layer.attributes.get("start_dim", 0) != 1:
        return False
    readers, beside = graph.readers(layer.name), graph.readers(layer.inputs[0])
    alone = graph.ranks.get(layer.inputs[0]) == 2 or all(reader.op == "flatten" for reader in beside)
    return alone and bool(readers) and all(reader.op in ("linear", "tied", "flatten") for reader in readers)


def with_units(graph: LayerGraph) -> tuple[LayerGraph, frozenset[str]]:
    """The graph with one unit of zeros where a weight reads none, and the names of the parameters so changed."""
    units: dict[str, Tensor] = {}
    for layer in graph.layers:
        product = layer.op == "mul" and not any(x.weight and layer.name in x.inputs for x in graph.layers)
        blank = layer.weight is not None and graph.weight(layer).shape[1:2] == (0,)
        if layer.op == "tied" and 0 in graph.weight(layer).shape:
            units |= _tied_unit(graph, layer)
            continue
        if not (product or blank):
            continue
        makers = [maker for name in layer.inputs for maker in _makers(graph, name)]
        if product and any(len(graph.weight(maker)) for maker in makers):
            continue
        if layer.weight is not None:
            tensor = graph.weight(layer)
            trained = sum(not graph.is_frozen(maker) for maker in makers)
            units[layer.weight] = tensor.new_zeros(tensor.shape[0], max(trained, 1), *tensor.shape[2:])
        names = [name for maker in makers for name in maker.parameters.values()]
        units |= {name: graph.parameters[name].new_zeros(1, *graph.parameters[name].shape[1:]) for name in names}
    return replace(graph, parameters={**graph.parameters, **units}), frozenset(units)


def _tied_unit(graph: LayerGraph, layer: Layer) -> dict[str, Tensor]:
    weight, hidden = graph.weight(layer), layer.parameters.get("hidden_bias")
    shape = tuple(extent or 1 for extent in weight.shape)
    bias = {} if hidden is None else {hidden: weight.new_zeros(1)}
    return {str(layer.weight): weight.new_zeros(shape), **bias}


def _makers(graph: LayerGraph, name: str) -> list[Layer]:
    """The layers with weights that a value comes from, through layers without."""
    layer = graph.layer(name)
    if layer is None or layer.weight is not None:
        return [] if layer is None else [layer]
    return [maker for read in layer.inputs for maker in _makers(graph, read)]
