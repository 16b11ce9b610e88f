"""The vocabulary of layers, closed, and the order in which the layers of a subnetwork come.

[gate] [select]  weight  [activation]  (average_pool…  weight  [activation])…
                                       (average_pool | times_inputs)…  weight  average_pool…

or  linear  transposed,  one weight that is read twice. A weight is linear or a convolution.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from certify.verify.reals import Array
from certify.verify.rejection import refuse
from certify.verify.statement.activations import ACTIVATIONS, IDENTITY, Square, read_activation
from certify.verify.statement.fields import flag, integers, listed, number, section
from certify.verify.statement.gate import Gate
from certify.verify.statement.hop import Hop
from certify.verify.statement.neuron import Neuron
from certify.verify.statement.readout import Readout
from certify.verify.statement.windows import (
    Grid,
    Integers,
    Pooling,
    Window,
    average_pooling,
    no_pooling,
    require_table,
)

_WINDOW = ("kernel", "stride", "padding")
# Keys beside `op` of layers other than activations.
_KEYS = {
    "gate": ("weights", "bias"),
    "select": ("columns",),
    "linear": (),
    "transposed": (),
    "convolution": (*_WINDOW, "dilation"),
    "average_pool": (*_WINDOW, "counts_padding"),
    "times_inputs": (),
}
WEIGHTS = ("linear", "convolution")
Layer = Mapping[str, Any]


def read_neuron(value: object, inputs: Grid, place: str) -> Neuron:
    """The subnetwork that a list of layers describes.

    Args:
        value: the list.
        inputs: shape of one sample.
        place: where the list stands in the header.

    Raises:
        Rejection: refused; another layer or order, or windows that do not fit.
    """
    stated = [_layer(entry, place) for entry in listed(value, place)]
    layers = list(stated)
    tied = [layer["op"] for layer in stated] == ["linear", "transposed"]
    if tied:
        layers[1] = {"op": "linear"}
    gate = _gate(layers.pop(0), math.prod(inputs), place) if _next(layers) == "gate" else None
    taps, grid = _first(layers, inputs, place)
    if gate is not None and grid:
        refuse("layers", f"{place}: a gate before a convolution")
    positions = math.prod(grid)
    active = _next(layers) in ACTIVATIONS
    activation = read_activation(layers.pop(0)) if active else IDENTITY
    hops = []
    for _ in range(sum(layer["op"] in WEIGHTS for layer in layers) - 1):
        hop, grid = _hop(layers, grid, place)
        hops.append(hop)
    if hops and (gate is not None or any(isinstance(x, Square) for x in (activation, *(h.activation for h in hops)))):
        refuse("layers", f"{place}: a gate or a square among three weights or more")
    averaged, before, times = None, None, False
    while (op := _next(layers)) in ("average_pool", "times_inputs"):
        if op == "average_pool":
            before, grid = _pooled(layers.pop(0), before, grid)
            continue
        layers.pop(0)
        _require_one_value(times, grid, active or bool(hops), place)
        averaged, before, grid, times = before, None, (math.prod(inputs),), True
    counts, unit = _read_by_last(layers, before, grid, place)
    wording = ", ".join(_worded(layer) for layer in stated)
    fan_in = math.prod(inputs) if taps is None else taps.shape[1]
    readout = Readout(counts, unit, times)
    return Neuron(taps, positions, fan_in, activation, averaged, readout, wording, gate, tuple(hops), tied)


def _layer(value: object, place: str) -> Layer:
    op = value.get("op") if isinstance(value, dict) else None
    if not isinstance(op, str) or op not in _KEYS and op not in ACTIVATIONS:
        refuse("layers", f"{place}: {value!r:.80} is no layer; there are {', '.join([*_KEYS, *ACTIVATIONS])}")
    keys = _KEYS[op] if op in _KEYS else ACTIVATIONS[op][0]
    return section(value, f"{place}, {op}", ("op", *keys))


def _gate(layer: Layer, inputs: int, place: str) -> Gate:
    weights = [number(entry, f"{place}, gate") for entry in listed(layer["weights"], f"{place}, gate")]
    if len(weights) != inputs:
        refuse("layers", f"{place}: a gate of {len(weights)} weights, and samples of {inputs}")
    return Gate(np.array(weights), number(layer["bias"], f"{place}, gate"))


def _worded(layer: Layer) -> str:
    if layer["op"] == "gate":
        digest = hashlib.sha256(repr((layer["weights"], layer["bias"])).encode()).hexdigest()
        return f"gate (SHA-256 of weights and bias {digest[:12]}…)"
    values = {key: value for key, value in sorted(layer.items()) if key != "op"}
    shown = (f"{key} {float.fromhex(value) if isinstance(value, str) else value}" for key, value in values.items())
    return f"{layer['op']} ({', '.join(shown)})" if values else str(layer["op"])


def _next(layers: list[Layer]) -> str:
    return str(layers[0]["op"]) if layers else "nothing"


def _first(layers: list[Layer], inputs: Grid, place: str) -> tuple[Integers | None, Grid]:
    """What each entry of the first weight reads, and the grid of positions."""
    size = math.prod(inputs)
    columns = None
    if _next(layers) == "select":
        columns = np.array(integers(layers.pop(0)["columns"], f"{place}, select"))[None]
        if int(columns.max()) >= size:
            refuse("layers", f"{place}: select reads column {int(columns.max())} of {size}")
    if _next(layers) == "linear":
        layers.pop(0)
        return columns, ()
    if _next(layers) != "convolution" or columns is not None:
        refuse("layers", f"{place}: the first weight is linear, or a convolution of all inputs; found {_next(layers)}")
    window = _window(layers.pop(0), place)
    spatial, area = inputs[1:], math.prod(inputs[1:])
    places = window.places(spatial)
    require_table(len(places) * inputs[0] * window.size)
    offsets = np.arange(inputs[0])[:, None] * area
    taps = np.where(places[:, None] < area, places[:, None] + offsets, size)
    return taps.reshape(len(places), -1), window.over(spatial)


def _window(layer: Layer, place: str) -> Window:
    dilation = layer.get("dilation", [1] * len(listed(layer["kernel"], place)))
    return Window(
        integers(layer["kernel"], f"{place}, kernel", 1),
        integers(layer["stride"], f"{place}, stride", 1),
        integers(layer["padding"], f"{place}, padding"),
        integers(dilation, f"{place}, dilation", 1),
    )


def _pooled(layer: Layer, before: Pooling | None, grid: Grid) -> tuple[Pooling, Grid]:
    window = _window(layer, "average_pool")
    pooling = average_pooling(window, grid, flag(layer["counts_padding"], "average_pool.counts_padding"))
    return pooling if before is None else pooling.after(before), window.over(grid)


def _hop(layers: list[Layer], grid: Grid, place: str) -> tuple[Hop, Grid]:
    """Averages, a weight and an activation after another."""
    positions, averaged = math.prod(grid), None
    while _next(layers) == "average_pool":
        averaged, grid = _pooled(layers.pop(0), averaged, grid)
    places, grid = _read_by(layers, grid, place)
    activation = read_activation(layers.pop(0)) if _next(layers) in ACTIVATIONS else IDENTITY
    return Hop(positions, averaged, places, activation), grid


def _read_by(layers: list[Layer], grid: Grid, place: str) -> tuple[Integers, Grid]:
    """What each entry of the next weight reads of a grid at each of its positions, (Q, k), and their grid."""
    area = math.prod(grid)
    if _next(layers) == "linear":
        layers.pop(0)
        require_table(area)
        return np.arange(area)[None], ()
    if _next(layers) != "convolution":
        refuse("layers", f"{place}: a weight is linear or a convolution; found {_next(layers)}")
    window = _window(layers.pop(0), place)
    return window.places(grid), window.over(grid)


def _require_one_value(times: bool, grid: Grid, active: bool, place: str) -> None:
    if times or math.prod(grid) != 1 or active:
        found = f"{math.prod(grid)} positions, {'an' if active else 'no'} activation"
        refuse("layers", f"{place}: times_inputs, once, needs one position and no activation; found {found}")


def _read_by_last(layers: list[Layer], before: Pooling | None, grid: Grid, place: str) -> tuple[Array, int]:
    """Counts (O, P, K) and their unit."""
    area = math.prod(grid)
    places, grid = _read_by(layers, grid, place)
    pooling = no_pooling(area) if before is None else before
    o, k, p = *places.shape, pooling.counts.shape[1]
    require_table(o * k * p)
    # What reads the padding reads a row of zeros.
    padded = np.concatenate([pooling.counts, np.zeros((1, p))])
    counts, unit = padded[places].transpose(0, 2, 1).reshape(o, p * k), pooling.unit
    after = None
    while _next(layers) == "average_pool":
        after, grid = _pooled(layers.pop(0), after, grid)
    if layers:
        refuse("layers", f"{place}: {_next(layers)} after the last weight")
    if after is not None:
        # The counts are those of another pooling: of outputs, over pairs of a position and an entry of the weight.
        both = after.after(Pooling(counts, unit))
        counts, unit = both.counts, both.unit
    return counts.reshape(-1, p, k), unit
