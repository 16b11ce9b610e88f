"""What a proof of a polar bound is about, and the trees that it may hold."""

from collections.abc import Collection
from fractions import Fraction
from typing import Any, NamedTuple

from ..container import Shapes
from ..exact import Matrix, rational
from ..rejection import require

# What stands in `splits`, with what belongs to an end of the tree, or with both children.
Node = tuple[int, Any]


class Task(NamedTuple):
    """Show Ω°(−A) ≤ U for one branch with scores S (N, m), by arrays of a name such as `P0`."""

    branch: Any
    scores: Matrix
    upper: Fraction
    name: str
    shapes: Shapes

    def array(self, name: str, *shape: int | None) -> Matrix:
        return rational(self.shapes.take(f"{self.name}.{name}", *shape))

    def is_next(self, name: str) -> bool:
        return bool(self.shapes.left) and self.shapes.left[0][0] == f"{self.name}.{name}"

    def moved(self) -> Matrix:
        """H, less the next array `center` where there is a free column."""
        columns: Matrix = self.branch.columns
        return columns - self.array("center", columns.shape[1])[None] if self.branch.is_free else columns


def trees(splits: Matrix, given: Matrix, ends: Collection[int], count: int, depth: int, rule: str) -> list[Node]:
    """So many binary trees in preorder, at most so deep, with rows of the other array for their ends."""
    nodes, rows = iter(splits.tolist()), iter(given)

    def node(left: int) -> Node:
        value = next(nodes, None)
        own = next(rows, None) if value in ends else None
        require(value is not None and left >= 0 and (value not in ends or own is not None), rule)
        return int(value or 0), (node(left - 1), node(left - 1)) if own is None else own

    found = [node(depth) for _ in range(count)]
    require(next(nodes, None) is None and next(rows, None) is None, rule)
    return found
