"""A sparse matrix, perhaps plus one of low rank, and its transpose: products with either run at the same speed."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Self, final

import torch
from torch import Tensor

from certify.problem import Entries


@final
@dataclass(frozen=True, slots=True)
class SparseMatrix:
    """G, (m, n).

    Attributes:
        by_rows: sparse, compressed by rows.
        by_columns: its transpose, likewise.
        added: factors (k, m) and (k, n) of what is added to it at all places, None for nothing.
    """

    by_rows: Tensor
    by_columns: Tensor
    added: tuple[Tensor, ...] | None = None

    @classmethod
    def of(cls, entries: Entries, values: Tensor, added: tuple[Tensor, ...] | None = None) -> Self:
        """The matrix that holds values (N,) on entries along two axes, and to which a product of factors is added."""
        places = entries.indices.T
        return cls(
            _compressed(places, values, entries.shape),
            _compressed(places.flip(0), values, entries.shape[::-1]),
            added,
        )

    @property
    def shape(self) -> tuple[int, int]:
        """(m, n)."""
        return self.by_rows.shape[0], self.by_rows.shape[1]

    @property
    def T(self) -> SparseMatrix:  # noqa: N802
        """The transpose."""
        return SparseMatrix(self.by_columns, self.by_rows, None if self.added is None else self.added[::-1])

    def __matmul__(self, other: Tensor) -> Tensor:
        """G V for V (n, k)."""
        found: Tensor = self.by_rows @ other
        return found if self.added is None else found + self.added[0].T @ (self.added[1] @ other)

    def dense(self) -> Tensor:
        """All entries, (m, n)."""
        found: Tensor = self.by_rows.to_dense()
        return found if self.added is None else found + self.added[0].T @ self.added[1]


def _compressed(places: Tensor, values: Tensor, shape: tuple[int, ...]) -> Tensor:
    with warnings.catch_warnings():
        # torch warns that compressed sparse tensors are in beta state.
        warnings.simplefilter("ignore")
        return torch.sparse_coo_tensor(places, values, shape).coalesce().to_sparse_csr()
