"""A matrix of floats, zero but at given places, perhaps plus one of low rank: what the randomized test asks for."""

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
    """Rows, columns and values (N,) of entries, each place once, and the shape.

    Where there are factors `added`, (k, m) and (k, n), it is the sum of that and of their product.
    """

    rows: Indices
    columns: Indices
    values: Array
    shape: tuple[int, int]
    added: tuple[Array, Array] | None = None

    @property
    def T(self) -> SparseFloats:  # noqa: N802
        added = None if self.added is None else self.added[::-1]
        return SparseFloats(self.columns, self.rows, self.values, (self.shape[1], self.shape[0]), added)

    @property
    def longest_products(self) -> int:
        """Terms of the longest sums in products with it and with its transpose, together."""
        pairs = zip((self.rows, self.columns), self.shape, strict=True)
        own = sum(int(np.bincount(index, minlength=extent).max()) for index, extent in pairs)
        return own if self.added is None else own + sum(self.shape) + 2 * len(self.added[0]) + 2

    @property
    def squares(self) -> float:
        """At least the sum of the squares of all entries, but for rounding."""
        own = float(np.linalg.norm(self.values))
        if self.added is not None:
            own += float(np.linalg.norm(self.added[0]) * np.linalg.norm(self.added[1]))
        return own**2

    def __matmul__(self, other: Array) -> Array:
        sums = [np.bincount(self.rows, self.values * column[self.columns], self.shape[0]) for column in other.T]
        found: Array = np.stack(sums, 1)
        return found if self.added is None else found + self.added[0].T @ (self.added[1] @ other)

    def __abs__(self) -> SparseFloats:
        """No entry of it is smaller than the magnitude of that here."""
        added = None if self.added is None else (np.abs(self.added[0]), np.abs(self.added[1]))
        return replace(self, values=np.abs(self.values), added=added)

    def __mul__(self, factor: float) -> SparseFloats:
        added = None if self.added is None else (self.added[0] * factor, self.added[1])
        return replace(self, values=self.values * factor, added=added)

    def max(self, initial: float = 0.0) -> float:
        """At least the largest entry."""
        own = float(self.values.max(initial=initial))
        return own if self.added is None else own + float(self.added[0].max(1) @ self.added[1].max(1))

    def sum(self, axis: int) -> Array:
        """Sums along an axis."""
        index = (self.columns, self.rows)[axis]
        own = np.asarray(np.bincount(index, self.values, self.shape[1 - axis]), np.float64)
        if self.added is None:
            return own
        found: Array = own + self.added[axis].sum(1) @ self.added[1 - axis]
        return found
