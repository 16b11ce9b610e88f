"""Rules 30 to 33: a kink on cones that are split until every one of them proves the bound."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from fractions import Fraction
from typing import NamedTuple

import numpy as np
from scipy.optimize import nnls

from ..exact import Matrix, identity, inner, integers, norms_above, product, rational, root_above, total, zeros
from ..rejection import afford, require
from .task import Task

DEEPEST, ROUNDS = 200, 3
Leaves = Iterator[list[int]]


class Generator(NamedTuple):
    """v, with all g_i·v as integers over a denominator."""

    direction: tuple[Fraction, ...]
    numerators: Matrix
    denominator: int

    def midpoint(self, other: Generator) -> Generator:
        """(v + v')/2, which binary64 must hold."""
        direction = tuple((one + two) / 2 for one, two in zip(self.direction, other.direction, strict=True))
        require(all(Fraction(float(entry)) == entry for entry in direction), "cone-tree-midpoint")
        common = math.lcm(self.denominator, other.denominator)
        mine, its = common // self.denominator, common // other.denominator
        return Generator(direction, mine * self.numerators + its * other.numerators, 2 * common)


class Cone(NamedTuple):
    """W⁺, W⁻, b Q (N, m) as integers over a denominator; coordinates at the end outside the norm; T."""

    positive: Matrix
    negative: Matrix
    linear: Matrix
    denominator: int
    free: int
    limit: Fraction

    def prove(self, generators: list[Generator], tangents: list[int]) -> None:
        """Rule 33 for one leaf."""
        directions = np.array([each.direction[: len(generators) - self.free] for each in generators], object)
        bounded = (directions != 0).any(1)
        common = math.lcm(*(generator.denominator for generator in generators))
        parts = zip(tangents, generators, strict=True)
        middle = sum(tangent * (common // part.denominator) * part.numerators for tangent, part in parts)
        if not bounded.all():
            middle = generators[np.argmin(bounded)].numerators
        active = np.greater(middle, 0)[:, None]
        sides = np.where(active, self.positive, 0), np.where(active, self.negative, 0)
        # Generators ± the free axis have val 0 = w·v.
        values = [self.value(generator, *sides) for generator in itertools.compress(generators, bounded)]
        require(reaches_within(directions[bounded], np.array(values, object), self.limit), "polar")

    def value(self, generator: Generator, positive: Matrix, negative: Matrix) -> Fraction:
        """val of a generator, with the weights of active rows."""
        reached, scale = generator.numerators, generator.denominator * self.denominator
        bent, linear = np.maximum(reached, 0), reached @ self.linear
        above = bent @ self.positive - reached @ negative + linear
        if len(above) == 1:
            return Fraction(above[0], scale)
        below = reached @ positive - bent @ self.negative + linear
        sizes = [sum(entry * entry for entry in side) for side in (above + below, above - below)]
        return total(root_above(Fraction(size, 4 * scale**2)) for size in sizes)


def visit(cone: Cone, generators: list[Generator], splits: Iterator[int], leaves: Leaves, left: int) -> None:
    """A node and all below it, at most so deep."""
    split = next(splits, None)
    if not split:
        tangents = next(leaves, None)
        require(split == 0 and tangents is not None, "cone-tree-shape")
        cone.prove(generators, tangents or [])
        return
    require(left > 0, "cone-tree-depth")
    edges = list(itertools.combinations(range(len(generators)), 2))
    require(split <= len(edges), "cone-tree-shape")
    edge = edges[split - 1]
    middle = generators[edge[0]].midpoint(generators[edge[1]])
    for end in edge:
        visit(cone, [*generators[:end], middle, *generators[end + 1 :]], splits, leaves, left - 1)


def orthants(rows: Matrix) -> Iterator[list[Generator]]:
    whole, common = integers(rows)
    units = identity(rows.shape[1])
    for root in range(2 ** len(units)):
        signs = [-1 if root >> axis & 1 else 1 for axis in range(len(units))]
        yield [Generator(tuple(sign * units[at]), sign * whole[:, at], common) for at, sign in enumerate(signs)]


def cone_tree(task: Task) -> None:
    """Rule 30, and the trees below it."""
    columns, scores, free = task.branch.columns, task.scores, int(task.branch.is_free)
    slope, outputs = task.branch.geometry.slope, scores.shape[1]
    frame = task.array("frame", columns.shape[1], None)
    rows = task.array("rows", len(columns), frame.shape[1])
    size = frame.shape[1] + free
    require(1 <= size <= 14, "size-limit")
    splits = task.shapes.take(f"{task.name}.splits", None, dtype="|u1")
    tangents = task.shapes.take(f"{task.name}.tangents", None, size, dtype="|u1")
    afford(len(tangents) * (5000 + len(rows) * size * (3 if outputs == 1 else 6 * outputs)))
    rest = norms_above(task.moved() - product(rows, frame.T))
    if free:
        column = task.array("column", 1)[0]
        top = float(max(abs(entry) for entry in [*rows.ravel(), column]))
        require(column > 0 and math.ldexp(float(column), -math.frexp(top)[1]) > 0, "cone-tree-column")
        rows = np.hstack([rows, np.full((len(rows), 1), column, object)])
    left = task.upper - task.branch.geometry.lipschitz * inner(norms_above(scores), rest)
    require(left >= 0, "polar")
    stretch = root_above(max((total(map(abs, row)) for row in product(frame.T, frame)), default=Fraction(0)))
    limit = left / stretch if stretch else Fraction(2) ** 1000
    nodes, leaves = iter(splits.tolist()), iter(tangents.tolist())
    for sign in (-1, 1) if outputs == 1 else (-1,):
        (bent, linear), common = integers(sign * np.stack([(1 - slope) * scores, slope * scores]))
        cone = Cone(np.maximum(bent, 0), np.maximum(-bent, 0), linear, common, free, limit)
        for generators in orthants(rows):
            visit(cone, generators, nodes, leaves, DEEPEST)
    require(next(nodes, None) is None and next(leaves, None) is None, "cone-tree-shape")


def reaches_within(directions: Matrix, values: Matrix, limit: Fraction) -> bool:
    """A w with |w| ≤ limit is found; entries of one place have one sign in all directions, and no direction is zero."""
    top = max(values, default=Fraction(0))
    if top <= 0 or limit == 0:
        return top <= 0
    guess = top * least(directions, np.maximum(values / top, -(2**500)))
    # Along the signs of the orthant every v grows by |v|₁.
    missing = max(0, *((values - directions @ guess) / abs(directions).sum(1)))
    moved = guess + missing * np.sign(directions.sum(0))
    return bool(moved @ moved <= limit**2)


def least(directions: Matrix, values: Matrix) -> Matrix:
    """Lawson and Hanson's solution of the quadratic program, refined from floats to three times their digits."""
    floats, size = directions.astype(float), directions.shape[1]
    active = nnls(np.vstack([floats.T, values.astype(float)]), np.append(np.zeros(size), 1.0))[0] > 0
    guess = zeros(size)
    for _ in range(ROUNDS):
        rest = values[active] - directions[active] @ guess
        scale = max(map(abs, rest)) or Fraction(1)
        step = np.linalg.lstsq(floats[active], (rest / scale).astype(float), rcond=None)[0]
        guess = guess + scale * rational(step)
    return guess
