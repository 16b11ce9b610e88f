"""Rule 48: signs of rows, decided until every leaf proves the bound."""

from fractions import Fraction
from typing import NamedTuple

import numpy as np

from ..exact import Matrix, inner, product, root_above, square_norms, zeros
from ..rejection import afford, require
from .majorants import Region, regions, require_nonnegative
from .task import Node, Task, trees

VOID = 255


class Sum(NamedTuple):
    """X̃, R and ρ, r and b q of one sign, and U."""

    where: Region
    bent: Matrix
    linear: Matrix
    limit: Fraction

    def length(self, weights: Matrix) -> Fraction:
        return root_above(self.where[2] * square_norms(product(weights[None], self.where[0]))[0])

    def prove(self, given: Matrix, signs: Matrix, slacks: Matrix) -> None:
        decided, convex = signs != 0, np.maximum(self.bent, 0)
        require(max(given[~decided], default=0) <= 1, "sign-tree-multipliers")
        shares, alpha = np.where(decided, 1 * (signs > 0), given), given * decided
        spread = convex * np.maximum(shares, 1 - shares) * ~decided
        rest = inner(spread, self.where[1]) + inner(convex + alpha, slacks)
        require(self.length(shares * self.bent + alpha * signs + self.linear) + rest <= self.limit, "polar")

    def visit(self, node: Node, signs: Matrix, slacks: Matrix) -> None:
        value, below = node
        if value == 0:
            self.prove(below, signs, slacks)
            return
        row, unit = value - 1, np.arange(len(signs)) == value - 1
        require(value <= len(signs) and not signs[row], "sign-tree-row")
        require(below[0][0] != VOID or below[1][0] != VOID, "sign-tree-void")
        for sign, child, (other, given) in ((1, *below), (-1, *below[::-1])):
            slack = Fraction(0)
            if other == VOID:
                alpha = given * (signs != 0)
                slack = self.length(alpha * signs - sign * unit) + inner(alpha, slacks)
            if child[0] != VOID:
                self.visit(child, signs + sign * unit, slacks + slack * unit)


def sign_tree(task: Task) -> None:
    (count, outputs), slope = task.scores.shape, task.branch.geometry.slope
    require(outputs == 1, "sign-tree-outputs")
    require(count <= 254, "size-limit")
    splits = task.shapes.take(f"{task.name}.splits", None, dtype="|u1")
    multipliers = task.array("multipliers", None, count)
    afford(len(multipliers) * (5000 + count * (20 + task.branch.columns.shape[1])))
    require_nonnegative(multipliers, "sign-tree-multipliers")
    (where,) = regions(task, 1)
    # No path decides more rows than there are.
    roots = trees(splits, multipliers, (0, VOID), 2, count, "sign-tree-shape")
    for sign, root in zip((-1, 1), roots, strict=True):
        require(root[0] != VOID, "sign-tree-void")
        scores = sign * task.scores[:, 0]
        own = Sum(where, (1 - slope) * scores, slope * scores, task.upper)
        own.visit(root, np.zeros(count, int), zeros(count))
