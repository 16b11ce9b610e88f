"""One subnetwork with its penalty and parameters: rules 8 and 14, rows, outputs and scores."""

import math
from collections.abc import Iterable, Sequence
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np

from .container import Shapes
from .exact import Matrix, norms_above, product, rational, root_above, square_norms, total, zeros
from .layers import Geometry
from .rejection import afford, require
from .schema import number
from .sides import Side, side_of

Stated = dict[str, Any]
ROUND = (Side(Fraction(0), Fraction(1), Fraction(0), cone=False),) * 2


class Penalty(NamedTuple):
    """λ², s₀/s_b (the square of the column of a penalized bias), [s₀, s_b, s₁] of weight decay, p₀, D, and norms."""

    square_strength: Fraction
    bias_ratio: Fraction
    decays: tuple[Fraction, Fraction, Fraction] | None
    power: int
    degree: int = 2
    sides: tuple[Side, Side] = ROUND

    def above(self, first: Matrix, biases: Matrix, second: Matrix) -> Fraction:
        """At least Σ θ, and no more than roots need; biases that are not penalized are zeros here."""
        squares = [square_norms(first), square_norms(biases), square_norms(second)]
        if self.decays is not None:
            return sum(decay * total(own) for decay, own in zip(self.decays, squares, strict=True)) / Fraction(2)
        if not self.is_round:
            pairs = zip(self.sides[0].above(np.hstack([first, biases])), self.sides[1].above(second), strict=True)
            return root_above(self.square_strength) * total(one * other for one, other in pairs)
        units = zip(*squares, strict=True)
        sizes = [root_above((one + bias) ** self.power * other) for one, bias, other in units]
        return root_above(self.square_strength) * total(sizes)

    @property
    def is_round(self) -> bool:
        return all(side.is_round for side in self.sides)


class Branch(NamedTuple):
    """Rows h_ip and, in a last column, what a bias is multiplied by; first weights with biases; second; x_i R."""

    geometry: Geometry
    bias: str
    penalty: Penalty
    rows: Matrix
    first: Matrix
    second: Matrix
    factors: Matrix | None
    diagonals: tuple[Matrix, ...] = ()
    tied: bool = False

    @property
    def kind(self) -> str:
        """The activation; `other` for none under norms that are not round, `tied` for one weight that is read twice."""
        if self.tied:
            return "tied"
        return self.geometry.kind if self.penalty.is_round else "other"

    @property
    def square_strength(self) -> Fraction:
        return self.penalty.square_strength

    @property
    def degree(self) -> int:
        return self.penalty.degree

    @property
    def cost(self) -> Fraction:
        """At least Σ θ."""
        biases = self.first[:, -1:] * (self.bias == "penalized")
        return self.penalty.above(self.first[:, :-1], biases, self.second)

    @property
    def is_free(self) -> bool:
        """A bias without penalty beside a kink, which proofs treat as a column of its own."""
        return self.bias == "free" and self.geometry.kind == "kink"

    @property
    def columns(self) -> Matrix:
        """H; a root in its last column is taken from above, which makes no polar smaller."""
        rows, ones = self.rows[:, :-1], self.rows[:, -1:]
        return np.hstack([rows, ones * root_above(self.penalty.bias_ratio)]) if self.bias == "penalized" else rows

    @property
    def reach(self) -> list[Fraction]:
        """At least what each row gives a unit of norm one, without its factor for `times_inputs`."""
        if self.geometry.kind == "square":
            return square_norms(self.columns)
        sizes = norms_above(self.columns)
        if not self.penalty.is_round:
            (left, right), m = self.penalty.sides, self.second.shape[1]
            return [left.radius_above(self.columns.shape[1]) * right.radius_above(m) * size for size in sizes]
        more = max(sizes) if self.is_free else 0
        return [self.geometry.lipschitz * (size + more) for size in sizes]

    def outputs(self, samples: int) -> Matrix:
        outputs, _, entries = self.geometry.readout.shape
        given, slope = product(self.rows, self.first.T), self.geometry.slope
        bent = np.maximum(given, 0) + slope * np.minimum(given, 0)
        active = given * given if self.geometry.kind == "square" else bent
        result = zeros(samples * outputs, self.second.shape[1] // entries)
        for unit, second in enumerate(self.second):
            own = active[:, unit].reshape(samples, -1)
            read = product(own, self.geometry.spread) if self.factors is None else own[:, :, None] * self.factors
            result = result + product(read.reshape(-1, entries), second.reshape(-1, entries).T)
        by_output: Matrix = result.reshape(samples, outputs, -1).transpose(0, 2, 1)
        return by_output.reshape(samples, -1)

    def scores(self, dual: Matrix) -> Matrix:
        outputs, positions, entries = self.geometry.readout.shape
        samples = len(dual)
        if self.factors is not None:
            split: Matrix = dual.reshape(samples, -1, outputs, 1) * self.factors[:, None]
            return np.asarray(split.sum(2)).reshape(samples, -1)
        flat = product(dual.reshape(-1, outputs), self.geometry.readout.reshape(outputs, -1))
        by_position: Matrix = flat.reshape(samples, -1, positions, entries).transpose(0, 2, 1, 3)
        return by_position.reshape(samples * positions, -1)


def branch_of(stated: Stated, geometry: Geometry, name: str, inputs: Matrix, outputs: int, shapes: Shapes) -> Branch:
    bias, penalty = stated["bias"], penalty_of(stated["penalty"], geometry.kind)
    tied = stated["layers"][-1:] == [{"op": "transposed"}]
    produced, _, entries = geometry.readout.shape
    if bias == "free":
        fits = geometry.kind == "none" or (geometry.kind == "kink" and geometry.readout.size == 1)
        require(fits and geometry.averages is None and geometry.gate is None and not tied, "unbounded-polar")
    require(outputs % produced == 0, "shape")
    scores, length = outputs // produced * entries, len(geometry.reads[0])
    first = shapes.take(f"{name}.0", None, length)
    units = len(first)
    biases = shapes.take(f"{name}.bias", units) if bias != "absent" else np.zeros(units)
    require(not tied or scores == length, "shape")
    second = first if tied else shapes.take(f"{name}.1", units, scores)
    rows = rows_of(geometry, inputs)
    size = length + (bias == "penalized")
    require(len(rows) * max(size, units, scores, outputs) <= 2**28, "size-limit")
    require(units * len(geometry.readout[0]) * max(scores, outputs) <= 2**28, "size-limit")
    require(scores * size * (size if geometry.kind != "none" else 1) <= 2**28, "size-limit")
    factors = None
    if geometry.averages is not None:
        factors = product(inputs, geometry.spread).reshape(-1, produced, entries)
    weights = rational(np.column_stack([first, biases]))
    counted = weights if bias == "penalized" else weights[:, :-1]
    for side, factor in zip(penalty.sides, (counted, second), strict=True):
        require(not side.cone or np.all(factor >= 0), "cone")
    return Branch(geometry, bias, penalty, rows, weights, rational(second), factors, tied=tied)


def rows_of(geometry: Geometry, inputs: Matrix) -> Matrix:
    samples, width = inputs.shape
    afford(10 * samples * sum(map(len, geometry.reads)))
    padded = np.hstack([inputs, 1 + zeros(samples, 1), zeros(samples, 1)])
    rows: Matrix = np.stack([padded[:, [*window, width]] for window in geometry.reads], axis=1)
    if geometry.averages is not None:
        rows = np.stack([product(geometry.averages, sample) for sample in rows])
    if geometry.gate is not None:
        weights = np.array([[number(entry)] for entry in geometry.gate["weights"]], object)
        opens = product(inputs, weights) > -number(geometry.gate["bias"])
        rows = rows * rational(opens)[:, :, None]
    return rows.reshape(-1, rows.shape[2])


def penalty_of(stated: Stated, kind: str) -> Penalty:
    has_square = kind == "square"
    if stated["name"] == "weight-decay":
        own, *others = map(number, stated["strengths"])
        require(len(others) < 2, "degree")
        bias = own if stated["bias"] is None else number(stated["bias"])
        if not others:
            require(min(own, bias) > 0, "strength")
            return Penalty((own / 2) ** 2, own / bias, (own, bias, Fraction(0)), 1)
        (other,) = others
        require(min(own, other, bias) > 0, "strength")
        degrees = (2, 1) if has_square else (1, 1)
        strength = square_strength((own, other), degrees)
        return Penalty(strength, own / bias, (own, bias, other), degrees[0], sum(degrees))
    if stated["name"] == "factor-norms":
        require(kind == "none", "degree")
        strength, sides = number(stated["strength"]), (side_of(stated["left"]), side_of(stated["right"]))
        require(strength > 0, "strength")
        return Penalty(strength**2, Fraction(1), None, 1, 2, sides)
    require(stated["powers"] == ([2, 1] if has_square else [1, 1]), "degree")
    strength = number(stated["strength"])
    require(strength > 0, "strength")
    return Penalty(strength**2, Fraction(1), None, stated["powers"][0])


def square_strength(decays: Iterable[Fraction], degrees: Sequence[int]) -> Fraction:
    """λ² of weight decays, by rule 62."""
    pairs = zip(decays, degrees, strict=True)
    return math.prod((sum(degrees) * decay / (2 * degree)) ** degree for decay, degree in pairs)
