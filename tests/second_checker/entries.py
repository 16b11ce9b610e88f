"""Rules 49 and 59: a branch whose samples are places of a matrix or tensor, counts of places, and norms of factors."""

import math
from collections import Counter
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np

from .branch import square_strength
from .container import Shapes
from .exact import Matrix, filled, inner, rational, root_above, square_norms, total, zeros
from .rejection import afford, require
from .schema import number
from .sides import Side, side_of

Stated = dict[str, Any]


class EntryBranch(NamedTuple):
    """Places (n, K), extents, γ, factors, N_k(p) of all axes, λ², [s_k] of weight decay, and norms."""

    places: Matrix
    shape: list[int]
    scale: Fraction
    factors: list[Matrix]
    counts: list[list[int]]
    counted: bool
    square_strength: Fraction
    decays: list[Fraction] | None
    sides: list[Side]

    @property
    def kind(self) -> str:
        return "entries"

    @property
    def degree(self) -> int:
        return 2 if self.decays is None else len(self.shape)

    @property
    def weights(self) -> list[list[int]]:
        """What a square of each place of each axis counts; places without samples do not enter."""
        return [[max(count, 1) if self.counted else 1 for count in axis] for axis in self.counts]

    @property
    def cost(self) -> Fraction:
        """At least Σ θ."""
        if not self.is_round:
            norms = [side.above(factor) for side, factor in zip(self.sides, self.factors, strict=True)]
            return root_above(self.square_strength) * total(map(math.prod, zip(*norms, strict=True)))
        if self.decays is None:
            squares = zip(*map(square_norms, self.factors), strict=True)
            return root_above(self.square_strength) * total(root_above(math.prod(term)) for term in squares)
        result = Fraction(0)
        for decay, factor, counts in zip(self.decays, self.factors, self.counts, strict=True):
            shares = counts if self.counted else [1] * len(counts)
            result += decay / 2 * inner(square_norms(factor.T), map(Fraction, shares))
        return result

    @property
    def reach(self) -> list[Fraction]:
        """Not needed, since no part of the inputs is free beside entries."""
        return [Fraction(0)] * len(self.places)

    def outputs(self, samples: int) -> Matrix:
        units = len(self.factors[0])
        afford(20 * samples * units * len(self.factors))
        products = zeros(samples, units) + self.scale
        for places, factor in zip(self.places.T, self.factors, strict=True):
            products = products * factor.T[places.astype(int)]
        return filled((samples, 1), map(total, products))

    @property
    def is_round(self) -> bool:
        return all(side.is_round for side in self.sides)

    def scores(self, dual: Matrix) -> Matrix:
        return dual

    def values(self, dual: Matrix) -> Matrix:
        """γ A times radii: −R but for the roots of counts."""
        return wide(self.scale * dual[:, 0], self.sides, self.shape)

    def matrix(self, dual: Matrix) -> Matrix:
        """−R but for the roots of counts."""
        return self.dense(self.values(dual))

    def dense(self, values: Matrix) -> Matrix:
        require(len(self.shape) == 2, "proof-kind")
        afford(math.prod(self.shape))
        result = zeros(*self.shape)
        result[tuple(self.places.T.astype(int))] = values
        return result


def wide(tensor: Matrix, sides: list[Side], shape: list[int]) -> Matrix:
    """Times ρ of every axis."""
    for side, extent in zip(sides, shape, strict=True):
        tensor = tensor * side.radius_above(extent)
    return tensor


def entry_branch(stated: Stated, name: str, inputs: Matrix, outputs: int, shapes: Shapes) -> EntryBranch:
    layer, penalty = stated["layers"][0], stated["penalty"]
    extents, axes = layer["shape"], range(len(layer["shape"]))
    require(2 <= len(extents) <= 4 and math.prod(extents) < 2**62 and inputs.shape[1] == len(extents), "layers")
    require(outputs == 1, "shape")
    width, factors = None, []
    for axis in axes:
        factors.append(shapes.take(f"{name}.{axis}", width, extents[axis]))
        width = len(factors[0])
    require(max(len(inputs), max(width or 0, 1) * max(extents)) <= 2**28, "size-limit")
    afford(10 * sum(extents))
    for axis, extent in enumerate(extents):
        require(all(x.denominator == 1 and 0 <= x < extent for x in inputs[:, axis]), "entries")
    require(len({tuple(row) for row in inputs.tolist()}) == len(inputs), "entries")
    seen = [Counter(map(int, inputs[:, axis])) for axis in axes]
    counts = [[own[place] for place in range(extent)] for own, extent in zip(seen, extents, strict=True)]
    strength, decays, sides = strengths_of(penalty, len(extents))
    for side, factor in zip(sides, factors, strict=True):
        require(not side.cone or np.all(factor >= 0), "cone")
    counted = penalty["name"] == "counted-weight-decay"
    tables = [rational(factor) for factor in factors]
    return EntryBranch(inputs, extents, number(layer["scale"]), tables, counts, counted, strength, decays, sides)


def strengths_of(penalty: Stated, axes: int) -> tuple[Fraction, list[Fraction] | None, list[Side]]:
    sides = [Side(Fraction(0), Fraction(1), Fraction(0), cone=False)] * axes
    if penalty["name"] in ("product-of-norms", "factor-norms"):
        named = penalty["name"] == "factor-norms"
        require(len(penalty["norms"]) == axes if named else penalty["powers"] == [1] * axes, "degree")
        strength = number(penalty["strength"])
        require(strength > 0, "strength")
        return strength**2, None, [*map(side_of, penalty["norms"])] if named else sides
    decays = [*map(number, penalty["strengths"])]
    require(len(decays) == axes, "schema")
    require(axes == 2 or penalty["name"] == "weight-decay", "degree")
    require(min(decays) > 0, "strength")
    return square_strength(decays, [1] * axes), decays, sides
