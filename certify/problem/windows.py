"""Windows that slide over a grid, as torch.nn.functional's convolutions and average pooling have them."""

from __future__ import annotations

from typing import NoReturn

import torch
from torch import Tensor

from certify.errors import UnsupportedError

Extents = tuple[int, ...]
# Marks a place of a window that lies in the padding.
PADDING = -1


def windows(
    grid: Extents, kernel: Extents, stride: Extents, padding: Extents, dilation: Extents
) -> tuple[Tensor, Extents]:
    """Indices into a row-major grid, (positions, entries of the window), −1 for padding; and the grid of positions.

    Raises:
        UnsupportedError: no window fits.
    """
    index, inside, found = torch.zeros(1, 1, dtype=torch.int64), torch.ones(1, 1, dtype=torch.bool), []
    for extent, size, step, pad, gap in zip(grid, kernel, stride, padding, dilation, strict=True):
        count = (extent + 2 * pad - gap * (size - 1) - 1) // step + 1
        if count < 1:
            refuse(f"a window of {size} does not fit {extent} entries")
        place = (torch.arange(count) * step - pad)[:, None] + torch.arange(size) * gap
        fits = (place >= 0) & (place < extent)
        index = (index[:, None, :, None] * extent + place[None, :, None, :]).flatten(2).flatten(0, 1)
        inside = (inside[:, None, :, None] & fits[None, :, None, :]).flatten(2).flatten(0, 1)
        found.append(count)
    return torch.where(inside, index, PADDING), tuple(found)


def average_matrix(window: Tensor, positions: int, *, counts_padding: bool) -> Tensor:
    """Averages over windows (places, entries of the window) as a matrix (places, positions)."""
    inside = window != PADDING
    count = torch.full((len(window),), window.shape[1]) if counts_padding else inside.sum(1)
    matrix = torch.zeros(len(window), positions, dtype=torch.float64)
    share = (1.0 / count.double())[:, None].expand(window.shape)
    return matrix.scatter_add_(1, window.clamp_min(0), torch.where(inside, share, 0.0))


def refuse(reason: str) -> NoReturn:
    """Say why an architecture has no view.

    Raises:
        UnsupportedError: always.
    """
    raise UnsupportedError(f"{reason}; no bound serves such subnetworks", code="no-bound-yet")
