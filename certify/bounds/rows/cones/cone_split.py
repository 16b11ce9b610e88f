"""Split of one edge of each cone of a batch.

Splitting edge (i, j) of a cone at m = (v_i + v_j)/2 leaves two children that cover it exactly. Generators start
at +-e_k and stay dyadic vectors with |v|_1 = 1; a split whose midpoint would not be exact is refused. The edge
taken maximizes |v_i - v_j|^2 (a_i + a_j + even share), where sum_k a_k v_k attains the bound: cutting edges
far from that point rarely lowers it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from certify.bounds.rows.cones.cone_batch import Cones
from certify.bounds.rows.cones.cone_bound import Majorant, interpolation_sums

# Splits above a cone; far from where halving a generator could underflow.
MAX_DEPTH = 200
# Every PLAIN_PERIOD * d-th split takes the longest edge, so that cones shrink in every direction.
PLAIN_PERIOD = 4
# Share of an edge's score that does not depend on where the bound is attained; keeps slivers from forming.
EVEN_SHARE = 0.2


@dataclass(frozen=True, slots=True)
class Split:
    """Children of a batch: first those with v_i replaced, then those with v_j replaced.

    Attributes:
        parents: The cones that were split, P of them.
        edges: Number of the split edge, shape (P,).
        children: The 2P children, not yet bounded; child 2p and 2p + 1 belong to parent p.
        midpoints: New generators, shape (d, P).
        sums: Interpolation sums at the midpoints, shape (2c + b, P).
        stuck_upper: Largest bound of the cones that could not be split, 0 if there are none.
    """

    parents: Cones
    edges: Tensor
    children: Cones
    midpoints: Tensor
    sums: Tensor
    stuck_upper: float


def split(majorant: Majorant, cones: Cones) -> Split:
    """Split every bounded cone whose best edge has an exact midpoint; the others are missing from `parents`."""
    if cones.gram.shape[0] == 1:
        return _unsplittable(cones)
    edges, ends = _longest_weighted_edges(cones)
    first, second, exact = _endpoints(cones.vertices, ends)
    exact = exact & (cones.depths < MAX_DEPTH)
    stuck_upper = 0.0
    if not bool(exact.all()):
        stuck_upper = float(cones.bounds[~exact].max())
        index = exact.nonzero().squeeze(1)
        cones, edges, ends = cones.take(index), edges[index], ends[:, index]
        first, second = first[:, index], second[:, index]
    midpoints = 0.5 * (first + second)
    sums = interpolation_sums(majorant, midpoints)
    sides = (_child(cones, replaced, kept, midpoints, sums) for replaced, kept in (ends, ends.flip(0)))
    pairs = zip(*(side.parts() for side in sides), strict=True)
    children = Cones(*(torch.stack(pair, dim=-1).flatten(-2) for pair in pairs))
    return Split(cones, edges, children, midpoints, sums, stuck_upper)


def _unsplittable(cones: Cones) -> Split:
    """The split of rays, which have no edge."""
    nothing, blank = cones.between(0, 0), cones.gram.new_zeros(1, 0)
    return Split(nothing, nothing.ids, nothing, blank, blank, float(cones.bounds.max()))


def _longest_weighted_edges(cones: Cones) -> tuple[Tensor, Tensor]:
    """Edge of largest |v_i - v_j|^2 (a_i + a_j + even share), its number (B,) in lexicographic order, ends (2, B)."""
    d = cones.gram.shape[0]
    pairs = torch.triu_indices(d, d, 1, device=cones.gram.device)
    heights = cones.coefficients
    shares = heights / heights.sum(0).clamp(min=1e-300) + EVEN_SHARE / d
    squares = cones.gram.diagonal(dim1=0, dim2=1).T
    i, j = pairs
    lengths = squares[i] + squares[j] - 2 * cones.gram[i, j]
    periodic = cones.depths % (PLAIN_PERIOD * d) == PLAIN_PERIOD * d - 1
    edges = (lengths * torch.where(periodic, 1.0, shares[i] + shares[j])).argmax(0)
    return edges, pairs[:, edges]


def _endpoints(vertices: Tensor, ends: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Generators at the two ends, (d, B) each, and whether their sum is exact, (B,)."""
    index = ends[:, None].expand(-1, vertices.shape[1], -1)
    first, second = vertices.gather(0, index)
    total = first + second
    exact = (total - first == second) & (total - second == first)
    return first, second, exact.all(0)


def _child(cones: Cones, replaced: Tensor, kept: Tensor, midpoints: Tensor, sums: Tensor) -> Cones:
    """Cones with generator `replaced` moved to the midpoint of the edge to `kept`; indices of shape (B,)."""
    d = cones.gram.shape[0]
    index, other = replaced[None], kept[None]
    row = index[None].expand(1, d, -1)
    products = 0.5 * (cones.gram.gather(0, row)[0] + cones.gram.gather(0, other[None].expand(1, d, -1))[0])
    square = 0.5 * (products.gather(0, index) + products.gather(0, other))
    products = products.scatter(0, index, square)
    moved = cones.coefficients.gather(0, index)
    left_over = (cones.coefficients.gather(0, other) - moved).clamp(min=0)
    return replace(
        cones,
        vertices=cones.vertices.scatter(0, row, midpoints[None]),
        gram=cones.gram.scatter(0, row, products[None]).scatter(1, row.transpose(0, 1), products[:, None]),
        sums=cones.sums.scatter(1, index[None].expand(sums.shape[0], 1, -1), sums[:, None]),
        coefficients=cones.coefficients.scatter(0, index, 2 * moved).scatter(0, other, left_over),
        depths=cones.depths + 1,
    )
