"""Rules 30 to 33: a kink on cones that are split until every one of them proves the bound."""

import itertools
import math
from fractions import Fraction
from typing import NamedTuple

import numpy as np
from scipy.optimize import nnls

from ..exact import Matrix, inner, norms_above, product, rational, root_above, total, zeros
from ..rejection import afford, require
from .task import Node, Task, trees

DEEPEST, ROUNDS = 200, 3


class Cone(NamedTuple):
    """W and b Q (N, m) of one sign, rows with a free column, coordinates at the end outside the norm, T, b and D."""

    bent: Matrix
    linear: Matrix
    rows: Matrix
    free: int
    limit: Fraction
    slope: Fraction
    diagonals: list[Matrix]

    def prove(self, directions: Matrix, tangents: Matrix) -> None:
        """Rule 33 for one leaf with generators (K, K)."""
        inside = directions[:, : len(directions) - self.free]
        bounded, reached = (inside != 0).any(1), product(directions, self.rows.T)
        middle = tangents @ reached if bounded.all() else reached[np.argmin(bounded)]
        # Generators ± the free axis have val 0 = w·v.
        reached, active = reached[bounded], np.greater(middle, 0)[:, None]
        bent, linear = np.maximum(reached, 0), product(reached, self.linear)
        positive, negative = np.maximum(self.bent, 0), np.maximum(-self.bent, 0)
        above = product(bent, positive) - product(reached, active * negative) + linear
        values = above[:, 0]
        if above.shape[1] > 1 or self.diagonals:
            below = product(reached, active * positive) - product(bent, negative) + linear
            values = np.sum([norms_above(above + below), norms_above(above - below)], axis=0) / Fraction(2)
        squares = (bent + self.slope * np.minimum(reached, 0)) ** 2
        for weights in self.diagonals:
            values = values + np.array([root_above(inner(weights, row)) for row in squares], object)
        require(reaches_within(inside[bounded], values, self.limit), "polar")


def visit(cone: Cone, node: Node, directions: Matrix) -> None:
    split, below = node
    if not split:
        cone.prove(directions, np.array(below.tolist(), object))
        return
    edges = list(itertools.combinations(range(len(directions)), 2))
    require(split <= len(edges), "cone-tree-split")
    middle = directions[list(edges[split - 1])].sum(0) / Fraction(2)
    require(all(Fraction(float(entry)) == entry for entry in middle), "cone-tree-midpoint")
    for end, child in zip(edges[split - 1], below, strict=True):
        moved = directions.copy()
        moved[end] = middle
        visit(cone, child, moved)


def cone_tree(task: Task) -> None:
    """Rule 30, and the trees below it."""
    columns, scores, free = task.branch.columns, task.scores, int(task.branch.is_free)
    slope, outputs, diagonals = task.branch.geometry.slope, scores.shape[1], list(task.branch.diagonals)
    signs = 1 + (outputs == 1 and not diagonals)
    frame = task.array("frame", columns.shape[1], None)
    rows = task.array("rows", len(columns), frame.shape[1])
    size = frame.shape[1] + free
    require(1 <= size <= 14, "size-limit")
    splits = task.shapes.take(f"{task.name}.splits", None, dtype="|u1")
    tangents = task.shapes.take(f"{task.name}.tangents", None, size, dtype="|u1")
    afford(len(tangents) * (5000 + len(rows) * size * (10 if outputs == 1 else 16 * outputs)))
    rest = norms_above(task.moved() - product(rows, frame.T))
    if free:
        column = task.array("column", 1)[0]
        top = float(max(abs(entry) for entry in [*rows.ravel(), column]))
        require(column > 0 and math.ldexp(float(column), -math.frexp(top)[1]) > 0, "cone-tree-column")
        rows = np.hstack([rows, np.full((len(rows), 1), column, object)])
    lost = inner(norms_above(scores), rest)
    lost += sum(root_above(inner(weights, np.array(rest, object) ** 2)) for weights in diagonals)
    left = task.upper - task.branch.geometry.lipschitz * lost
    require(left >= 0, "polar")
    stretch = root_above(max((total(map(abs, row)) for row in product(frame.T, frame)), default=Fraction(0)))
    limit = left / stretch if stretch else Fraction(2) ** 1000
    roots = iter(trees(splits, tangents, (0,), signs << size, DEEPEST, "cone-tree-shape"))
    for sign in (-1, 1)[:signs]:
        own = sign * scores
        cone = Cone((1 - slope) * own, slope * own, rows, free, limit, slope, diagonals)
        for axes in itertools.product((1, -1), repeat=size):
            visit(cone, next(roots), np.diag(axes[::-1]).astype(object))


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
