"""Rule 13: the order of layers and their geometry, reduced to rows of inputs, an activation and a readout."""

import itertools
import math
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np

from .exact import Matrix, identity, integers, product, zeros
from .rejection import Rejected, afford, require
from .schema import number

SLOPES = {"": Fraction(1), "relu": Fraction(0), "abs": Fraction(-1), "square": Fraction(0)}
Layer = dict[str, Any]
# For each window, the places that its entries read; -1 outside.
Reads = list[np.ndarray[Any, Any]]


class Hop(NamedTuple):
    """For each entry of a window, how its positions (Q) weigh those before (P); and the activation after it."""

    entries: list[Matrix]
    sums: list[Matrix]
    slope: Fraction


class Geometry(NamedTuple):
    """A gate, the inputs that rows read, how they are averaged before `times_inputs`, the activation, R and hops."""

    gate: Layer | None
    reads: Reads
    averages: Matrix | None
    kind: str
    slope: Fraction
    readout: Matrix
    hops: list[Hop]

    @property
    def spread(self) -> Matrix:
        return self.readout.transpose(1, 0, 2).reshape(self.readout.shape[1], -1)

    @property
    def lipschitz(self) -> Fraction:
        return max(Fraction(1), abs(self.slope))


def windows(layer: Layer | None, extents: list[int]) -> tuple[list[int], Reads]:
    if layer is None or not 1 <= len(extents) <= 2:
        raise Rejected("layers")
    dilation = layer.get("dilation", [1] * len(extents))
    settings = [layer["kernel"], layer["stride"], layer["padding"], dilation]
    require(all(len(values) == len(extents) for values in settings), "layers")
    require(min(*layer["kernel"], *layer["stride"], *dilation) >= 1 and min(layer["padding"]) >= 0, "layers")
    axes = []
    afford(math.prod(extent + 2 * padding for extent, padding in zip(extents, layer["padding"], strict=True)))
    for extent, kernel, stride, padding, step in zip(extents, *settings, strict=True):
        starts = range(0, extent + 2 * padding - step * (kernel - 1), stride)
        require(starts, "layers")
        axes.append([range(start, start + step * kernel, step) for start in starts])
    grid = [len(axis) for axis in axes]
    afford(math.prod(grid) * math.prod(layer["kernel"]))
    borders = [(padding, padding) for padding in layer["padding"]]
    padded = np.pad(np.arange(math.prod(extents)).reshape(extents), borders, constant_values=-1)
    return grid, [padded[np.ix_(*window)].ravel() for window in itertools.product(*axes)]


def pooling(layer: Layer, extents: list[int]) -> tuple[list[int], Matrix]:
    grid, reads = windows(layer, extents)
    require(all(2 * p <= k for p, k in zip(layer["padding"], layer["kernel"], strict=True)), "layers")
    afford(len(reads) * math.prod(extents))
    weights = zeros(len(reads), math.prod(extents))
    for row, window in enumerate(reads):
        inside = window[window >= 0]
        weights[row, inside] = Fraction(1, len(window if layer["counts_padding"] else inside))
    return grid, weights


def take(layers: list[Layer], *operations: str) -> Layer | None:
    return layers.pop(0) if layers and layers[0]["op"] in operations else None


def geometry_of(layers: list[Layer], inputs: list[int]) -> Geometry:
    left, size = list(layers), math.prod(inputs)
    gate, select = take(left, "gate"), take(left, "select")
    require(gate is None or len(gate["weights"]) == size, "layers")
    if take(left, "linear"):
        grid, reads = list[int](), [np.array(select["columns"] if select else range(size), int)]
        require(np.all((reads[0] >= 0) & (reads[0] < size)), "layers")
    else:
        require(gate is None and select is None, "layers")
        grid, reads = first_convolution(take(left, "convolution"), inputs)
    activation, name, slope = activation_of(left)
    hops = list[Hop]()
    while sum(layer["op"] in ("linear", "convolution") for layer in left) > 1:
        grid, hop, bent = hop_of(left, grid, 1 if not grid else math.prod(grid))
        require(gate is None and "square" not in (name, bent), "layers")
        hops.append(hop)
    averages, means = None, identity(math.prod(grid))
    while layer := take(left, "average_pool", "times_inputs"):
        if layer["op"] == "average_pool":
            grid, weights = pooling(layer, grid)
            means = product(weights, means)
        else:
            require(averages is None and activation is None and math.prod(grid) == 1 and not hops, "layers")
            averages, grid, means = means, [size], identity(size)
    readout = second_weight(left, grid, means)
    require(not left, "layers")
    both = np.append(readout, averages if averages is not None else [])
    require(integers(both)[1] <= 2**50, "size-limit")
    kind = "square" if name == "square" else "none" if slope == 1 else "kink"
    return Geometry(gate, reads, averages, kind, slope, readout, hops)


def activation_of(left: list[Layer]) -> tuple[Layer | None, str, Fraction]:
    activation = take(left, "leaky_relu", *SLOPES)
    name = activation["op"] if activation else ""
    return activation, name, number(activation["slope"]) if activation and name == "leaky_relu" else SLOPES[name]


def hop_of(left: list[Layer], grid: list[int], positions: int) -> tuple[list[int], Hop, str]:
    means = identity(positions)
    while layer := take(left, "average_pool"):
        grid, weights = pooling(layer, grid)
        means = product(weights, means)
    if take(left, "linear"):
        grid, places = list[int](), [np.arange(len(means))]
    else:
        grid, places = windows(take(left, "convolution"), grid)
    afford(len(places) * len(places[0]) * positions)
    padded = np.vstack([means, zeros(1, positions)])
    entries = [padded[[window[entry] for window in places]] for entry in range(len(places[0]))]
    _, name, slope = activation_of(left)
    return grid, Hop(entries, [own.sum(1) for own in entries], slope), name


def first_convolution(layer: Layer | None, inputs: list[int]) -> tuple[list[int], Reads]:
    grid, places = windows(layer, inputs[1:])
    area = math.prod(inputs[1:])
    starts = range(0, inputs[0] * area, area)
    afford(len(places) * len(places[0]) * len(starts))
    return grid, [np.hstack([np.where(window < 0, -1, start + window) for start in starts]) for window in places]


def second_weight(left: list[Layer], grid: list[int], means: Matrix) -> Matrix:
    """R from the second weight and the pools after it; `means` are the weights of pools before it."""
    if take(left, "linear"):
        return means.T[None]
    grid, places = windows(take(left, "convolution"), grid)
    afford(len(places) * means.shape[1] * len(places[0]))
    readout = zeros(len(places), means.shape[1], len(places[0]))
    for output, window in enumerate(places):
        readout[output][:, window >= 0] = means[window[window >= 0]].T
    while layer := take(left, "average_pool"):
        grid, weights = pooling(layer, grid)
        readout = product(weights, readout.reshape(len(readout), -1)).reshape(len(weights), *readout.shape[1:])
    return readout
