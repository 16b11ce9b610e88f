"""Two linear layers with an activation between them, and perhaps a linear layer beside them, found in a graph."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from certify.models.graph.layers import Layer, LayerGraph

# What may stand between the two linear layers, and the family that it makes.
FAMILIES = {(): "linear", ("relu",): "relu", ("square",): "quadratic"}
# What stands there where a single linear layer is written as the skip beside no hidden units, see `single_layer`.
NO_UNITS = {("no_units",): "single-layer"}


@final
@dataclass(frozen=True, slots=True)
class TwoLayerForm:
    """The parts of a two-layer network.

    Attributes:
        family: name of the subnetwork kind.
        first: the layer that reads the inputs.
        second: the layer that reads the hidden values.
        skip: the linear layer beside them, or None.
    """

    family: str
    first: Layer
    second: Layer
    skip: Layer | None

    @property
    def weighted(self) -> tuple[Layer, ...]:
        """The layers with weights, the skip last."""
        return (self.first, self.second, *((self.skip,) if self.skip else ()))


def two_layer_form(graph: LayerGraph) -> TwoLayerForm | None:
    """The parts, or None if the graph is something else."""
    if not graph.layers or len(graph.inputs) != 1:
        return None
    layers, skip, start = graph.layers, None, graph.inputs[0]
    if layers[-1].op == "add" and len(layers[-1].inputs) == 2:
        main, skip = (graph.layer(name) for name in layers[-1].inputs)
        layers = tuple(layer for layer in layers[:-1] if layer is not skip)
        if skip is None or skip.op != "linear" or skip.inputs != (start,) or main is not layers[-1]:
            return None
    family = (FAMILIES | NO_UNITS).get(tuple(layer.op for layer in layers[1:-1]))
    if len(layers) < 2 or family is None or {layers[0].op, layers[-1].op} != {"linear"} or not _is_chain(layers, start):
        return None
    return TwoLayerForm(family, layers[0], layers[-1], skip)


def _is_chain(layers: tuple[Layer, ...], start: str) -> bool:
    read = (start, *(layer.name for layer in layers[:-1]))
    return all(layer.inputs == (name,) for layer, name in zip(layers, read, strict=True))
