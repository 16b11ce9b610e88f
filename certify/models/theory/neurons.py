"""The layers of one subnetwork as an architecture of weights with functions σ between them, where they are one.

[slice] → weight → σ → [averages → weight → σ]… → averages → weight → averages,
or the product of two weights of the inputs, summed

A gate of the inputs may multiply any value of it.
"""

from __future__ import annotations

import itertools
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
    Middle,
    Select,
    TimesInputs,
    Transposed,
    Weight,
)
from certify.problem.kinds import Deep, Kind, Linear, Rectifier, Tied, kind_of

# What may be part of σ, entry by entry.
POINTWISE = (*(op for op in HOMOGENEOUS if "max" not in op), "square", "squared_relu", "scale", "add", "mul")
_WEIGHTS = ("linear", "conv1d", "conv2d")
# Layers that move nothing in the order of positions.
_SILENT = ("flatten", "squeeze", "unsqueeze")


@final
@dataclass(frozen=True, slots=True)
class NeuronLayers:
    """A subnetwork.

    Attributes:
        kind: what σ makes it.
        architecture: everything else.
        weights: names of the weights, the first one first; one alone where it is read again, transposed.
        bias: of the first bias, or None.
        gain: factor on the subnetwork, other than 0; it counts in the last factor, and its penalty is less for it.
    """

    kind: Kind
    architecture: Architecture
    weights: tuple[str, ...]
    bias: str | None
    gain: float = 1.0

    @property
    def tied(self) -> bool:
        """Whether the last weight is the first one, transposed."""
        return len(self.weights) == 1


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
    made = found.architecture
    served = made.first == Dense() and not made.between and not made.middle
    return replace(found, architecture=replace(found.architecture, gate=gate)) if served else None


def _tied(graph: LayerGraph) -> NeuronLayers | None:
    """(x·u + b) u of a table."""
    layer = graph.layers[0]
    if len(graph.layers) != 1 or layer.op != "tied" or ranks_of(graph)[graph.inputs[0]] != 2:
        return None
    hidden = layer.parameters.get("hidden_bias")
    kind = Tied(biased=hidden is not None)
    return NeuronLayers(kind, Architecture(Dense(), Transposed()), (layer.parameters["weight"],), hidden)


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
    return NeuronLayers(Linear(), architecture, (names[0]["weight"], names[1]["weight"]), None)


def _chain(graph: LayerGraph) -> NeuronLayers | None:
    layers = list(graph.layers)
    places = [place for place, layer in enumerate(layers) if layer.op in _WEIGHTS]
    weights = [layers[place] for place in places]
    if len(places) < 2 or any(graph.is_frozen(weight) for weight in weights):
        return None
    before, after = layers[: places[0]], layers[places[-1] + 1 :]
    gain = math.prod(float(str(layer.attributes["factor"])) for layer in after if layer.op == "scale")
    steps = [_step(layers[start : end + 1]) for start, end in itertools.pairwise(places)]
    if not (
        _is_chain([*before, weights[0]], graph.inputs[0])
        and all(step is not None for step in steps)
        and _is_chain(after, weights[-1].name)
        and all(weight.bias is None for weight in weights[1:])
        and 0 < abs(gain) < math.inf
    ):
        return None
    kind = _kind(graph, weights, [step[0] for step in steps if step is not None])
    select = _selected(before, graph.weight(weights[0]).shape[-1])
    readers, rests = [_weight(graph, weight) for weight in weights], [step[1] for step in steps if step is not None]
    moving = [layer for layer in _without_sum(graph, weights[-1], after) if layer.op != "scale"]
    # Each pooling is over the axes of the convolution before it; a dense layer leaves none.
    axes = [len(reader.kernel) if isinstance(reader, Convolution) else 0 for reader in readers]
    averages = [_averages(layers, count) for layers, count in zip([*rests, moving], axes, strict=True)]
    if kind is None or select is None or None in readers or None in averages:
        return None
    if isinstance(readers[0], Convolution) and select != ():
        return None
    first, *others, last = (reader for reader in readers if reader is not None)
    *inner, between, ends = (found for found in averages if found is not None)
    middle = tuple(Middle(pools, reader) for pools, reader in zip(inner, others, strict=True))
    architecture = Architecture(first, last, select[0] if select else None, between, ends, middle=middle)
    return NeuronLayers(kind, architecture, tuple(w.parameters["weight"] for w in weights), weights[0].bias, gain)


def _step(layers: list[Layer]) -> tuple[list[Layer], list[Layer]] | None:
    """What makes σ after a weight, and what comes then, before the next one; None if they are no chain."""
    one, *middle, other = layers
    count = next((i for i, layer in enumerate(middle) if layer.op not in POINTWISE), len(middle))
    pointwise, rest = middle[:count], middle[count:]
    inside = {one.name, *(layer.name for layer in pointwise)}
    chained = _is_chain([*rest, other], pointwise[-1].name if pointwise else one.name)
    return (pointwise, rest) if chained and all(set(layer.inputs) <= inside for layer in pointwise) else None


def _kind(graph: LayerGraph, weights: list[Layer], steps: list[list[Layer]]) -> Kind | None:
    """The kind that functions between the weights make, for one hidden channel where there are two weights."""
    found = [kind_of(tuple((layer.op, layer.attributes) for layer in step)) for step in steps]
    if len(found) == 1:
        return found[0] if graph.weight(weights[0]).shape[1] == 1 else None
    neurons = tuple(kind for kind in found if isinstance(kind, Rectifier | Linear))
    channels = tuple(graph.weight(weight).shape[1] for weight in weights[:-1])
    return Deep(neurons, channels) if len(neurons) == len(found) else None


def _is_chain(layers: list[Layer], start: str) -> bool:
    read = (start, *(layer.name for layer in layers[:-1]))
    return all(layer.inputs == (name,) for layer, name in zip(layers, read, strict=False))


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
