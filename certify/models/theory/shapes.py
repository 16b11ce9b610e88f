"""Weights that do not chain: found before a model is judged, since everything later takes shapes for granted."""

from __future__ import annotations

from collections.abc import Iterator

from certify.models.graph.layers import Layer, LayerGraph
from certify.models.theory.neurons import POINTWISE
from certify.models.theory.obstacles import Obstacle


def shape_faults(graph: LayerGraph) -> tuple[Obstacle, ...]:
    """What does not fit among the linear layers of a simplified graph, as far as shapes are known."""
    return tuple(_of_tensors(graph)) or tuple(_of_chains(graph))


def _of_tensors(graph: LayerGraph) -> Iterator[Obstacle]:
    where = graph.label
    for layer in _linear(graph):
        weight, bias = graph.weight(layer), graph.bias(layer)
        if weight.ndim != 2:
            yield _fault(f"{where}: '{layer.weight}' has shape {tuple(weight.shape)}.", "Need a matrix.")
        elif bias is not None and bias.shape != weight.shape[:1]:
            found = f"{where}: '{layer.bias}' has shape {tuple(bias.shape)}, '{layer.weight}' {tuple(weight.shape)}."
            yield _fault(found, f"Need a bias of shape ({weight.shape[0]},).")


def _of_chains(graph: LayerGraph) -> Iterator[Obstacle]:
    where, makers = graph.label, _makers(graph)
    first_reader: dict[str, Layer] = {}
    for layer in _linear(graph):
        weight, maker = graph.weight(layer), makers.get(layer.inputs[0])
        if maker is not None and weight.shape[1] != graph.weight(maker).shape[0]:
            made = graph.weight(maker)
            found = f"{where}: '{maker.weight}' has shape {tuple(made.shape)}, '{layer.weight}' {tuple(weight.shape)}."
            yield _fault(found, f"Need {made.shape[0]} columns in the second.")
        if layer.inputs[0] in graph.inputs:
            other = first_reader.setdefault(layer.inputs[0], layer)
            if graph.weight(other).shape[1] != weight.shape[1]:
                found = f"{where}: '{other.weight}' has shape {tuple(graph.weight(other).shape)}, "
                yield _fault(f"{found}'{layer.weight}' {tuple(weight.shape)}.", "Need as many columns in both.")
            if weight.shape[1] == 0:
                yield _fault(f"{where}: the network has no inputs or no outputs.", "Need at least one of each.")
    yield from _of_sums(graph, makers)
    last = makers.get(graph.layers[-1].name) if graph.layers else None
    if last is not None and graph.weight(last).shape[0] == 0:
        yield _fault(f"{where}: the network has no inputs or no outputs.", "Need at least one of each.")


def _of_sums(graph: LayerGraph, makers: dict[str, Layer | None]) -> Iterator[Obstacle]:
    for layer in (layer for layer in graph.layers if layer.op == "add"):
        added = [maker for maker in (makers.get(name) for name in layer.inputs) if maker is not None]
        sizes = {graph.weight(maker).shape[0] for maker in added} - {1}
        if len(sizes) > 1:
            names = ", ".join(f"'{maker.weight}' {tuple(graph.weight(maker).shape)}" for maker in added)
            yield _fault(f"{graph.label}: {layer.title} adds the outputs of {names}.", "Need as many rows in all.")


def _makers(graph: LayerGraph) -> dict[str, Layer | None]:
    """The linear layer whose rows are the features of a value, where that is so."""
    found: dict[str, Layer | None] = {}
    for layer in graph.layers:
        if layer.op == "linear":
            found[layer.name] = layer
        elif layer.op in POINTWISE and len(layer.inputs) == 1:
            found[layer.name] = found.get(layer.inputs[0])
    return found


def _linear(graph: LayerGraph) -> list[Layer]:
    return [layer for layer in graph.layers if layer.op == "linear"]


def _fault(reason: str, remedy: str) -> Obstacle:
    return Obstacle("shape-mismatch", reason, remedy, is_usage=True)
