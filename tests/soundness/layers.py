"""A list of layers of a certificate, computed layer by layer in numpy, without certify.

Grids have one or two axes, and come last: hidden values are (n, r, …), with no axis where there is one position.
"""

from __future__ import annotations

import itertools
import math

import numpy as np

SLOPES = {"relu": (1.0, 0.0), "abs": (1.0, -1.0)}


class Layers:
    """The layers of one branch on samples of a shape."""

    def __init__(self, layers, shape):
        self.tied = [layer["op"] for layer in layers] == ["linear", "transposed"]
        self.layers, self.shape = ([{"op": "linear"}] * 2 if self.tied else list(layers)), tuple(shape)
        self.columns = self.layers.pop(0)["columns"] if self.layers[0]["op"] == "select" else None
        self.first = self.layers.pop(0)
        name = self.layers[0]["op"]
        kinked = name in (*SLOPES, "leaky_relu")
        self.square, self.slopes = name == "square", (1.0, 1.0)
        if kinked or self.square:
            layer = self.layers.pop(0)
            self.slopes = SLOPES.get(name) or (1.0, number(layer.get("slope", 1.0)))

    @property
    def is_linear(self):
        """Whether there is no activation."""
        return self.slopes == (1.0, 1.0) and not self.square

    def rows(self, inputs):
        """What the first weight reads, (n, …, h), of X (n, d)."""
        if self.first["op"] == "linear":
            return inputs if self.columns is None else inputs[:, self.columns]
        found, _ = windows(inputs.reshape(-1, *self.shape), self.first)
        return np.moveaxis(found, 1, -2).reshape(len(inputs), *found.shape[2:-1], -1)

    def activated(self, values):
        """σ."""
        above, below = self.slopes
        return values * values if self.square else above * np.maximum(values, 0) + below * np.minimum(values, 0)

    def outputs(self, hidden, second, inputs):
        """Z (n, c) of values after the activation (n, r, …), with V (r, m) and X (n, d)."""
        done = False
        for layer in self.layers:
            match layer["op"]:
                case "average_pool":
                    found, inside = windows(hidden, layer)
                    hidden = found.sum(-1) / (found.shape[-1] if layer["counts_padding"] else inside.sum(-1))
                case "times_inputs":
                    hidden = hidden.reshape(*hidden.shape[:2], 1) * inputs[:, None, :]
                case _:
                    read = hidden.reshape(*hidden.shape[:2], 1, -1) if layer["op"] == "linear" else None
                    read = windows(hidden, layer)[0] if read is None else read
                    grid, weights = read.shape[2:-1], second.reshape(len(second), -1, read.shape[-1])
                    flat = read.reshape(*read.shape[:2], -1, read.shape[-1])
                    hidden = np.einsum("nrok,rjk->njo", flat, weights).reshape(len(read), -1, *grid)
                    done = True
        assert done
        return hidden.reshape(len(hidden), -1)

    def forward(self, inputs, first, bias, second):
        """Z (n, c)."""
        hidden = np.moveaxis(self.rows(inputs) @ first.T + bias, -1, 1)
        return self.outputs(self.activated(hidden), second, inputs)

    def form(self, inputs, scores, size):
        """H (n P, h) and S (n P, m): <Q, φ> = vᵀ Sᵀ σ(H u) for Q (n, c), v of m = size entries."""
        rows = self.rows(inputs)
        n, grid = len(rows), rows.shape[1:-1]
        found = np.zeros((n, math.prod(grid), size), scores.dtype)
        for place, entry in itertools.product(range(found.shape[1]), range(size)):
            hidden = np.zeros((n, 1, found.shape[1]), scores.dtype)
            hidden[:, :, place] = 1
            unit = np.eye(size)[entry : entry + 1]
            found[:, place, entry] = (scores * self.outputs(hidden.reshape(n, 1, *grid), unit, inputs)).sum(1)
        return rows.reshape(-1, rows.shape[-1]), found.reshape(-1, size)


def windows(values, layer):
    """What windows over the last axes read, (n, r, windows…, entries), and where it is inside, (windows…, entries)."""
    kernel, stride, padding = layer["kernel"], layer["stride"], layer["padding"]
    dilation = layer.get("dilation", [1] * len(kernel))
    grid = values.shape[2:]
    padded = np.pad(values, [(0, 0), (0, 0), *((pad, pad) for pad in padding)])
    inside = np.pad(np.ones(grid), [(pad, pad) for pad in padding])
    starts = []
    for extent, size, pad, step, gap in zip(grid, kernel, padding, stride, dilation, strict=True):
        starts.append(range(0, extent + 2 * pad - gap * (size - 1), step))
    counts = tuple(len(axis) for axis in starts)
    entries = list(itertools.product(*(range(size) for size in kernel)))
    found = np.zeros((*values.shape[:2], math.prod(counts), len(entries)), values.dtype)
    within = np.zeros((math.prod(counts), len(entries)))
    for window, start in enumerate(itertools.product(*starts)):
        for index, entry in enumerate(entries):
            place = tuple(s + gap * e for s, e, gap in zip(start, entry, dilation, strict=True))
            found[:, :, window, index] = padded[(slice(None), slice(None), *place)]
            within[window, index] = inside[place]
    return found.reshape(*values.shape[:2], *counts, -1), within.reshape(*counts, -1)


def number(value):
    """A number of a header, in text or not."""
    return float.fromhex(value) if isinstance(value, str) else float(value)
