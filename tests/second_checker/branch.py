"""One subnetwork with its parameters: rules 8 and 14, rows, outputs and scores."""

from typing import Any, NamedTuple

import numpy as np

from .container import Shapes
from .exact import Matrix, product, rational, root_above, total, zeros
from .layers import Geometry, geometry_of
from .penalties import Penalty, penalty_of
from .rejection import afford, require
from .schema import number


class Branch(NamedTuple):
    """Rows h_ip, ones (what a bias is multiplied by in each), parameters, and with `times_inputs` R of every sample."""

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
        return np.hstack([self.rows, self.ones * root_above(self.penalty.bias_ratio)])

    def outputs(self, samples: int) -> Matrix:
        """Σ φ over the units (n, c)."""
        outputs, positions, entries = self.geometry.readout.shape
        active = product(self.rows, self.first.T) + self.ones * self.biases[None]
        if self.geometry.kind == "square":
            active = active * active
        elif self.geometry.kind == "kink":
            active = np.where(active > 0, active, active * self.geometry.slope)
        result = zeros(samples * outputs, self.second.shape[1] // entries)
        spread = self.geometry.readout.transpose(1, 0, 2).reshape(positions, -1)
        for unit, second in enumerate(self.second):
            own = active[:, unit].reshape(samples, -1)
            read = product(own, spread) if self.factors is None else own[:, :, None] * self.factors
            result = result + product(read.reshape(-1, entries), second.reshape(-1, entries).T)
        by_output: Matrix = result.reshape(samples, outputs, -1).transpose(0, 2, 1)
        return by_output.reshape(samples, -1)

    def scores(self, dual: Matrix) -> Matrix:
        """S (N, m) for A (n, c)."""
        outputs, positions, entries = self.geometry.readout.shape
        samples = len(dual)
        if self.factors is not None:
            split: Matrix = dual.reshape(samples, -1, outputs, 1) * self.factors[:, None]
            return np.asarray(split.sum(2)).reshape(samples, -1)
        flat = product(dual.reshape(-1, outputs), self.geometry.readout.reshape(outputs, -1))
        by_position: Matrix = flat.reshape(samples, -1, positions, entries).transpose(0, 2, 1, 3)
        return by_position.reshape(samples * positions, -1)


def branch_of(
    stated: dict[str, Any], name: str, inputs: Matrix, shape: list[int], outputs: int, shapes: Shapes
) -> Branch:
    """One branch, with arrays of a name such as `F0`."""
    geometry, bias = geometry_of(stated["layers"], shape), stated["bias"]
    penalty = penalty_of(stated["penalty"], geometry.kind == "square")
    produced, positions, entries = geometry.readout.shape
    if bias == "free":
        fits = geometry.kind == "none" or (geometry.kind == "kink" and geometry.readout.size == 1)
        require(fits and geometry.averages is None and geometry.gate is None, "unbounded-polar")
    require(outputs % produced == 0, "shape")
    scores, length = outputs // produced * entries, len(geometry.reads[0])
    first = shapes.take(f"{name}.0", None, length)
    units = len(first)
    biases = shapes.take(f"{name}.bias", units) if bias != "absent" else np.zeros(units)
    second = shapes.take(f"{name}.1", units, scores)
    rows, ones = rows_of(geometry, inputs)
    size = length + (bias == "penalized")
    require(len(rows) * max(size, units, scores, outputs) <= 2**28, "size-limit")
    require(units * positions * max(scores, outputs) <= 2**28, "size-limit")
    require(scores * size * (size if geometry.kind != "none" else 1) <= 2**28, "size-limit")
    factors = None
    if geometry.averages is not None:
        spread = geometry.readout.transpose(1, 0, 2).reshape(positions, -1)
        factors = product(inputs, spread).reshape(-1, produced, entries)
    return Branch(geometry, bias, penalty, rows, ones, rational(first), rational(biases), rational(second), factors)


def rows_of(geometry: Geometry, inputs: Matrix) -> tuple[Matrix, Matrix]:
    """Rows h_ip, and what a bias is multiplied by in each."""
    samples, length = len(inputs), len(geometry.reads[0])
    afford(10 * samples * len(geometry.reads) * length)
    padded = np.hstack([inputs, zeros(samples, 1)])
    rows: Matrix = np.stack([padded[:, window] for window in geometry.reads], axis=1)
    ones: Matrix = 1 + zeros(samples, len(geometry.reads))
    if geometry.averages is not None:
        averages = np.array([geometry.averages], object)
        rows, ones = np.stack([product(averages, sample) for sample in rows]), ones[:, :1] * total(geometry.averages)
    if geometry.gate is not None:
        weights = np.array([[number(entry)] for entry in geometry.gate["weights"]], object)
        opens = product(inputs, weights) + number(geometry.gate["bias"]) > 0
        factor = rational(opens.astype(float))
        rows, ones = rows * factor[:, :, None], ones * factor
    return rows.reshape(-1, length), ones.reshape(-1, 1)
