"""Unfoldings of a tensor as sparse matrices: some axes make the rows, the others the columns."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator

import torch
from torch import Tensor

from certify.problem import Entries

Sides = tuple[bool, ...]
Pair = tuple[int, int]


def unfoldings(order: int) -> Iterator[Sides]:
    """Which axes make the rows; one of each two that are transposes of one another."""
    for others in itertools.product((True, False), repeat=order - 1):
        if not all(others):
            yield (True, *others)


def sides_shape(shape: tuple[int, ...], sides: Sides) -> tuple[int, int]:
    """Extents of the unfolding."""
    rows = math.prod(n for n, row in zip(shape, sides, strict=True) if row)
    return rows, math.prod(shape) // rows


def blocks(shape: tuple[int, ...], sides: Sides) -> list[tuple[slice, Pair]]:
    """Where rows and columns of two axes stand, with the extents of these axes."""
    high, _ = sides_shape(shape, sides)
    ends = [[n for n, row in zip(shape, sides, strict=True) if row is side] for side in (True, False)]
    places = (slice(0, high), slice(high, None))
    return [(place, (end[0], end[1])) for place, end in zip(places, ends, strict=True) if len(end) == 2]


def pairings(entries: Entries) -> list[Sides]:
    """Unfoldings with two axes of rows, and one or two of columns."""
    order = entries.order
    pairs = itertools.combinations(range(order), 2)
    # With four axes half of them are transposes of the others.
    return [tuple(axis in pair for axis in range(order)) for pair in pairs if order == 3 or 0 in pair]


def side_of(entries: Entries, sides: Sides) -> int:
    """Rows and columns of the unfolding together."""
    return sum(sides_shape(entries.shape, sides))


def unfolded(entries: Entries, sides: Sides) -> Entries:
    """The same entries, of a matrix."""
    places = [_flat(entries, tuple(axis for axis, row in enumerate(sides) if row is side)) for side in (True, False)]
    return Entries(torch.stack(places, 1), sides_shape(entries.shape, sides), entries.coefficients)


def without_empty(entries: Entries) -> Entries:
    """A matrix without its empty rows and columns: the same singular values."""
    held = [torch.unique(places, return_inverse=True) for places in entries.indices.T]
    shape = tuple(len(places) for places, _ in held)
    return Entries(torch.stack([index for _, index in held], 1), shape, entries.coefficients)


def _flat(entries: Entries, axes: tuple[int, ...]) -> Tensor:
    flat = torch.zeros_like(entries.indices[:, 0])
    for axis in axes:
        flat = flat * entries.shape[axis] + entries.indices[:, axis]
    return flat
