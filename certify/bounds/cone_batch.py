"""A batch of simplicial cones with what each inherits, and the split of one edge of each.

Splitting edge (i, j) of a cone at m = (v_i + v_j)/2 leaves two children that cover it exactly. Generators start
at +-e_k and stay dyadic vectors with |v|_1 = 1; a split whose midpoint would not be exact is refused.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from certify.bounds.cone_bound import (
    Majorant,
    interpolation_sums,
    least_norm_coefficients,
    majorant_values,
    proven_bounds,
    quantized_tangents,
)

SWEEPS = 10
"""Coordinate-ascent passes per round of the leaf bound."""
ROUNDS = 2
"""Tangents tried per cone: at the inherited direction, then at the maximizer found."""
MAX_DEPTH = 200
"""Splits above a cone; far from where halving a generator could underflow."""
PLAIN_PERIOD = 2
"""Every PLAIN_PERIOD * d-th split takes the longest edge, so that cones shrink in every direction."""
EVEN_SHARE = 0.05
"""Share of an edge's score that does not depend on where the bound is attained; keeps slivers from forming."""


@dataclass(frozen=True, slots=True)
class Cones:
    """B cones; the last axis is the cone.

    Attributes:
        vertices: Generators (k, coordinate, cone), shape (d, d, B).
        gram: v_k . v_l over all coordinates, shape (d, d, B).
        sums: Interpolation sums at the generators, shape (2c, d, B).
        coefficients: Where the bound is attained, sum_k a_k v_k, a >= 0, shape (d, B).
        tangents: Whole-number tangent weights of the bound, shape (d, B).
        bounds: Proven bound, shape (B,).
        depths: Splits above the cone, shape (B,).
        ids: Index in the log, shape (B,).
    """

    vertices: Tensor
    gram: Tensor
    sums: Tensor
    coefficients: Tensor
    tangents: Tensor
    bounds: Tensor
    depths: Tensor
    ids: Tensor

    def __len__(self) -> int:
        return self.bounds.shape[0]

    def parts(self) -> tuple[Tensor, ...]:
        """All tensors in the order of the fields."""
        return (
            self.vertices,
            self.gram,
            self.sums,
            self.coefficients,
            self.tangents,
            self.bounds,
            self.depths,
            self.ids,
        )

    def maximizers(self) -> Tensor:
        """Points sum_k a_k v_k where the bounds are attained, shape (d, B)."""
        return (self.vertices * self.coefficients[:, None]).sum(0)

    def take(self, index: Tensor) -> Cones:
        """Return the cones at an index."""
        return Cones(*(part.index_select(-1, index) for part in self.parts()))

    def where(self, mask: Tensor) -> Cones:
        """Return the cones where a mask of shape (B,) holds."""
        return self.take(mask.nonzero().squeeze(1))


def joined(batches: list[Cones]) -> Cones:
    """Return the cones of all batches as one."""
    if len(batches) == 1:
        return batches[0]
    return Cones(*(torch.cat(parts, dim=-1) for parts in zip(*(b.parts() for b in batches), strict=True)))


def bytes_per_cone(d: int, c: int) -> int:
    """Memory of one cone kept in a batch, in bytes."""
    return 8 * (2 * d * d + 2 * c * d + 2 * d + 3)


def orthants(majorant: Majorant) -> Cones:
    """Return the 2^d root cones, not yet bounded.

    Args:
        majorant: The bound; gives d, the device and the data.

    Returns:
        Cones with generators +-e_k; orthant o has -e_k where bit k of o is 1.
    """
    rows = majorant.rows
    d, count = rows.shape[1], 1 << rows.shape[1]
    device, dtype = rows.device, rows.dtype
    order = torch.arange(count, device=device)
    signs = 1.0 - 2.0 * ((order[None] >> torch.arange(d, device=device)[:, None]) & 1).to(dtype)
    identity = torch.eye(d, dtype=dtype, device=device)
    both = interpolation_sums(majorant, torch.cat([identity, -identity], dim=1)).reshape(-1, 2, d)
    sums = torch.where(signs[None] > 0, both[:, 0, :, None], both[:, 1, :, None])
    uneven = 1.0 - torch.arange(d, dtype=dtype, device=device) / (7.0 * d)
    coefficients = uneven[:, None].expand(d, count).contiguous()
    return Cones(
        vertices=(identity[:, :, None] * signs[None]).contiguous(),
        gram=identity[:, :, None].expand(d, d, count).contiguous(),
        sums=sums,
        coefficients=coefficients,
        tangents=torch.zeros(d, count, dtype=dtype, device=device),
        bounds=torch.full((count,), majorant.trivial, dtype=dtype, device=device),
        depths=torch.zeros(count, dtype=torch.int16, device=device),
        ids=order,
    )


def bounded(majorant: Majorant, cones: Cones, threshold: float) -> Cones:
    """Return the cones with their bounds, maximizers and tangents computed.

    Args:
        majorant: The bound.
        cones: Cones with inherited coefficients.
        threshold: Cones at or below it after the first round are not improved further.

    Returns:
        The same cones; `bounds` holds their own leaf bound.
    """
    result = _round(majorant, cones)
    for _ in range(ROUNDS - 1):
        index = (~(result.bounds <= threshold)).nonzero().squeeze(1)
        if index.numel() == 0:
            return result
        again = _round(majorant, result.take(index))
        better = again.bounds < result.bounds[index]
        chosen = index[better]
        result = replace(
            result,
            bounds=result.bounds.index_copy(0, chosen, again.bounds[better]),
            coefficients=result.coefficients.index_copy(1, chosen, again.coefficients[:, better]),
            tangents=result.tangents.index_copy(1, chosen, again.tangents[:, better]),
        )
    return result


def _round(majorant: Majorant, cones: Cones) -> Cones:
    """Bound each cone with the tangent at the mean of its center and its inherited maximizer."""
    tangents = quantized_tangents(cones.coefficients, cones.vertices, majorant.free_axis)
    values = majorant_values(majorant, cones.vertices, cones.sums, tangents)
    gram = cones.gram
    if majorant.free_axis is not None:
        outside = cones.vertices[:, majorant.free_axis]
        gram = gram - outside[:, None] * outside[None]
    coefficients = least_norm_coefficients(gram, values, cones.coefficients, SWEEPS)
    bounds = proven_bounds(cones.vertices, values, coefficients, majorant)
    return replace(cones, bounds=bounds, coefficients=coefficients, tangents=tangents)


@dataclass(frozen=True, slots=True)
class Split:
    """Children of a batch: first those with v_i replaced, then those with v_j replaced.

    Attributes:
        parents: The cones that were split, P of them.
        edges: Number of the split edge, shape (P,).
        children: The 2P children, not yet bounded; child 2p and 2p + 1 belong to parent p.
        midpoints: New generators, shape (d, P).
        sums: Interpolation sums at the midpoints, shape (2c, P).
        stuck_upper: Largest bound of the cones that could not be split, 0 if there are none.
    """

    parents: Cones
    edges: Tensor
    children: Cones
    midpoints: Tensor
    sums: Tensor
    stuck_upper: float


def split(majorant: Majorant, cones: Cones) -> Split:
    """Split every cone whose best edge has an exact midpoint.

    Args:
        majorant: The bound.
        cones: Bounded cones.

    Returns:
        The split; cones without an exact midpoint are missing from `parents`.
    """
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
    left = _child(cones, ends[0], ends[1], midpoints, sums)
    right = _child(cones, ends[1], ends[0], midpoints, sums)
    pairs = zip(left.parts(), right.parts(), strict=True)
    children = Cones(*(torch.stack(pair, dim=-1).flatten(-2) for pair in pairs))
    return Split(cones, edges, children, midpoints, sums, stuck_upper)


def edge_pairs(d: int) -> list[tuple[int, int]]:
    """The pairs i < j of range(d) in lexicographic order: edge number e is pair e."""
    return [(i, j) for i in range(d) for j in range(i + 1, d)]


def _longest_weighted_edges(cones: Cones) -> tuple[Tensor, Tensor]:
    """Edge of largest |v_i - v_j|^2 (a_i + a_j + even share), its number (B,) and ends (2, B)."""
    d = cones.gram.shape[0]
    pairs = torch.tensor(edge_pairs(d), device=cones.gram.device).T
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
    row = replaced[None, None].expand(1, d, -1)
    outer = cones.gram.gather(0, row)[0]
    inner = cones.gram.gather(0, kept[None, None].expand(1, d, -1))[0]
    products = 0.5 * (outer + inner)
    square = 0.5 * (products.gather(0, replaced[None]) + products.gather(0, kept[None]))
    products = products.scatter(0, replaced[None], square)
    gram = cones.gram.scatter(0, row, products[None])
    gram = gram.scatter(1, row.transpose(0, 1), products[:, None])
    index = replaced[None]
    moved = cones.coefficients.gather(0, index)
    left_over = (cones.coefficients.gather(0, kept[None]) - moved).clamp(min=0)
    coefficients = cones.coefficients.scatter(0, index, 2 * moved).scatter(0, kept[None], left_over)
    return Cones(
        vertices=cones.vertices.scatter(0, row, midpoints[None]),
        gram=gram,
        sums=cones.sums.scatter(1, index[None].expand(sums.shape[0], 1, -1), sums[:, None]),
        coefficients=coefficients,
        tangents=cones.tangents,
        bounds=cones.bounds,
        depths=cones.depths + 1,
        ids=cones.ids,
    )
