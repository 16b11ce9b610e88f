"""Sections 2 and 3: the arrays that a statement asks for, its branches with their rows, and the weights of a loss."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from .container import Arrays
from .exact import Matrix, product, rational, root_above, total, zeros
from .layers import Geometry, geometry_of
from .penalties import Penalty, penalty_of
from .rejection import afford, require
from .schema import number


@dataclass(frozen=True)
class Branch:
    """One subnetwork with its parameters.

    Attributes:
        geometry: of its layers.
        bias: absent, free or penalized.
        penalty: of its parameters.
        rows: h_ip (N, h), after gate and averages.
        ones: what a bias is multiplied by in every row.
        first, biases, second: its parameters; no biases are zeros.
        factors: R of every sample (n, O·K) with `times_inputs`, else None.
    """

    geometry: Geometry
    bias: str
    penalty: Penalty
    rows: Matrix
    ones: Matrix
    first: Matrix
    biases: Matrix
    second: Matrix
    factors: Matrix | None

    @property
    def is_free(self) -> bool:
        """A bias without penalty beside a kink, which proofs treat as a column of its own."""
        return self.bias == "free" and self.geometry.kind == "kink"

    @property
    def columns(self) -> Matrix:
        """H; a root in its last column is taken from above, which makes no polar smaller."""
        if self.bias != "penalized":
            return self.rows
        return np.hstack([self.rows, (self.ones * root_above(self.penalty.bias_ratio))[:, None]])

    def outputs(self) -> Matrix:
        """Σ φ over the units (n, c)."""
        readout, units = self.geometry.readout, len(self.first)
        outputs, positions, entries = readout.shape
        hidden = product(self.rows, self.first.T) + self.ones[:, None] * self.biases[None]
        active = activated(hidden, self.geometry)
        samples = len(self.rows) // (1 if self.factors is not None else positions)
        result = zeros(samples * outputs, self.second.shape[1] // entries)
        for unit in range(units):
            if self.factors is None:
                flat = readout.transpose(1, 0, 2).reshape(positions, -1)
                read = product(active[:, unit].reshape(samples, positions), flat)
            else:
                read = active[:, unit][:, None] * self.factors
            result = result + product(read.reshape(-1, entries), self.second[unit].reshape(-1, entries).T)
        by_output: Matrix = result.reshape(samples, outputs, -1).transpose(0, 2, 1)
        return by_output.reshape(samples, -1)

    def scores(self, dual: Matrix) -> Matrix:
        """S (N, m) for A (n, c)."""
        readout = self.geometry.readout
        outputs, positions, entries = readout.shape
        samples = len(dual)
        split = dual.reshape(samples, -1, outputs)
        if self.factors is not None:
            factors = self.factors.reshape(samples, outputs, entries)
            summed: Matrix = (split[:, :, :, None] * factors[:, None]).sum(2)
            return summed.reshape(samples, -1)
        flat = product(split.reshape(-1, outputs), readout.reshape(outputs, -1))
        spread: Matrix = flat.reshape(samples, -1, positions, entries).transpose(0, 2, 1, 3)
        return spread.reshape(samples * positions, -1)


def activated(hidden: Matrix, geometry: Geometry) -> Matrix:
    """σ."""
    if geometry.kind == "none":
        return hidden
    if geometry.square:
        return hidden * hidden
    return np.where(hidden > 0, hidden, hidden * geometry.slope)


@dataclass(frozen=True)
class Statement:
    """A problem and a point of it.

    Attributes:
        inputs, targets: X, Y.
        weights: ω (n, c).
        branches: the subnetworks.
        outside: E, C and μ of each part.
        offset: (n, c), or None.
    """

    inputs: Matrix
    targets: Matrix
    weights: Matrix
    branches: list[Branch]
    outside: list[tuple[str, Matrix, Matrix, Fraction]]
    offset: Matrix | None

    @property
    def has_free_ones(self) -> bool:
        """Rule 21: columns of the dual point sum to zero."""
        free = any(branch.bias == "free" for branch in self.branches)
        return free or any(name == "ones" and decay == 0 for name, _, _, decay in self.outside)

    @property
    def has_free_inputs(self) -> bool:
        """The dual point is projected."""
        return any(name == "inputs" and decay == 0 for name, _, _, decay in self.outside)

    def outputs(self) -> Matrix:
        """Z of the network in the file."""
        result = zeros(*self.targets.shape) if self.offset is None else self.offset
        for branch in self.branches:
            result = result + branch.outputs()
        for _, features, weights, _ in self.outside:
            result = result + product(features, weights)
        return result


class Shapes:
    """Rule 10: takes the arrays in their order."""

    def __init__(self, arrays: Arrays) -> None:
        self.left = list(arrays.items())

    def take(self, name: str, *shape: int | None, dtype: str = "<f8") -> np.ndarray[Any, Any]:
        """The next array, which has this name, type and shape; None for any extent."""
        require(self.left, "shape")
        found, values = self.left.pop(0)
        require(found == name and values.dtype == np.dtype(dtype) and values.ndim == len(shape), "shape")
        require(
            all(asked in (None, extent) for asked, extent in zip(shape, values.shape, strict=True)),
            "shape",
        )
        return values


def statement_of(stated: dict[str, Any], shapes: Shapes) -> Statement:
    """The problem, with the parameters in the file."""
    width = math.prod(stated["inputs"])
    inputs = shapes.take("X", None, width)
    samples = len(inputs)
    targets = shapes.take("Y", samples, None)
    outputs = targets.shape[1]
    require(samples >= 1 and outputs >= 1, "shape")
    sample_weights = shapes.take("sample_weights", samples) if stated["sample_weights"] else None
    mask = shapes.take("mask", samples, outputs, dtype="|u1") if stated["mask"] else None
    afford(20 * inputs.size)
    exact = rational(inputs)
    offset = exact if stated["offset"] == "inputs" else None
    require(offset is None or outputs == width, "shape")
    if stated["offset"] == "array":
        offset = rational(shapes.take("offset", samples, outputs))
    branches = [
        branch_of(branch, f"F{at}", exact, stated["inputs"], outputs, shapes)
        for at, branch in enumerate(stated["branches"])
    ]
    outside = [outside_of(part, at, exact, outputs, shapes) for at, part in enumerate(stated["outside"])]
    weights = weights_of(stated["loss"], rational(targets), sample_weights, mask)
    return Statement(exact, rational(targets), weights, branches, outside, offset)


def outside_of(
    part: dict[str, Any], at: int, inputs: Matrix, outputs: int, shapes: Shapes
) -> tuple[str, Matrix, Matrix, Fraction]:
    """One part outside the branches."""
    features = inputs if part["features"] == "inputs" else zeros(len(inputs), 1) + 1
    decay = number(part["decay"])
    require(decay >= 0, "strength")
    return part["features"], features, rational(shapes.take(f"C{at}", features.shape[1], outputs)), decay


def branch_of(
    stated: dict[str, Any], name: str, inputs: Matrix, shape: list[int], outputs: int, shapes: Shapes
) -> Branch:
    """One branch: its layers, rules 8 and 14, and its parameters."""
    geometry = geometry_of(stated["layers"], shape)
    bias = stated["bias"]
    penalty = penalty_of(stated["penalty"], geometry.square)
    produced, positions, entries = geometry.readout.shape
    plain = produced == positions == entries == 1
    if bias == "free":
        require(geometry.averages is None and geometry.gate is None and not geometry.square, "unbounded-polar")
        require(geometry.kind == "none" or plain, "unbounded-polar")
    require(outputs % produced == 0, "shape")
    scores, length = outputs // produced * entries, len(geometry.reads[0])
    first = shapes.take(f"{name}.0", None, length)
    units = len(first)
    biases = shapes.take(f"{name}.bias", units) if bias != "absent" else np.zeros(units)
    second = shapes.take(f"{name}.1", units, scores)
    rows, ones = rows_of(geometry, inputs)
    count, size = len(rows), length + (bias == "penalized")
    require(count * max(size, units, scores, outputs) <= 2**28, "size-limit")
    require(units * positions * max(scores, outputs) <= 2**28, "size-limit")
    require(scores * size * (size if geometry.kind != "none" else 1) <= 2**28, "size-limit")
    factors = None
    if geometry.averages is not None:
        factors = product(inputs, geometry.readout.transpose(1, 0, 2).reshape(positions, -1))
    return Branch(geometry, bias, penalty, rows, ones, rational(first), rational(biases), rational(second), factors)


def rows_of(geometry: Geometry, inputs: Matrix) -> tuple[Matrix, Matrix]:
    """Rows h_ip, and what a bias is multiplied by in each."""
    samples, length = len(inputs), len(geometry.reads[0])
    afford(10 * samples * len(geometry.reads) * length)
    padded = np.hstack([inputs, zeros(samples, 1)])
    places = [[-1 if place is None else place for place in window] for window in geometry.reads]
    rows = np.stack([padded[:, window] for window in places], axis=1)
    ones = zeros(samples, len(places)) + 1
    if geometry.averages is not None:
        averages = np.array([geometry.averages], object)
        rows = np.stack([product(averages, sample) for sample in rows])
        ones = zeros(samples, 1) + total(geometry.averages)
    if geometry.gate is not None:
        weights, bias = geometry.gate
        opens = product(inputs, np.array(weights, object)[:, None])[:, 0] + bias > 0
        factor = np.array([Fraction(int(is_open)) for is_open in opens], object)
        rows, ones = rows * factor[:, None, None], ones * factor[:, None]
    return rows.reshape(-1, length), ones.ravel()


def weights_of(
    loss: dict[str, Any],
    targets: Matrix,
    sample_weights: np.ndarray[Any, Any] | None,
    mask: np.ndarray[Any, Any] | None,
) -> Matrix:
    """ω, rule 15."""
    scale, crossed = number(loss["scale"]), loss["name"] == "cross-entropy"
    require(scale > 0, "scale")
    weights: Matrix = zeros(*targets.shape) + scale
    if sample_weights is not None:
        require(np.all(sample_weights >= 0), "sample-weights")
        weights = weights * rational(sample_weights)[:, None]
    observed = targets.size
    if mask is not None:
        require(not crossed and np.all(mask <= 1) and np.any(mask), "mask")
        observed = int(mask.sum(dtype=np.int64))
        weights = np.where(mask == 1, weights, zeros(*targets.shape))
    if loss["reduction"] == "mean":
        weights = weights / (len(targets) if crossed else observed)
    return weights
