"""Samples that are entries of a matrix or tensor: what factorizations read in place of rows of inputs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor

# Entries times subnetworks that are gathered at once.
GATHERED = 2**20


@final
@dataclass(frozen=True, slots=True)
class Anchor:
    """A matrix M = Σ_i u_i v_iᵀ of low rank.

    Attributes:
        factors: (r, m) and (r, n).
        values: of M at the entries, (N,).
    """

    factors: tuple[Tensor, ...]
    values: Tensor


@final
@dataclass(frozen=True, slots=True)
class Entries:
    """Where the entries stand.

    Attributes:
        indices: (N, K) int64, the place of every entry along each axis.
        shape: extents (n_1, …, n_K).
        coefficients: (N,) float64 factor of every entry, None for 1.
        anchor: M of one more sample, the product of a matrix with M over all entries that are not listed; or None.
    """

    indices: Tensor
    shape: tuple[int, ...]
    coefficients: Tensor | None = None
    anchor: Anchor | None = None

    # Weights without a penalty, as a free hidden bias has one; factors have none.
    free_inputs: ClassVar[int] = 0

    @property
    def order(self) -> int:
        """Number K of axes."""
        return len(self.shape)

    @property
    def numbers(self) -> int:
        """How many numbers the subnetworks read."""
        return self.indices.numel()

    def weighted(self, values: Tensor) -> Tensor:
        """Values (N,) or (N, r) of the entries times their coefficients."""
        if self.coefficients is None:
            return values
        return values * (self.coefficients if values.ndim == 1 else self.coefficients[:, None])

    def chunks(self, width: int) -> Iterator[slice]:
        """Ranges of entries whose products fit memory for so many subnetworks."""
        size = max(GATHERED // max(width, 1), 1)
        for start in range(0, len(self.indices), size):
            yield slice(start, start + size)

    def products(self, factors: tuple[Tensor, ...]) -> Iterator[tuple[slice, Tensor]]:
        """Π_k u_k[i_k] for factors (r, n_k), without coefficients, (len, r) of one range of entries after the other."""
        tables = [factor.T.contiguous() for factor in factors]
        for chosen in self.chunks(len(factors[0])):
            found: Tensor = tables[0][self.indices[chosen, 0]]
            for axis, table in enumerate(tables[1:], 1):
                found = found * table[self.indices[chosen, axis]]
            yield chosen, found

    def sums(self, factors: tuple[Tensor, ...]) -> Tensor:
        """Σ_i Π_k u_ik[i_k] with coefficients, (N,), and last the sample of an anchor."""
        parts = [product.sum(1) for _, product in self.products(factors)]
        found = self.weighted(torch.cat(parts)) if parts else factors[0].new_zeros(0)
        if self.anchor is None:
            return found
        inside = products_with(self.anchor.factors, factors).sum() - self.anchor.values @ found
        return torch.cat([found, inside[None]])

    def split(self, dual: Tensor) -> tuple[Tensor, tuple[Tensor, ...] | None]:
        """The matrix of numbers (N,), or (N + 1,) with an anchor: values at the entries, and factors of what is added.

        What is added stands at all entries of the matrix, listed or not.
        """
        if self.anchor is None:
            return self.weighted(dual), None
        left, right = self.anchor.factors
        return dual[:-1] - dual[-1] * self.anchor.values, (dual[-1] * left, right)


def products_with(one: tuple[Tensor, ...], other: tuple[Tensor, ...]) -> Tensor:
    """<Σ_i u_i ⊗ v_i ⊗ …, x_j ⊗ y_j ⊗ …> for factors u, v, … (r, ·) and x, y, … (s, ·), (s,)."""
    pairs = (left @ right.T for left, right in zip(one, other, strict=True))
    found: Tensor = torch.stack([*pairs]).prod(0).sum(0)
    return found
