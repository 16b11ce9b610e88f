"""The layers of one subnetwork as an architecture of two weights, where they are one.

[slice] → weight → σ → averages → weight → averages,   or the product of two weights of the inputs, summed

A gate of the inputs may multiply any value of it.
"""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass, replace
from typing import Any, final

from certify.models.graph.layers import Layer, LayerGraph
from certify.models.graph.ranks import ranks_of
from certify.models.theory.degrees import HOMOGENEOUS
from certify.models.theory.gates import without_gate
from certify.problem.architecture import (
    Architecture,
    AveragePool,
    AverageTo,
    Between,
    Convolution,
    Dense,
    Select,
    TimesInputs,
    Transposed,
    Weight,
)
from certify.problem.kinds import Kind, Linear, Tied, kind_of

# What may be part of σ, entry by entry.
POINTWISE = (*(op for op in HOMOGENEOUS if "max" not in op), "square", "squared_relu", "scale", "add", "mul")
_WEIGHTS = ("linear", "conv1d", "conv2d")
# Layers that move nothing in the order of positions.
_SILENT = ("flatten", "squeeze", "unsqueeze")


@final
@dataclass(frozen=True, slots=True)
class NeuronLayers:
    """A subnetwork of two factors.

    Attributes:
        kind: what σ makes it.
        architecture: everything else.
        first: name of the first weight.
        bias: of the first bias, or None.
        second: of the second weight; None where that is the first one, transposed.
        gain: factor on the subnetwork, other than 0; it counts in the second factor, and its penalty is less for it.
    """

    kind: Kind
    architecture: Architecture
    first: str
    bias: str | None
    second: str | None
    gain: float = 1.0


def neuron_layers(graph: LayerGraph) -> NeuronLayers | None:
    """The subnetwork, None if it is something else.

    Args:
        graph: layers of one subnetwork; its parameters are stacked, (r, …).
    """
    if len(graph.inputs) != 1:
        return None
    gate, plain = without_gate(graph)
    found = _tied(plain) or _bilinear(plain) or _chain(plain)
    if found is None or gate is None:
        return found
    served = found.architecture.first == Dense() and not found.architecture.between
    return replace(found, architecture=replace(found.architecture, gate=gate)) if served else None


def _tied(graph: LayerGraph) -> NeuronLayers | None:
    """(x·u + b) u of a table."""
    layer = graph.layers[0]
    if len(graph.layers) != 1 or layer.op != "tied" or ranks_of(graph)[graph.inputs[0]] != 2:
        return None
    hidden = layer.parameters.get("hidden_bias")
    kind = Tied(biased=hidden is not None)
    return NeuronLayers(kind, Architecture(Dense(), Transposed()), layer.parameters["weight"], hidden, None)


def _bilinear(graph: LayerGraph) -> NeuronLayers | None:
    """Σ (x·u)(x·v)."""
    if [layer.op for layer in graph.layers] != ["linear", "linear", "mul", "sum"]:
        return None
    left, right, product, total = graph.layers
    names = [layer.parameters for layer in (left, right)]
    fits = left.inputs == right.inputs == graph.inputs and set(product.inputs) == {left.name, right.name}
    if not fits or any(set(found) != {"weight"} for found in names) or total.axes != (1,):
        return None
    architecture = Architecture(Dense(), Dense(), between=(TimesInputs(),))
    return NeuronLayers(Linear(), architecture, names[0]["weight"], None, names[1]["weight"])


def _chain(graph: LayerGraph) -> NeuronLayers | None:
    layers = list(graph.layers)
    places = [place for place, layer in enumerate(layers) if layer.op in _WEIGHTS]
    if len(places) != 2:
        return None
    before, middle, after = layers[: places[0]], layers[places[0] + 1 : places[1]], layers[places[1] + 1 :]
    gain = math.prod(float(str(layer.attributes["factor"])) for layer in after if layer.op == "scale")
    one, other = layers[places[0]], layers[places[1]]
    count = next((i for i, layer in enumerate(middle) if layer.op not in POINTWISE), len(middle))
    pointwise, rest = middle[:count], middle[count:]
    sigma_end = pointwise[-1].name if pointwise else one.name
    if not (
        _is_chain([*before, one], graph.inputs[0])
        and all(set(layer.inputs) <= {one.name, *(x.name for x in pointwise)} for layer in pointwise)
        and _is_chain([*rest, other, *after], sigma_end)
        and other.bias is None
        and graph.weight(one).shape[1] == 1
    ):
        return None
    kind = kind_of(tuple((layer.op, layer.attributes) for layer in pointwise))
    select, first, second = _selected(before, graph.weight(one).shape[-1]), _weight(graph, one), _weight(graph, other)
    axes = len(first.kernel) if isinstance(first, Convolution) else 0
    moving = [layer for layer in _without_sum(graph, other, after) if layer.op != "scale"]
    between, last = _averages(rest, axes), _averages(moving, axes)
    if kind is None or select is None or first is None or second is None or between is None or last is None:
        return None
    if (isinstance(first, Convolution) and select != ()) or not 0 < abs(gain) < math.inf:
        return None
    architecture = Architecture(first, second, select[0] if select else None, between, last)
    return NeuronLayers(kind, architecture, one.parameters["weight"], one.bias, other.parameters["weight"], gain)


def _is_chain(layers: list[Layer], start: str) -> bool:
    read = (start, *(layer.name for layer in layers[:-1]))
    return all(layer.inputs == (name,) for layer, name in zip(layers, read, strict=True))


def _selected(layers: list[Layer], features: int) -> tuple[Select, ...] | None:
    """What a slice of a table leaves for a weight; () for everything, None if it is something else.

    A slice may go beyond the last column, as in x[:, 1:], and then ends there; the weight tells where.
    """
    if not layers:
        return ()
    found: dict[str, Any] = {"dim": 0, "start": 0, "step": 1, "end": None, **layers[0].attributes}
    found["end"] = sys.maxsize if found["end"] is None else found["end"]
    start, end, step = found["start"], found["end"], found["step"]
    plain = all(isinstance(value, int) for value in (start, end, step)) and found["dim"] == 1
    if len(layers) != 1 or layers[0].op != "slice" or not plain or start < 0 or end < 0:
        return None
    columns = range(start, end, step)[:features]
    return (Select(tuple(columns)),) if 0 < len(columns) == features < 2**20 else None


def _without_sum(graph: LayerGraph, second: Layer, after: list[Layer]) -> list[Layer]:
    """Without a sum over the channels of a weight that makes one."""
    single = graph.weight(second).shape[1] == 1
    return [layer for layer in after if not (single and layer.op == "sum" and layer.axes == (1,))]


def _weight(graph: LayerGraph, layer: Layer) -> Weight | None:
    if layer.op == "linear":
        return Dense() if ranks_of(graph)[layer.inputs[0]] == 2 else None
    axes = 1 if layer.op == "conv1d" else 2
    kernel = tuple(graph.weight(layer).shape[3:])
    stride, dilation = layer.extents("stride", axes, 1), layer.extents("dilation", axes, 1)
    padding = layer.extents("padding", axes, 0)
    if layer.groups != 1 or stride is None or padding is None or dilation is None:
        return None
    return Convolution(kernel, stride, padding, dilation)


def _averages(layers: list[Layer], axes: int) -> tuple[Any, ...] | None:
    """The poolings of so many axes among layers that only rearrange; None if there is anything else."""
    found: list[Between] = []
    for layer in layers:
        if layer.op in _SILENT:
            continue
        pooling = _pooling(layer, axes)
        if pooling is None:
            return None
        found.append(pooling)
    return tuple(found)


def _pooling(layer: Layer, axes: int) -> AveragePool | AverageTo | None:
    attributes = layer.attributes
    match layer.op:
        case "avg_pool1d" | "avg_pool2d" if layer.op.endswith(f"{axes}d"):
            kernel, padding = layer.extents("kernel_size", axes), layer.extents("padding", axes, 0)
            stride = kernel if attributes.get("stride") in (None, ()) else layer.extents("stride", axes)
            usual = not attributes.get("ceil_mode") and attributes.get("divisor_override") is None
            if kernel is None or stride is None or padding is None or not usual:
                return None
            return AveragePool(kernel, stride, padding, bool(attributes.get("count_include_pad", True)))
        case "adaptive_avg_pool1d" | "adaptive_avg_pool2d" if layer.op.endswith(f"{axes}d"):
            size = layer.extents("output_size", axes)
            return None if size is None else AverageTo(size)
        case "mean" if axes and layer.axes == tuple(range(2, 2 + axes)):
            return AverageTo((1,) * axes)
    return None
