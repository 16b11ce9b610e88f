"""Shortest vectors base + Σ x_i ±a_i over boxes 0 ≤ x ≤ cap, many at once.

Active sets (Lawson and Hanson 1974, ch. 23; Stark and Parker 1995): x is exact on the free entries, the others are at
an end of their box; a step that would leave the box ends at its wall and fixes the entry, and of the fixed ones the
entry with the steepest slope is freed. Any x in the box serves a bound, so where a search ends costs tightness only.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import final

import torch
from torch import Tensor

# Changes of a set, in units of rows; started from the set of a similar problem, few are needed.
CHANGES = 4
# Slopes along unit columns below this share of the length count as zero.
FLAT = 1e-11
RIDGE = 1e-14
SMALLEST = 1e-280


@final
@dataclass(frozen=True, slots=True)
class Boxed:
    """B problems with a point in each box, and which of its entries are free.

    Attributes:
        base: (B, k).
        sides: ±1, (B, N).
        caps: the largest x, +inf and 0 among them, (B, N).
        x: (B, N).
        free: entries strictly inside, no more than k, (B, N).
    """

    base: Tensor
    sides: Tensor
    caps: Tensor
    x: Tensor
    free: Tensor

    def __getitem__(self, index: Tensor) -> Boxed:
        return Boxed(*(getattr(self, field.name)[index] for field in fields(self)))

    def residuals(self, columns: Tensor) -> Tensor:
        """The vectors (B, k) at x, for a (N, k)."""
        return self.base + (self.sides * self.x) @ columns


def shorten(problems: Boxed, columns: Tensor, enough: Tensor) -> Boxed:
    """The problems with better points; those whose vector is at most `enough` long (B,) may be left early."""
    lengths = torch.linalg.vector_norm(columns, dim=1).clamp_min(SMALLEST)
    x, free = problems.x.clone(), problems.free.clone()
    left = torch.arange(len(x), device=x.device)
    for _ in range(CHANGES * len(columns)):
        own = Boxed(problems.base[left], problems.sides[left], problems.caps[left], x[left], free[left])
        own, arrived = _toward_best(own, columns)
        w = own.residuals(columns)
        length = torch.linalg.vector_norm(w, dim=1)
        entering, steepest = _entering(own, w, columns, lengths)
        more = steepest > FLAT * length
        grown = own.free | (arrived & more)[:, None] & entering
        x[left], free[left] = own.x, torch.where((grown.sum(1) <= columns.shape[1])[:, None], grown, own.free)
        going = (~arrived | more) & (length > enough[left])
        left = left[going]
        if not len(left):
            break
    return Boxed(problems.base, problems.sides, problems.caps, x, free)


def _toward_best(own: Boxed, columns: Tensor) -> tuple[Boxed, Tensor]:
    """The best point on the free entries, or the wall before it; and which arrived."""
    step = _best_step(own, columns)
    room = torch.where(step < 0, own.x / -step, torch.where(step > 0, (own.caps - own.x) / step, torch.inf))
    room = torch.where(own.free, room.nan_to_num(0.0, torch.inf), torch.inf)
    share, _ = room.min(1, keepdim=True)
    hit = own.free & (room <= share) & (share < 1)
    moved = torch.where(own.free, own.x + share.clamp(max=1.0) * step, own.x)
    walls = torch.where(step < 0, 0.0, own.caps)
    moved = torch.where(hit, walls, torch.minimum(moved.clamp_min(0), own.caps))
    return Boxed(own.base, own.sides, own.caps, moved, own.free & ~hit), ~hit.any(1)


def _best_step(own: Boxed, columns: Tensor) -> Tensor:
    """From x to the least squares solution on the free entries, (B, N)."""
    count = min(columns.shape)
    places = own.free.to(torch.int8).topk(count, dim=1).indices
    used = own.free.gather(1, places)
    chosen = torch.where(used, own.sides.gather(1, places), 0.0)[:, :, None] * columns[places]
    gram = chosen @ chosen.transpose(1, 2)
    diagonal = gram.diagonal(dim1=1, dim2=2)
    gram = gram + torch.diag_embed(torch.where(used, RIDGE * diagonal + SMALLEST, 1.0))
    w = own.residuals(columns)[:, :, None]
    total = torch.zeros_like(w[:, :1]).expand(-1, count, -1)
    for _ in range(2):
        solved, _ = torch.linalg.solve_ex(gram, -(chosen @ (w + chosen.transpose(1, 2) @ total)))
        total = total + solved
    values = torch.where(used, total[:, :, 0], 0.0).nan_to_num(0.0, 0.0, 0.0)
    return torch.zeros_like(own.x).scatter(1, places, values)


def _entering(own: Boxed, w: Tensor, columns: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
    """The fixed entry along which w shortens fastest, as a mask (B, N), and how fast (B,)."""
    slopes = own.sides * (w @ columns.T) / lengths
    gain = torch.where(own.x <= 0, -slopes, slopes)
    gain = torch.where(own.free | (own.caps <= 0), -torch.inf, gain)
    steepest, place = gain.max(1)
    return torch.zeros_like(own.free).scatter(1, place[:, None], value=True), steepest
