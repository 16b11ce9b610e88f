"""Rule 13: the order of layers and their geometry, reduced to rows of inputs, an activation and a readout."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from .exact import Matrix, identity, product, zeros
from .rejection import afford, require
from .schema import number

ACTIVATIONS = ("relu", "leaky_relu", "abs", "square")
SLOPES = {"relu": Fraction(0), "abs": Fraction(-1)}
Layer = dict[str, Any]


@dataclass(frozen=True)
class Geometry:
    """What the layers of a branch mean.

    Attributes:
        gate: weights and bias of a gate, or None.
        reads: for each position, the inputs that its row reads; None for padding.
        averages: weights by which rows are averaged before inputs are multiplied, or None without `times_inputs`.
        square: the activation is a square.
        slope: b of any other activation; 1 without one.
        readout: R (O, P, K).
    """

    gate: tuple[list[Fraction], Fraction] | None
    reads: list[list[int | None]]
    averages: list[Fraction] | None
    square: bool
    slope: Fraction
    readout: Matrix

    @property
    def kind(self) -> str:
        """The activation: none, kink or square."""
        return "square" if self.square else "none" if self.slope == 1 else "kink"

    @property
    def lipschitz(self) -> Fraction:
        """L."""
        return max(Fraction(1), abs(self.slope))


def windows(layer: Layer, extents: list[int]) -> tuple[list[int], list[list[int | None]]]:
    """Grid of outputs; for each, the entry of the grid of inputs that each entry of its kernel reads."""
    require(1 <= len(extents) <= 2, "layers")
    dilation = layer.get("dilation", [1] * len(extents))
    settings = [layer["kernel"], layer["stride"], layer["padding"], dilation]
    require(all(len(values) == len(extents) for values in settings), "layers")
    require(min(*layer["kernel"], *layer["stride"], *dilation) >= 1 and min(layer["padding"]) >= 0, "layers")
    axes, grid = [], []
    for extent, kernel, stride, padding, step in zip(extents, *settings, strict=True):
        count = (extent + 2 * padding - step * (kernel - 1) - 1) // stride + 1
        require(count >= 1, "layers")
        afford(count * kernel)
        grid.append(count)
        axes.append([[at * stride - padding + entry * step for entry in range(kernel)] for at in range(count)])
    afford(math.prod(grid) * math.prod(layer["kernel"]))
    reads = []
    for starts in itertools.product(*axes):
        places = itertools.product(*starts)
        reads.append([place_of(place, extents) for place in places])
    return grid, reads


def place_of(place: tuple[int, ...], extents: list[int]) -> int | None:
    """Number of an entry in row-major order; None outside."""
    flat = 0
    for at, extent in zip(place, extents, strict=True):
        if not 0 <= at < extent:
            return None
        flat = flat * extent + at
    return flat


def pooling(layer: Layer, extents: list[int]) -> tuple[list[int], Matrix]:
    """Grid after a pool, and its matrix of weights."""
    grid, reads = windows(layer, extents)
    require(all(2 * p <= k for p, k in zip(layer["padding"], layer["kernel"], strict=True)), "layers")
    weights = zeros(len(reads), math.prod(extents))
    for row, places in enumerate(reads):
        inside = [place for place in places if place is not None]
        count = len(places) if layer["counts_padding"] else len(inside)
        weights[row, inside] = Fraction(1, count)
    return grid, weights


class Reader:
    """Takes layers from the front."""

    def __init__(self, layers: list[Layer]) -> None:
        self.left = list(layers)

    def take(self, *operations: str) -> Layer | None:
        """The next layer if it is one of these."""
        return self.left.pop(0) if self.left and self.left[0]["op"] in operations else None


def geometry_of(layers: list[Layer], inputs: list[int]) -> Geometry:
    """Rule 13."""
    reader, size = Reader(layers), math.prod(inputs)
    gate, select = reader.take("gate"), reader.take("select")
    grid, reads = first_weight(reader, select, inputs, gated=gate is not None)
    if gate:
        require(len(gate["weights"]) == size, "layers")
    activation = reader.take(*ACTIVATIONS)
    name = activation["op"] if activation else ""
    slope = number(activation["slope"]) if activation and name == "leaky_relu" else SLOPES.get(name, Fraction(1))
    averages, means = None, identity(math.prod(grid))
    while layer := reader.take("average_pool", "times_inputs"):
        if layer["op"] == "average_pool":
            grid, weights = pooling(layer, grid)
            means = product(weights, means)
        else:
            require(averages is None and activation is None and math.prod(grid) == 1, "layers")
            averages, grid, means = means[0].tolist(), [size], identity(size)
    readout = second_weight(reader, grid, means)
    require(not reader.left, "layers")
    denominators = {entry.denominator for entry in [*readout.ravel().tolist(), *(averages or [])]}
    require(math.lcm(*denominators) <= 2**50, "size-limit")
    parsed = ([number(entry) for entry in gate["weights"]], number(gate["bias"])) if gate else None
    return Geometry(parsed, reads, averages, name == "square", slope, readout)


def first_weight(
    reader: Reader, select: Layer | None, inputs: list[int], gated: bool
) -> tuple[list[int], list[list[int | None]]]:
    """Grid of positions, and what their rows read."""
    if reader.take("linear"):
        columns: list[int | None] = list(select["columns"]) if select else list(range(math.prod(inputs)))
        require(all(column is not None and column < math.prod(inputs) for column in columns), "layers")
        return [], [columns]
    layer = reader.take("convolution")
    require(layer is not None and not select and not gated and len(inputs) >= 2, "layers")
    assert layer is not None
    channels, extents = inputs[0], inputs[1:]
    grid, places = windows(layer, extents)
    area = math.prod(extents)
    afford(len(places) * len(places[0]) * channels)
    reads = [
        [None if place is None else channel * area + place for channel in range(channels) for place in window]
        for window in places
    ]
    return grid, reads


def second_weight(reader: Reader, grid: list[int], means: Matrix) -> Matrix:
    """R from the second weight and the pools after it; `means` are the weights of pools before it."""
    positions = means.shape[1]
    if reader.take("linear"):
        readout = means.T[None]
        grid = []
    else:
        layer = reader.take("convolution")
        require(layer is not None, "layers")
        assert layer is not None
        grid, places = windows(layer, grid)
        afford(len(places) * positions * len(places[0]))
        readout = zeros(len(places), positions, len(places[0]))
        for output, window in enumerate(places):
            for entry, place in enumerate(window):
                if place is not None:
                    readout[output, :, entry] = means[place]
    while layer := reader.take("average_pool"):
        grid, weights = pooling(layer, grid)
        flat = readout.reshape(len(readout), -1)
        readout = product(weights, flat).reshape(len(weights), *readout.shape[1:])
    return readout
