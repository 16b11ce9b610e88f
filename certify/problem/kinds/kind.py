"""A kind of subnetwork φ: what a parallel network sums, positively homogeneous in each of its factors.

Φ(W) = Σ_i φ(W_i), φ(a_1 W^1, …, a_K W^K) = Π a_k^{d_k} φ(W) for a_k > 0 (Haeffele and Vidal 2015).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from torch import Tensor

from certify.problem.forms import PolarForm

Factors = tuple[Tensor, ...]
# What subnetworks read of the data: a `View`, `Entries` or `Path`, as the kind has it.
Seen = Any
# An operation as graphs name it, with its attributes.
Operation = tuple[str, Mapping[str, object]]


@dataclass(frozen=True, slots=True)
class Kind(ABC):
    """One kind of subnetwork; a value that holds what its function depends on beside weights and data.

    Attributes:
        name: the kind's name in files and reports.
        polar: the form of its polar.
        bounded_with_free_bias: whether the polar is finite for some A where the hidden bias is not penalized.
        steps: what stands between the weight layers, by the names that graphs and certificates share; kinds whose
            steps have attributes say the three below instead.
    """

    name: ClassVar[str]
    polar: ClassVar[type[PolarForm]]
    bounded_with_free_bias: ClassVar[bool] = True
    steps: ClassVar[tuple[str, ...]]

    @classmethod
    def from_operations(cls, operations: tuple[Operation, ...]) -> Self | None:
        """The kind whose weight layers have these operations between them, None if they are another's."""
        return cls() if tuple(name for name, _ in operations) == cls.steps else None

    @property
    @abstractmethod
    def degrees(self) -> tuple[int, ...]:
        """Degree of homogeneity d_k in each factor; their sum is the degree of φ."""

    @property
    def operations(self) -> tuple[Operation, ...]:
        """What stands between the weight layers, as graphs name it."""
        return tuple((name, {}) for name in self.steps)

    @property
    def statement(self) -> tuple[Mapping[str, object], ...]:
        """The same in the closed vocabulary of certificates."""
        return tuple({"op": name} for name in self.steps)

    @abstractmethod
    def form(self, view: Seen) -> PolarForm:
        """Its polar on a view: an instance of `polar`."""

    @abstractmethod
    def sizes(self, view: Seen, outputs: int) -> tuple[int, ...]:
        """Number of scalars in each factor of one subnetwork."""

    @abstractmethod
    def forward(self, view: Seen, factors: Factors) -> Tensor:
        """Σ_i φ(W_i), shape (n, c), for factors stacked along their first axis."""

    @abstractmethod
    def outputs(self, view: Seen, factors: Factors) -> Tensor:
        """φ(W_i) of every subnetwork, shape (r, n, c)."""

    @abstractmethod
    def pairing(self, view: Seen, dual: Tensor, factors: Factors) -> Tensor:
        """<dual, φ(W_i)> of every subnetwork i, shape (r,), for dual (n, c)."""

    @abstractmethod
    def magnitudes(self, view: Seen, factors: Factors) -> Tensor:
        """Σ_i over the magnitudes of all terms and factors, (n, c): what rounding errors are relative to."""

    @abstractmethod
    def span_upper(self, view: Seen, outputs: int) -> int:
        """Upper bound on D = dim span{φ(w)}, the width that suffices (Haeffele and Vidal 2017, Theorem 2)."""

    @abstractmethod
    def terms(self, view: Seen, outputs: int, width: int) -> int:
        """Upper bound on the number of terms that make one output of so many subnetworks, for rounding errors."""

    @abstractmethod
    def blank(self, view: Seen, outputs: int) -> Factors:
        """The stack of width zero."""

    @property
    def degree(self) -> int:
        """Degree of homogeneity of φ in all its parameters together."""
        return sum(self.degrees)
