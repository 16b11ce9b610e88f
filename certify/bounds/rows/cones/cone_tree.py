"""The proof left by a cone search: a binary tree of edge splits and, per leaf, a tangent direction.

Roots are the 2^d orthants. A split halves one edge of a simplicial cone, so the leaves cover the roots and no
agreement on the choice of the edge is needed to check the tree: only the edges taken are stored.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np
import numpy.typing as npt

from certify.bounds.stated_arrays import Array


@dataclass(frozen=True, slots=True)
class ConeTree:
    """A finished or unfinished tree of cones whose leaves bound P(Q) = max |Q^T s(X u)| over |u| <= 1.

    Root o (0 <= o < 2^d) is the orthant with generators v_k = +e_k where bit k of o is 0, and -e_k where it is 1.
    Split e of a cone, with (i, j) the e-th pair i < j in lexicographic order and m = (v_i + v_j)/2, has two
    children in this order: v_i replaced by m, then v_j replaced by m. All numbers v are exact in float64.

    Attributes:
        dimension: Number d of coordinates of a direction u.
        signs: The signs s for which sQ has its own 2^d roots: (1, -1) for one output, (1,) for several.
        splits: All nodes in preorder, root after root, sign after sign; 0 is a leaf, e + 1 is split e.
            Shape (nodes,), dtype uint8.
        tangents: Leaves in the same order; leaf direction sum_k tangents[k] v_k, which decides the tangent
            b_i = 1 where x_i . direction > 0. Shape (leaves, d), dtype uint8.
        free_axis: Coordinate of u outside the norm, or None.
        upper: Proven upper bound on P(Q): no leaf bound exceeds it.
    """

    dimension: int
    signs: tuple[int, ...]
    splits: npt.NDArray[np.uint8]
    tangents: npt.NDArray[np.uint8]
    free_axis: int | None
    upper: float


@final
class TreeLog:
    """Append-only record of evaluated cones and of splits; children of a cone are neighbors and come after it."""

    def __init__(self) -> None:
        self._nodes: list[tuple[Array, Array, Array]] = []
        self._splits: list[tuple[Array, Array, Array]] = []
        self.size = 0

    @staticmethod
    def bytes_per_node(dimension: int) -> int:
        """Memory of a node of a cone in so many coordinates, that of pruning in the end included, in bytes."""
        return 80 + 2 * dimension

    def add_nodes(self, bounds: Array, depths: Array, tangents: Array) -> int:
        """Record evaluated cones by bounds (B,), depths (B,), tangent weights (B, d); return the index of the first."""
        self._nodes.append((bounds, depths, tangents))
        self.size += len(bounds)
        return self.size - len(bounds)

    def add_splits(self, parents: Array, edges: Array, children: Array) -> None:
        """Record that parents were split along edges, with the index of each first child."""
        self._splits.append((parents, edges.astype(np.uint8), children))

    def absorb(self, other: TreeLog, roots: Array) -> int:
        """Record all but the first nodes of another log, which are `roots` here; return what to add to its others."""
        shift = self.size - len(roots)
        bounds, depths, tangents = (values[len(roots) :] for values in other.nodes())
        self.add_nodes(bounds, depths, tangents)
        parents, edges, children = other.split_records()
        below = parents >= len(roots)
        self.add_splits(np.where(below, parents + shift, roots[np.where(below, 0, parents)]), edges, children + shift)
        return shift

    def split_records(self) -> tuple[Array, Array, Array]:
        """Parents, edges and first children as they were added, (splits,) each."""
        nothing = np.zeros(0, np.int64), np.zeros(0, np.uint8), np.zeros(0, np.int64)
        parents, edges, children = (np.concatenate(part) for part in zip(nothing, *self._splits, strict=True))
        return parents, edges, children

    def nodes(self) -> tuple[Array, Array, Array]:
        """Bounds (nodes,), depths (nodes,) and tangent weights (nodes, d) in order of creation."""
        bounds, depths, tangents = (np.concatenate(part) for part in zip(*self._nodes, strict=True))
        return bounds, depths, tangents

    def splits(self) -> tuple[Array, Array]:
        """0 for a leaf, e + 1 for split e, and the index of the first child, meaningful at splits; (nodes,) each."""
        splits, children = np.zeros(self.size, np.uint8), np.zeros(self.size, np.int64)
        for parents, edges, first in self._splits:
            splits[parents] = edges + 1
            children[parents] = first
        return splits, children


@dataclass(frozen=True, slots=True)
class Preorder:
    """A tree in preorder: splits and leaf tangents as in ConeTree, and the largest leaf bound."""

    splits: npt.NDArray[np.uint8]
    tangents: npt.NDArray[np.uint8]
    upper: float


def prune_to_preorder(log: TreeLog) -> Preorder:
    """Undo every split that did not lower its node's bound, and list the rest in preorder."""
    (values, depths, tangents), (splits, children) = log.nodes(), log.splits()
    levels, sizes = _levels(depths), np.ones(log.size, np.int64)
    for level in reversed(levels):
        parents = level[splits[level] > 0]
        first = children[parents]
        below = np.maximum(values[first], values[first + 1])
        helped = below < values[parents]
        splits[parents[~helped]] = 0
        parents, first = parents[helped], first[helped]
        values[parents] = below[helped]
        sizes[parents] = 1 + sizes[first] + sizes[first + 1]
    order = _preorder_positions(levels, splits, sizes, children)
    kept = splits[order]
    return Preorder(kept, tangents[order[kept == 0]], float(values[levels[0]].max()))


def _levels(depths: Array) -> list[Array]:
    """Indices of the nodes of each depth, in order of creation."""
    order = np.argsort(depths, kind="stable")
    ends = np.cumsum(np.bincount(depths))
    return list(np.split(order, ends[:-1]))


def _preorder_positions(levels: list[Array], splits: Array, sizes: Array, children: Array) -> Array:
    """Node index at each preorder position of the tree reachable from the roots."""
    position = np.full(len(splits), -1, np.int64)
    roots = levels[0]
    position[roots] = np.cumsum(sizes[roots]) - sizes[roots]
    for level in levels:
        parents = level[(splits[level] > 0) & (position[level] >= 0)]
        first = children[parents]
        position[first] = position[parents] + 1
        position[first + 1] = position[first] + sizes[first]
    reached = np.flatnonzero(position >= 0)
    order = np.empty(len(reached), np.int64)
    order[position[reached]] = reached
    return order
