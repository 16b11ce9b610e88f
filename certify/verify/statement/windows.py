"""Windows that slide over a grid: which entries convolutions read, and what average pooling counts.

Grids have one or two axes, positions are numbered in row-major order, and what lies in the padding reads as zero. The
geometry is that of torch: along each axis ⌊(extent + 2 padding − dilation (kernel − 1) − 1) / stride⌋ + 1 windows.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import final

import numpy as np
import numpy.typing as npt

from certify.verify.reals import Array
from certify.verify.rejection import refuse

Grid = tuple[int, ...]
Integers = npt.NDArray[np.int64]
# Entries of all tables of the layers together.
LARGEST_TABLE = 2**26
# Counts and their common denominator stay exact in binary64.
LARGEST_COUNT = 2**50


@final
@dataclass(frozen=True, slots=True)
class Window:
    """A window: along each axis its extent, steps to the next, zeros around the grid, and steps between entries."""

    kernel: Grid
    stride: Grid
    padding: Grid
    dilation: Grid

    @property
    def size(self) -> int:
        """Entries of one window."""
        return math.prod(self.kernel)

    def over(self, grid: Grid) -> Grid:
        """The grid of windows.

        Raises:
            Rejection: refused; the window has other axes, or does not fit.
        """
        axes = {len(grid), len(self.kernel), len(self.stride), len(self.padding), len(self.dilation)}
        if axes not in ({1}, {2}):
            refuse("layers", f"a window of {len(self.kernel)} axes, {self}, on a grid {list(grid)}")
        spans = [step * (extent - 1) + 1 for extent, step in zip(self.kernel, self.dilation, strict=True)]
        rooms = [extent + 2 * pad - span for extent, pad, span in zip(grid, self.padding, spans, strict=True)]
        if min(rooms) < 0:
            refuse("layers", f"{self} does not fit on a grid {list(grid)}")
        return tuple(room // step + 1 for room, step in zip(rooms, self.stride, strict=True))

    def places(self, grid: Grid) -> Integers:
        """Position that entry k of window o reads, (o, k); the number of positions where it reads the padding."""
        found = self.over(grid)
        require_table(math.prod(found) * self.size)
        flat, inside = np.zeros((1, 1), np.int64), np.ones((1, 1), bool)
        for axis, extent in enumerate(grid):
            starts = np.arange(found[axis]) * self.stride[axis] - self.padding[axis]
            places = starts[:, None] + np.arange(self.kernel[axis]) * self.dilation[axis]
            fits = (places >= 0) & (places < extent)
            shape = (flat.shape[0] * places.shape[0], flat.shape[1] * places.shape[1])
            flat = (flat[:, None, :, None] * extent + places[None, :, None, :]).reshape(shape)
            inside = (inside[:, None, :, None] & fits[None, :, None, :]).reshape(shape)
        return np.where(inside, flat, math.prod(grid))


@final
@dataclass(frozen=True, slots=True)
class Pooling:
    """Averages: weights of (o, q) are counts / unit, with integer counts (windows, positions)."""

    counts: Array
    unit: int

    def after(self, other: Pooling) -> Pooling:
        """Averages of averages.

        Raises:
            Rejection: refused; the counts leave the exact integers of binary64.
        """
        unit = self.unit * other.unit
        if unit > LARGEST_COUNT:
            refuse("size-limit", f"average pooling in units of 1/{unit}")
        return Pooling(self.counts @ other.counts, unit)


def no_pooling(positions: int) -> Pooling:
    """Every position by itself."""
    require_table(positions**2)
    return Pooling(np.eye(positions), 1)


def average_pooling(window: Window, grid: Grid, counts_padding: bool) -> Pooling:
    """Averages over windows; padding counts among the entries, or does not.

    Raises:
        Rejection: refused; the window does not fit, or may lie in the padding alone.
    """
    if any(2 * pad > extent for pad, extent in zip(window.padding, window.kernel, strict=False)):
        refuse("layers", f"average_pool: padding {list(window.padding)} is more than half of {list(window.kernel)}")
    places, positions = window.places(grid), math.prod(grid)
    inside = places < positions
    sizes = [window.size] * len(places) if counts_padding else inside.sum(1).tolist()
    unit = math.lcm(*sizes)
    if unit > LARGEST_COUNT:
        refuse("size-limit", f"average pooling in units of 1/{unit}")
    require_table(len(places) * (positions + 1))
    counts = np.zeros((len(places), positions + 1))
    weights = np.array([unit // size for size in sizes], np.float64)
    np.put_along_axis(counts, places, np.broadcast_to(weights[:, None], places.shape), 1)
    return Pooling(counts[:, :positions], unit)


def require_table(entries: int) -> None:
    """A table fits in memory.

    Raises:
        Rejection: refused; it does not.
    """
    if entries > LARGEST_TABLE:
        refuse("size-limit", f"layers with a table of {entries} entries, at most {LARGEST_TABLE}")
