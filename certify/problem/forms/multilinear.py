"""Multilinear: maximize T(u_1, …, u_K) = Σ_i S_i Π_k u_k[i_k] over |u_k| ≤ 1, S the scores of Q on given entries.

For K = 2 it is the largest singular value of the sparse matrix that holds S.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from torch import Tensor

from certify.problem.entries import Entries


@final
@dataclass(frozen=True, slots=True)
class Multilinear:
    """The form on entries."""

    entries: Entries

    def values(self, scores: Tensor) -> Tensor:
        """What the tensor T holds on the entries, (N,), for scores S (N, 1)."""
        return self.entries.split(scores[:, 0])[0]

    def added(self, scores: Tensor) -> tuple[Tensor, ...] | None:
        """Factors of the matrix that is added to that at all places, None for none."""
        return self.entries.split(scores[:, 0])[1]
