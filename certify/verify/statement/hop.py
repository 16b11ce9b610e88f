"""How a weight between two activations reads: averages over positions, then a window at each of its own positions.

t_q = Σ_k Σ_b w[b, k] (average of z_b over what entry k of window q reads), 0 where it reads the padding.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np

from certify.verify.reals import Array, Reals
from certify.verify.statement.activations import Activation, Kink
from certify.verify.statement.windows import Integers, Pooling


@final
@dataclass(frozen=True, slots=True)
class Hop:
    """A weight between two activations, without its entries.

    Attributes:
        positions: P, before it.
        averaged: averages over positions first, (P', P), or None, then P' = P.
        places: which of the P' each entry of each window reads, (Q, k); P' for padding.
        activation: σ after it.
    """

    positions: int
    averaged: Pooling | None
    places: Integers
    activation: Activation

    @property
    def kink(self) -> Kink:
        """σ, which is no square."""
        if not isinstance(self.activation, Kink):
            raise TypeError("a square among three weights")
        return self.activation

    @property
    def entries(self) -> int:
        """Entries of its tables."""
        return self.places.size + (0 if self.averaged is None else self.averaged.counts.size)

    def through(self, values: Reals, weights: Array) -> Reals:
        """The next values (n Q, m) of values (n P, b) and weights (m, b k)."""
        (q, k), b = self.places.shape, values.shape[1]
        n, places = values.shape[0] // self.positions, self.positions
        values = values.reshape(n, places, b)
        if self.averaged is not None:
            counts, places = self.averaged.counts, len(self.averaged.counts)
            moved = _swapped(values, (n, self.positions, b)).reshape(n * b, self.positions) @ counts.T
            values = _swapped(moved / float(self.averaged.unit), (n, b, places))
        padded = values.joined([values, values.of(np.zeros((n, 1, b)))], 1)[:, self.places]
        read = padded.reshape(n * q, k * b)
        return read @ weights.reshape(len(weights), b, k).transpose(0, 2, 1).reshape(len(weights), k * b).T

    def columns_back(self, columns: Reals) -> Reals:
        """C' (n P, j k) with Σ_q C_q t_q = Σ_k w_k·(C'_kᵀ z) for one channel, from C (n Q, j)."""
        (q, k), j = self.places.shape, columns.shape[1]
        n = columns.shape[0] // q
        parts = [self._spread(columns, n, entry) for entry in range(k)]
        whole = columns.joined(parts, 2).reshape(n, -1, j * k)
        return self._averaged_back(whole, weigh=False)

    def squares_back(self, weights: Reals) -> Reals:
        """D' (n P) with Σ_q D_q t_q² ≤ |w|² Σ_b Σ_p D'_p z_bp², from D ≥ 0 (n Q): Cauchy-Schwarz, and Jensen."""
        q, k = self.places.shape
        n = weights.shape[0] // q
        total = self._spread(weights.reshape(n * q, 1), n, 0)
        for entry in range(1, k):
            total = total + self._spread(weights.reshape(n * q, 1), n, entry)
        return self._averaged_back(total, weigh=True).reshape(n * self.positions)

    def _spread(self, columns: Reals, n: int, entry: int) -> Reals:
        """What entry k of the windows reads gets of columns (n Q, j): (n, P', j)."""
        places = self.positions if self.averaged is None else len(self.averaged.counts)
        counts = np.zeros((len(self.places), places + 1))
        counts[np.arange(len(self.places)), self.places[:, entry]] = 1.0
        j = columns.shape[1]
        flat = _swapped(columns.reshape(n, len(counts), j), (n, len(counts), j)).reshape(n * j, len(counts))
        return _swapped((flat @ counts[:, :places]).reshape(n, j, places), (n, j, places))

    def _averaged_back(self, values: Reals, *, weigh: bool) -> Reals:
        """Values (n, P', j) through the averages, (n P, j); squares weigh each average by the sum of its weights."""
        n, places, j = values.shape
        if self.averaged is None:
            return values.reshape(n * places, j)
        counts, unit = self.averaged.counts, float(self.averaged.unit)
        flat = _swapped(values, (n, places, j)).reshape(n * j, places)
        if weigh:
            flat = flat * counts.sum(1) / unit
        moved = (flat @ counts).reshape(n, j, self.positions) / unit
        return _swapped(moved, (n, j, self.positions)).reshape(n * self.positions, j)


def _swapped(values: Reals, shape: tuple[int, int, int]) -> Reals:
    """(a, b, c) as (a, c, b)."""
    order = np.arange(np.prod(shape)).reshape(shape).transpose(0, 2, 1)
    return values.reshape(-1)[order]
