"""The cones of a tree, from its preorder: which node is whose child, and the generators of every leaf.

Root o is the orthant with generators +e_k, or −e_k where bit k of o is set. Node value 0 is a leaf; e + 1 splits the
e-th pair (i, j), i < j in lexicographic order, at m = (v_i + v_j)/2: the first child has m for v_i, the second m for
v_j, so that the children cover their parent. Midpoints must be exact, so that all generators are dyadic, |v|₁ = 1.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from typing import Any, final

import numpy as np
import numpy.typing as npt

from certify.verify.reals import Array
from certify.verify.rejection import require

DEPTH_LIMIT = 200
CHUNK = 4096

Integers = npt.NDArray[np.int64]
Nodes = npt.NDArray[np.uint8]
Evaluate = Callable[[Array], npt.NDArray[Any]]


@final
@dataclass(frozen=True, slots=True)
class Cones:
    """B cones.

    Attributes:
        nodes: position in the preorder, (B,).
        depths: splits above, (B,).
        vertices: generators (B, k, coordinate).
        sums: what `evaluate` gave at each generator, (B, k, columns).
    """

    nodes: Integers
    depths: Integers
    vertices: Array
    sums: npt.NDArray[Any]

    def __getitem__(self, index: Any) -> Cones:  # noqa: ANN401
        return Cones(*(getattr(self, field.name)[index] for field in fields(self)))


def are_complete(splits: Nodes, roots: int) -> bool:
    """Whether the nodes are exactly so many binary trees."""
    counts = _open_subtrees(splits)
    return bool(counts[-1] == -roots and (counts[:-1] > -roots).all())


def second_children(splits: Nodes) -> tuple[Integers, Integers]:
    """Positions of the roots, and of the second child of every split (the first child follows its parent).

    The second child of a node of complete trees stands where the count first returns to the node's own.
    """
    counts = _open_subtrees(splits)
    order = np.argsort(counts[:-1], kind="stable")
    following = np.full(len(splits), -1)
    same = counts[order[1:]] == counts[order[:-1]]
    following[order[:-1][same]] = order[1:][same]
    # A root stands where the count reaches a new low.
    positions = np.flatnonzero(np.concatenate([[True], counts[1:-1] < np.minimum.accumulate(counts[:-2])]))
    return positions, following


def _open_subtrees(splits: Nodes) -> Integers:
    """A split raises the count of open subtrees by one, a leaf lowers it."""
    return np.concatenate([[0], np.cumsum(np.where(splits > 0, 1, -1))])


def leaves(splits: Nodes, dimension: int, evaluate: Evaluate, signs: int) -> Iterator[tuple[int, Cones]]:
    """All leaves, in batches, each with the index of its sign.

    Args:
        splits: nodes in preorder, 2^d roots for each sign.
        dimension: d.
        evaluate: sums at points (P, d), (P, columns); called once for each new generator.
        signs: number of signs.

    Raises:
        Rejection: malformed tree, split out of range, midpoint not exact, or too deep.
    """
    complete = are_complete(splits, signs << dimension)
    require(complete, "cone-tree-shape", f"{len(splits)} nodes are not {signs << dimension} complete trees in preorder")
    roots, second = second_children(splits)
    pairs = np.array([(i, j) for i in range(dimension) for j in range(i + 1, dimension)]).reshape(-1, 2)
    require(bool((splits <= len(pairs)).all()), "cone-tree-split", f"a split beyond the {len(pairs)} pairs")
    for sign, starts in enumerate(np.split(roots, signs)):
        work = [_orthants(starts, dimension, evaluate)]
        while work:
            cones = work.pop()
            while work and len(cones.nodes) + len(work[-1].nodes) <= CHUNK:
                more = work.pop()
                both = [(getattr(more, f.name), getattr(cones, f.name)) for f in fields(cones)]
                cones = Cones(*(np.concatenate(pair) for pair in both))
            if len(cones.nodes) > CHUNK:
                work.append(cones[CHUNK:])
                cones = cones[:CHUNK]
            is_leaf = splits[cones.nodes] == 0
            if is_leaf.any():
                yield sign, cones[is_leaf]
            if not is_leaf.all():
                work.append(_children(cones[~is_leaf], splits, second, pairs, evaluate))


def _orthants(starts: Integers, dimension: int, evaluate: Evaluate) -> Cones:
    negative = (np.arange(1 << dimension)[:, None] >> np.arange(dimension)) & 1
    vertices = np.eye(dimension) * (1.0 - 2.0 * negative)[:, :, None]
    at_axes = evaluate(np.concatenate([np.eye(dimension), -np.eye(dimension)]))
    sums = at_axes[np.arange(dimension) + dimension * negative]
    return Cones(starts, np.zeros_like(starts), vertices, sums)


def _children(cones: Cones, splits: Nodes, second: Integers, pairs: Integers, evaluate: Evaluate) -> Cones:
    require(int(cones.depths.max()) < DEPTH_LIMIT, "cone-tree-depth", f"deeper than {DEPTH_LIMIT} splits")
    rows = np.arange(len(cones.nodes))
    i, j = pairs[splits[cones.nodes] - 1].T
    one, other = cones.vertices[rows, i], cones.vertices[rows, j]
    total = one + other
    # The larger term recovers the smaller one exactly if and only if the sum was exact (Dekker 1971).
    exact = (total - one == other) & (total - other == one)
    require(bool(exact.all()), "cone-tree-midpoint", "the midpoint of a split is not exact in binary64")
    middle = total / 2
    sums = evaluate(middle)
    vertices = np.concatenate([cones.vertices, cones.vertices])
    values = np.concatenate([cones.sums, cones.sums])
    for offset, replaced in ((0, i), (len(rows), j)):
        vertices[rows + offset, replaced] = middle
        values[rows + offset, replaced] = sums
    nodes = np.concatenate([cones.nodes + 1, second[cones.nodes]])
    return Cones(nodes, np.concatenate([cones.depths + 1] * 2), vertices, values)
