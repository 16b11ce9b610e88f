"""A matrix of floats that is zero but at given places: what the randomized test asks of a matrix."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import final

import numpy as np
import numpy.typing as npt

from certify.verify.reals import Array

Indices = npt.NDArray[np.int64]


@final
@dataclass(frozen=True, slots=True)
class SparseFloats:
    """Rows, columns and values (N,) of entries, each place once, and the shape."""

    rows: Indices
    columns: Indices
    values: Array
    shape: tuple[int, int]

    @property
    def T(self) -> SparseFloats:  # noqa: N802
        return SparseFloats(self.columns, self.rows, self.values, (self.shape[1], self.shape[0]))

    @property
    def longest_products(self) -> int:
        """Terms of the longest sums in products with it and with its transpose, together."""
        pairs = zip((self.rows, self.columns), self.shape, strict=True)
        return sum(int(np.bincount(index, minlength=extent).max()) for index, extent in pairs)

    def __matmul__(self, other: Array) -> Array:
        sums = [np.bincount(self.rows, self.values * column[self.columns], self.shape[0]) for column in other.T]
        found: Array = np.stack(sums, 1)
        return found

    def __abs__(self) -> SparseFloats:
        return replace(self, values=np.abs(self.values))

    def __mul__(self, factor: float | SparseFloats) -> SparseFloats:
        return replace(self, values=self.values * (factor.values if isinstance(factor, SparseFloats) else factor))

    def max(self, initial: float = 0.0) -> float:
        return float(self.values.max(initial=initial))

    def sum(self, axis: int | None = None) -> Array:
        """Sum of all entries or along an axis."""
        if axis is None:
            return np.asarray(self.values.sum())
        index = (self.columns, self.rows)[axis]
        return np.asarray(np.bincount(index, self.values, self.shape[1 - axis]), np.float64)
