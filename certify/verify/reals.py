"""What the rules compute with: arrays of real numbers, each known to lie in an interval.

The rules are written once, on this interface. `Enclosure` fills it with binary64 and error analysis, `Balls` with
FLINT's arbitrary-precision balls. Every operation encloses the exact result; comparisons with NaN fail.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self, TypeAlias, final

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from certify.verify.forms.form import Form
    from certify.verify.proofs.proof import Proof

Array = npt.NDArray[np.float64]
Arrays = Mapping[str, npt.NDArray[Any]]
Mask = npt.NDArray[np.bool_]
Number: TypeAlias = "Reals | Array | float"
Real: TypeAlias = "Callable[[npt.ArrayLike], Reals]"


class Reals(ABC):
    """An array of real numbers, entry by entry in an interval; arithmetic with floats takes them as exact."""

    __slots__ = ()
    __array_ufunc__ = None

    @staticmethod
    @abstractmethod
    def of(values: npt.ArrayLike) -> Reals:
        """Floats, exactly."""

    @staticmethod
    @abstractmethod
    def joined(parts: Sequence[Reals], axis: int) -> Reals:
        """Arrays side by side along an axis."""

    @property
    @abstractmethod
    def shape(self) -> tuple[int, ...]: ...

    @property
    @abstractmethod
    def low(self) -> Array: ...

    @property
    @abstractmethod
    def high(self) -> Array: ...

    @property
    @abstractmethod
    def near(self) -> Array:
        """Floats near the numbers; how near is not known."""

    @property
    @abstractmethod
    def is_zero(self) -> Mask:
        """Which entries are known to be exactly 0."""

    @abstractmethod
    def _moved(self, move: Callable[[npt.NDArray[Any]], npt.NDArray[Any]]) -> Self:
        """The entries in another order or shape, some left out or repeated."""

    @property
    def T(self) -> Self:  # noqa: N802
        return self._moved(np.transpose)

    def __getitem__(self, index: Any) -> Self:  # noqa: ANN401
        return self._moved(lambda values: values[index])

    def reshape(self, *shape: int) -> Self:
        return self._moved(lambda values: values.reshape(shape))

    @abstractmethod
    def __neg__(self) -> Reals: ...

    @abstractmethod
    def __add__(self, other: Number) -> Reals: ...

    @abstractmethod
    def __mul__(self, other: Number) -> Reals: ...

    @abstractmethod
    def __truediv__(self, other: Number) -> Reals: ...

    @abstractmethod
    def __matmul__(self, other: Number) -> Reals: ...

    def __sub__(self, other: Number) -> Reals:
        return self + (-other)

    @abstractmethod
    def sum(self, axis: int | None = None) -> Reals:
        """Sum of all entries or along an axis."""

    @abstractmethod
    def running_sum(self) -> Reals:
        """Sums of the first 1, 2, …, n rows."""

    @abstractmethod
    def grouped(self, index: npt.NDArray[np.int64], count: int) -> Reals:
        """Sums over groups, (count,), of one axis of numbers with the group of each."""

    @abstractmethod
    def only(self, mask: Mask) -> Reals:
        """Exact zero where the mask is False."""

    @abstractmethod
    def absolute(self) -> Reals: ...

    @abstractmethod
    def maximum(self, other: Number) -> Reals: ...

    @abstractmethod
    def square_root(self) -> Reals:
        """√x of quantities known to be nonnegative."""

    @abstractmethod
    def exponential(self) -> Reals: ...

    @abstractmethod
    def logarithm(self) -> Reals:
        """Log x, x > 0."""

    @abstractmethod
    def softplus(self) -> Reals:
        """log(1 + exp x)."""

    @abstractmethod
    def entropy(self) -> Reals:
        """X log x of quantities known to be nonnegative, 0 log 0 = 0."""

    def gram(self) -> Reals:
        """XᵀX of a matrix X."""
        return self.T @ self

    def row_norms(self) -> Reals:
        """Euclidean norms along the last axis."""
        return (self * self).sum(-1).square_root()


@final
@dataclass(frozen=True, slots=True)
class Arithmetic:
    """How a certificate is checked.

    Attributes:
        name: `floating-point` or `exact`.
        real: floats as exact real numbers.
        proves_semidefinite: whether every symmetric matrix within an enclosure is proven positive semidefinite, by
            its lower triangle.
        cone_tree_upper: upper bound on the polar of a form that a cone tree proves; +inf if it proves none.
        change_to_kernel: −E (EᵀE)⁻¹ EᵀA from E (m, k) and A (m, q), which makes EᵀA zero.
    """

    name: str
    real: Real
    proves_semidefinite: Callable[[Reals], bool]
    cone_tree_upper: Callable[[Form, Proof], float]
    change_to_kernel: Callable[[Array, Array], Reals]

    def dominates(self, level: Reals, matrix: Reals) -> bool:
        """Whether t I − M is proven positive semidefinite, for t and symmetric M (n, n)."""
        return self.proves_semidefinite(level * np.eye(matrix.shape[0]) - matrix)


def sums_to_zero(values: Sequence[float]) -> bool:
    """Whether finite floats sum to zero, exactly: their sum is a multiple of 2⁻¹⁰⁷⁴, which `fsum` does not lose."""
    return math.fsum(values) == 0
