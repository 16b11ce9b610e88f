"""A batch of simplicial cones, what each inherits from its parent, and its bound by two rounds of tangents."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

from certify.bounds.rows.cones.cone_bound import (
    Majorant,
    interpolation_sums,
    majorant_values,
    proven_bounds,
    quantized_tangents,
)
from certify.bounds.rows.cones.least_norm import least_norm_coefficients, pivoted_coefficients

# Coordinate-ascent passes per round of the leaf bound.
SWEEPS = 12
# Tangents tried per cone: at the inherited direction, then at the maximizer found.
ROUNDS = 2


@dataclass(frozen=True, slots=True)
class Cones:
    """B cones; the last axis is the cone.

    Attributes:
        vertices: Generators (k, coordinate, cone), shape (d, d, B).
        gram: v_k . v_l over all coordinates, shape (d, d, B).
        sums: Interpolation sums at the generators, shape (2c + b, d, B).
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
        return tuple(getattr(self, field.name) for field in fields(self))

    def maximizers(self) -> Tensor:
        """Points sum_k a_k v_k where the bounds are attained, shape (d, B)."""
        return (self.vertices * self.coefficients[:, None]).sum(0)

    def take(self, index: Tensor) -> Cones:
        """Return the cones at an index."""
        return Cones(*(part.index_select(-1, index) for part in self.parts()))

    def between(self, first: int, last: int) -> Cones:
        """Return a view of cones first to last - 1."""
        return Cones(*(part[..., first:last] for part in self.parts()))

    def split(self, sizes: list[int]) -> list[Cones]:
        """Return copies of consecutive pieces of these sizes."""
        order = torch.arange(len(self), device=self.ids.device)
        return [self.take(index) for index in torch.split(order, sizes)]

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
    """Return the 2^d root cones, not yet bounded, with generators +-e_k; orthant o has -e_k where bit k of o is 1."""
    rows = majorant.rows
    d, count = rows.shape[1], 1 << rows.shape[1]
    axes, order = torch.arange(d, device=rows.device), torch.arange(count, device=rows.device)
    signs = 1.0 - 2.0 * ((order[None] >> axes[:, None]) & 1).to(rows)
    identity = torch.eye(d).to(rows)
    both = interpolation_sums(majorant, torch.cat([identity, -identity], dim=1)).reshape(-1, 2, d)
    sums = torch.where(signs[None] > 0, both[:, 0, :, None], both[:, 1, :, None])
    uneven = 1.0 - axes.to(rows) / (7.0 * d)
    return Cones(
        vertices=(identity[:, :, None] * signs[None]).contiguous(),
        gram=identity[:, :, None].expand(d, d, count).contiguous(),
        sums=sums,
        coefficients=uneven[:, None].expand(d, count).contiguous(),
        tangents=rows.new_zeros(d, count),
        bounds=rows.new_full((count,), majorant.trivial),
        depths=torch.zeros_like(order, dtype=torch.int16),
        ids=order,
    )


def bounded(majorant: Majorant, cones: Cones, threshold: float) -> Cones:
    """Return cones with inherited coefficients with their own leaf bounds, maximizers and tangents computed.

    Cones at or below the threshold after the first round are not improved further.
    """
    result = _round(majorant, cones, pivoting=False)
    for _ in range(ROUNDS - 1):
        index = (~(result.bounds <= threshold)).nonzero().squeeze(1)
        if index.numel() == 0:
            return result
        again = _round(majorant, result.take(index), pivoting=True)
        better = again.bounds < result.bounds[index]
        chosen = index[better]
        result = replace(
            result,
            bounds=result.bounds.index_copy(0, chosen, again.bounds[better]),
            coefficients=result.coefficients.index_copy(1, chosen, again.coefficients[:, better]),
            tangents=result.tangents.index_copy(1, chosen, again.tangents[:, better]),
        )
    return result


def _round(majorant: Majorant, cones: Cones, pivoting: bool) -> Cones:
    """Bound each cone with the tangent at the mean of its center and its inherited maximizer."""
    tangents = quantized_tangents(cones.coefficients, cones.vertices, majorant.free_axis)
    values = majorant_values(majorant, cones.vertices, cones.sums, tangents)
    gram = cones.gram
    if majorant.free_axis is not None:
        outside = cones.vertices[:, majorant.free_axis]
        gram = gram - outside[:, None] * outside[None]
    coefficients = least_norm_coefficients(gram, values, cones.coefficients, SWEEPS)
    if pivoting:
        pivoted = pivoted_coefficients(gram, values, coefficients)
        coefficients = torch.where(pivoted.isfinite().all(0), pivoted, coefficients)
    bounds = proven_bounds(cones.vertices, values, coefficients, majorant)
    return replace(cones, bounds=bounds, coefficients=coefficients, tangents=tangents)
