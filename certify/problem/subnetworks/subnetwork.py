"""A subnetwork kind φ: what the parallel network sums, positively homogeneous in each of its factors.

Φ(W) = Σ_i φ(W_i), φ(a_1 W^1, …, a_K W^K) = Π a_k^{d_k} φ(W) for a_k > 0 (Haeffele and Vidal 2015).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from torch import Tensor

Factors = tuple[Tensor, ...]


class Subnetwork(ABC):
    """One kind of subnetwork; stateless.

    Attributes:
        name: the family's name in files and reports.
        degrees: degree of homogeneity d_k in each factor; their sum is the degree of φ.
    """

    name: ClassVar[str]
    degrees: ClassVar[tuple[int, ...]]

    @abstractmethod
    def forward(self, inputs: Tensor, factors: Factors) -> Tensor:
        """Σ_i φ(inputs; W_i), shape (n, c), for inputs (n, d) and factors stacked along their first axis."""

    @abstractmethod
    def outputs(self, inputs: Tensor, factors: Factors) -> Tensor:
        """φ(inputs; W_i) of every subnetwork, shape (r, n, c)."""

    @abstractmethod
    def pairing(self, inputs: Tensor, dual: Tensor, factors: Factors) -> Tensor:
        """<dual, φ(inputs; W_i)> of every subnetwork i, shape (r,), for dual (n, c)."""

    @property
    def degree(self) -> int:
        """Degree of homogeneity of φ in all its parameters together."""
        return sum(self.degrees)


class TwoLayer(Subnetwork):
    """φ(X; u, v) = σ(X u) vᵀ with factors u (r, d) and v (r, c)."""

    @staticmethod
    @abstractmethod
    def activation(preactivation: Tensor) -> Tensor:
        """σ, entrywise."""

    def hidden(self, inputs: Tensor, first: Tensor) -> Tensor:
        """σ(X uᵢ) of all subnetworks, shape (n, r)."""
        return self.activation(inputs @ first.T)

    def forward(self, inputs: Tensor, factors: Factors) -> Tensor:
        first, second = factors
        return self.hidden(inputs, first) @ second

    def outputs(self, inputs: Tensor, factors: Factors) -> Tensor:
        first, second = factors
        return torch.einsum("nr,rc->rnc", self.hidden(inputs, first), second)

    def pairing(self, inputs: Tensor, dual: Tensor, factors: Factors) -> Tensor:
        first, second = factors
        return torch.einsum("nr,nc,rc->r", self.hidden(inputs, first), dual, second)
