"""The layers of one subnetwork in a closed vocabulary, and the view of the data that they make.

    sample → [gate] → [select] → weight → σ → [averages → weight → σ]… → averages → weight → averages → outputs

Everything but the weights and σ is a fixed linear map of positions: a weight reads a window at each position (a dense
layer has one, of everything), and what comes after the last σ is the readout R. Windows are those of
torch.nn.functional's convolutions and average pooling, zero padding included.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import assert_never, final

import torch
from torch import Tensor

from certify.problem.gate import Gate
from certify.problem.path import Hop, Path
from certify.problem.readout import Readout
from certify.problem.view import View
from certify.problem.windows import PADDING, Extents, average_matrix, refuse, windows


@final
@dataclass(frozen=True, slots=True)
class Select:
    """Some entries of the flattened sample, by their indices."""

    columns: tuple[int, ...]


@final
@dataclass(frozen=True, slots=True)
class Dense:
    """A weight that reads everything at once."""


@final
@dataclass(frozen=True, slots=True)
class Transposed:
    """The first weight, transposed, in place of a last one."""


@final
@dataclass(frozen=True, slots=True)
class Convolution:
    """A weight that reads a window at every position of a grid, of all channels."""

    kernel: Extents
    stride: Extents
    padding: Extents
    dilation: Extents


@final
@dataclass(frozen=True, slots=True)
class AveragePool:
    """Averages over windows; `counts_padding` divides by the size of the window everywhere."""

    kernel: Extents
    stride: Extents
    padding: Extents
    counts_padding: bool


@final
@dataclass(frozen=True, slots=True)
class AverageTo:
    """Averages over equal blocks that leave a grid of this size; an `AveragePool` once the grid is known."""

    size: Extents


@final
@dataclass(frozen=True, slots=True)
class TimesInputs:
    """The hidden value times each entry of the sample, as in a bilinear form."""


Weight = Dense | Convolution
Last = Dense | Convolution | Transposed
Pooling = AveragePool | AverageTo
Between = AveragePool | AverageTo | TimesInputs


@final
@dataclass(frozen=True, slots=True)
class Middle:
    """A weight between two σ, after averages."""

    before: tuple[Pooling, ...]
    weight: Weight


@final
@dataclass(frozen=True, slots=True)
class Architecture:
    """What one subnetwork computes, but for σ.

    Attributes:
        first: how the first weight reads.
        last: how the last weight reads.
        select: what of the sample the first one sees, None for all.
        between: after the last σ.
        after: after the last weight.
        gate: by which each sample is multiplied, None for 1.
        middle: the weights between the first and the last, if there are more than two.
    """

    first: Weight
    last: Last
    select: Select | None = None
    between: tuple[Between, ...] = ()
    after: tuple[Pooling, ...] = ()
    gate: Gate | None = None
    middle: tuple[Middle, ...] = ()

    def statement(self, activations: tuple[tuple[Mapping[str, object], ...], ...]) -> list[Mapping[str, object]]:
        """The layers as certificates list them, with those of each σ in their place."""
        layers = [*(layer for layer in (self.gate, self.select) if layer is not None), self.first]
        stated = [*map(_stated, layers), *activations[0]]
        for middle, activation in zip(self.middle, activations[1:], strict=True):
            stated += [*map(_stated, (*middle.before, middle.weight)), *activation]
        return [*stated, *map(_stated, (*self.between, self.last, *self.after))]

    def on(self, shape: Extents) -> Geometry:
        """The architecture on samples of a shape.

        Raises:
            UnsupportedError: windows that do not fit, or blocks that are not equal.
        """
        window, grid = _first_windows(self, shape)
        middle, hops = list[Middle](), list[Hop]()
        for layers in self.middle:
            known_middle, hop, grid = _hop(layers, grid)
            middle.append(known_middle)
            hops.append(hop)
        maps, between = torch.eye(math.prod(grid), dtype=torch.float64), list[Between]()
        for layer in self.between:
            if isinstance(layer, TimesInputs):
                if grid != (1,):
                    refuse("a product with the inputs needs one hidden value")
                between.append(layer)
            else:
                pool, matrix, grid = _averages(layer, grid)
                between.append(pool)
                maps = matrix @ maps
        weights, grid = _last(self.last, grid, maps)
        after = []
        for pooling in self.after:
            pool, matrix, grid = _averages(pooling, grid)
            after.append(pool)
            weights = torch.einsum("qo,opk->qpk", matrix, weights)
        known = replace(self, between=tuple(between), after=tuple(after), middle=tuple(middle))
        return Geometry(shape, known, window, weights, tuple(hops))


@final
@dataclass(frozen=True, slots=True)
class Geometry:
    """An architecture on samples of one shape.

    Attributes:
        shape: of a sample.
        architecture: with all sizes known.
        window: entries of the flattened sample that the first weight reads at each position, (P, h); −1 for padding.
        weights: R without the factors of `TimesInputs`, (O, P, k).
        hops: of the weights between the first and the last.
    """

    shape: Extents
    architecture: Architecture
    window: Tensor
    weights: Tensor
    hops: tuple[Hop, ...] = ()

    @property
    def places(self) -> int:
        """Number O of outputs of one output channel."""
        return self.weights.shape[0]

    @property
    def reach(self) -> int:
        """Number k of last weights that make one output channel."""
        return math.prod(self.shape) if self._multiplies else self.weights.shape[2]

    def view(self, inputs: Tensor, bias: float | None, free: bool) -> View | Path:
        """What the subnetworks read of flattened samples (n, d).

        The bias is the value of the constant input, None where there is no hidden bias; a free one is not penalized.
        """
        padded = torch.cat([inputs, inputs.new_zeros(len(inputs), 1)], 1)
        rows = inputs if self._reads_all else padded[:, self.window.to(inputs.device)].flatten(0, 1)
        if bias is not None:
            rows = torch.cat([rows, rows.new_full((len(rows), 1), bias)], 1)
        if self.architecture.gate is not None:
            rows = self.architecture.gate.opened(inputs) * rows
        view = View(rows, int(free and bias is not None), self._readout(inputs))
        return Path(view, tuple(hop.to(inputs) for hop in self.hops)) if self.hops else view

    @property
    def _reads_all(self) -> bool:
        return self.architecture.select is None and isinstance(self.architecture.first, Dense)

    @property
    def _multiplies(self) -> bool:
        return any(isinstance(layer, TimesInputs) for layer in self.architecture.between)

    def _readout(self, inputs: Tensor) -> Readout:
        if self._multiplies:
            return Readout(inputs[:, None, None, :])
        plain = self.weights.shape == (1, 1, 1) and bool((self.weights == 1).all())
        return Readout(None if plain else self.weights.to(inputs.device))


_OPERATIONS: Mapping[type, str] = {
    Gate: "gate",
    Select: "select",
    Dense: "linear",
    Transposed: "transposed",
    Convolution: "convolution",
    AveragePool: "average_pool",
    TimesInputs: "times_inputs",
}


def _stated(layer: Gate | Select | Last | Between) -> Mapping[str, object]:
    """One layer; its fields are named as certificates name them."""
    values = ((field.name, getattr(layer, field.name)) for field in fields(layer))
    listed = {name: list(value) if isinstance(value, tuple) else value for name, value in values}
    return {"op": _OPERATIONS[type(layer)]} | listed


def _first_windows(architecture: Architecture, shape: Extents) -> tuple[Tensor, Extents]:
    """Windows (P, h) into the flattened sample, and the grid of positions."""
    size = math.prod(shape)
    match architecture.first:
        case Dense():
            columns = range(size) if architecture.select is None else architecture.select.columns
            if columns and max(columns) >= size:
                refuse(f"a subnetwork reads entry {max(columns)} of samples of {size}")
            return torch.tensor([list(columns)], dtype=torch.int64).reshape(1, -1), (1,)
        case Convolution() as layer:
            channels, *grid = shape
            if len(grid) != len(layer.kernel):
                refuse(f"a convolution over {len(layer.kernel)} axes cannot read samples of shape {shape}")
            window, found = windows(tuple(grid), layer.kernel, layer.stride, layer.padding, layer.dilation)
            area = math.prod(grid)
            shifted = torch.where(window == PADDING, PADDING, window + torch.arange(channels)[:, None, None] * area)
            return shifted.movedim(0, 1).flatten(1), found
        case other:
            assert_never(other)


def _last(layer: Last, grid: Extents, maps: Tensor) -> tuple[Tensor, Extents]:
    """R (O, P, k) and the grid of places, for averages `maps` (positions now, P)."""
    window, found = _windows_on(layer, grid)
    padded = torch.cat([maps, maps.new_zeros(1, maps.shape[1])])
    return padded[window].transpose(1, 2), found


def _windows_on(layer: Last, grid: Extents) -> tuple[Tensor, Extents]:
    """What a weight reads of a grid at each of its own positions, (Q, k), and their grid."""
    match layer:
        case Dense() | Transposed():
            return torch.arange(math.prod(grid))[None], (1,)
        case Convolution():
            if len(grid) != len(layer.kernel):
                refuse(f"a convolution over {len(layer.kernel)} axes cannot read a grid of {len(grid)}")
            return windows(grid, layer.kernel, layer.stride, layer.padding, layer.dilation)
        case other:
            assert_never(other)


def _hop(layers: Middle, grid: Extents) -> tuple[Middle, Hop, Extents]:
    """A weight between two σ with its sizes known, how it reads, and the grid of its positions."""
    positions, maps, before = math.prod(grid), None, []
    for pooling in layers.before:
        pool, matrix, grid = _averages(pooling, grid)
        before.append(pool)
        maps = matrix if maps is None else matrix @ maps
    window, grid = _windows_on(layers.weight, grid)
    return Middle(tuple(before), layers.weight), Hop(positions, maps, window), grid


def _averages(pool: Pooling, grid: Extents) -> tuple[AveragePool, Tensor, Extents]:
    """A pooling with its sizes known, its matrix (places, positions), and the grid of places."""
    if isinstance(pool, AverageTo):
        size = pool.size
        if len(size) != len(grid):
            refuse(f"averaging to {size} cannot read a grid of {len(grid)}")
        if any(have % want for have, want in zip(grid, size, strict=True)):
            refuse(f"averaging a grid of {grid} to {size} takes unequal blocks")
        kernel = tuple(have // want for have, want in zip(grid, size, strict=True))
        pool = AveragePool(kernel, kernel, (0,) * len(grid), True)
    if len(pool.kernel) != len(grid):
        refuse(f"pooling over {len(pool.kernel)} axes cannot read a grid of {len(grid)}")
    window, found = windows(grid, pool.kernel, pool.stride, pool.padding, (1,) * len(grid))
    return pool, average_matrix(window, math.prod(grid), counts_padding=pool.counts_padding), found
