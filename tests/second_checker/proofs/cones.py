"""Rules 30 to 33: a kink on cones that are split until every one of them proves the bound."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from ..exact import Matrix, integers, norms_above, product, rational, root_above, total
from ..rejection import afford, require
from .least_vector import reaches_within
from .task import Task

DEEPEST = 200


@dataclass(frozen=True)
class Generator:
    """v, with all g_i·v as integers over a denominator."""

    direction: tuple[Fraction, ...]
    numerators: Matrix
    denominator: int

    def midpoint(self, other: Generator) -> Generator:
        """(v + v')/2, which binary64 must hold."""
        direction = tuple((one + two) / 2 for one, two in zip(self.direction, other.direction, strict=True))
        require(all(Fraction(float(entry)) == entry for entry in direction), "cone-tree-midpoint")
        common = 2 * math.lcm(self.denominator, other.denominator)
        mine, its = common // (2 * self.denominator), common // (2 * other.denominator)
        return Generator(direction, mine * self.numerators + its * other.numerators, common)


@dataclass(frozen=True)
class Cone:
    """Σ Q_i σ(g_i·a) to be bounded; weights are integers over one denominator.

    Attributes:
        positive, negative: W⁺, W⁻ (N, m).
        linear: b Q.
        denominator: of these.
        has_free_axis: the last coordinate is outside the norm.
        limit: T.
    """

    positive: Matrix
    negative: Matrix
    linear: Matrix
    denominator: int
    has_free_axis: bool
    limit: Fraction

    def is_free_axis(self, generator: Generator) -> bool:
        """± the last coordinate."""
        return self.has_free_axis and not any(generator.direction[:-1])

    def prove(self, generators: list[Generator], tangents: list[int]) -> None:
        """Rule 33 for one leaf."""
        axis = next((generator for generator in generators if self.is_free_axis(generator)), None)
        inner = axis.numerators if axis else 0
        if axis is None:
            common = math.lcm(*(generator.denominator for generator in generators))
            for tangent, generator in zip(tangents, generators, strict=True):
                inner = inner + tangent * (common // generator.denominator) * generator.numerators
        active = np.greater(inner, 0)[:, None]
        bounded = [generator for generator in generators if not self.is_free_axis(generator)]
        directions = [generator.direction[: -1 if self.has_free_axis else None] for generator in bounded]
        values = self.values(bounded, np.where(active, self.positive, 0), np.where(active, self.negative, 0))
        require(reaches_within(directions, values, self.limit), "polar")

    def values(self, generators: list[Generator], positive: Matrix, negative: Matrix) -> list[Fraction]:
        """val of each generator."""
        result = []
        for generator in generators:
            reached, scale = generator.numerators, generator.denominator * self.denominator
            bent, linear = np.maximum(reached, 0), reached @ self.linear
            above = bent @ self.positive - reached @ negative + linear
            if len(above) == 1:
                result.append(Fraction(above[0], scale))
                continue
            below = reached @ positive - bent @ self.negative + linear
            sizes = [sum(entry * entry for entry in side) for side in (above + below, above - below)]
            result.append(total(root_above(Fraction(size, 4 * scale**2)) for size in sizes))
        return result


class Tree:
    """Reads nodes in preorder."""

    def __init__(self, splits: list[int], tangents: list[list[int]]) -> None:
        self.splits, self.tangents = iter(splits), iter(tangents)

    def visit(self, cone: Cone, generators: list[Generator], depth: int = 0) -> None:
        """A node and all below it."""
        split = next(self.splits, None)
        require(split is not None, "cone-tree-shape")
        if not split:
            tangents = next(self.tangents, None)
            require(tangents is not None, "cone-tree-shape")
            cone.prove(generators, tangents or [])
            return
        require(depth < DEEPEST, "cone-tree-depth")
        edges = list(itertools.combinations(range(len(generators)), 2))
        require(split <= len(edges), "cone-tree-shape")
        middle = None
        for end, other in (edges[split - 1], edges[split - 1][::-1]):
            middle = middle or generators[end].midpoint(generators[other])
            self.visit(cone, [*generators[:end], middle, *generators[end + 1 :]], depth + 1)


def orthants(rows: Matrix) -> Iterator[list[Generator]]:
    """The cones of the roots."""
    whole, common = integers(rows)
    size = rows.shape[1]
    for root in range(2**size):
        signs = [-1 if root >> axis & 1 else 1 for axis in range(size)]
        yield [
            Generator(tuple(Fraction(sign * (at == axis)) for at in range(size)), sign * whole[:, axis], common)
            for axis, sign in enumerate(signs)
        ]


def cone_tree(task: Task) -> None:
    """Rule 30, and the tree below it."""
    columns, free = task.columns, task.branch.is_free
    frame = task.array("frame", columns.shape[1], None)
    rows = task.array("rows", len(columns), frame.shape[1])
    size = frame.shape[1] + free
    require(1 <= size <= 14, "size-limit")
    splits = task.shapes.take(f"{task.name}.splits", None, dtype="|u1").tolist()
    tangents = task.bytes("tangents", None, size)
    afford(len(tangents) * len(rows) * size * 3 * (1 if task.scores.shape[1] == 1 else 2 * task.scores.shape[1]))
    moved = columns
    if free:
        moved = columns - task.array("center", columns.shape[1])[None]
    rest = norms_above(moved - product(rows, frame.T))
    if free:
        rows = with_free_axis(rows, task.array("column", 1)[0])
    loss = total(score * far for score, far in zip(norms_above(task.scores), rest, strict=True))
    left = task.upper - task.branch.geometry.lipschitz * loss
    require(left >= 0, "polar")
    stretch = root_above(max((total(map(abs, row)) for row in product(frame.T, frame)), default=Fraction(0)))
    prove_all(task, rows, left / stretch if stretch else None, Tree(splits, tangents))


def with_free_axis(rows: Matrix, column: Fraction) -> Matrix:
    """G with κ appended, which stays positive where G and κ are scaled to at most 1."""
    top = float(max(abs(entry) for entry in [*rows.ravel(), column]))
    require(column > 0 and float(column) * 2.0 ** -math.frexp(top)[1] > 0, "cone-tree-column")
    return np.hstack([rows, np.full((len(rows), 1), column, object)])


def prove_all(task: Task, rows: Matrix, limit: Fraction | None, tree: Tree) -> None:
    """All roots; a frame of zeros leaves nothing to bound."""
    slope, outputs = task.branch.geometry.slope, task.scores.shape[1]
    largest = limit if limit is not None else rational(np.array([2.0**1000]))[0]
    for sign in (-1, 1) if outputs == 1 else (-1,):
        scores = sign * task.scores
        whole, common = integers(np.stack([(1 - slope) * scores, slope * scores]))
        bent, linear = whole
        cone = Cone(np.maximum(bent, 0), np.maximum(-bent, 0), linear, common, task.branch.is_free, largest)
        for generators in orthants(rows):
            tree.visit(cone, generators)
    require(next(tree.splits, None) is None and next(tree.tangents, None) is None, "cone-tree-shape")
