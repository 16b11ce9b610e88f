"""Arrays of FLINT's real balls, at the precision of flint's context; every operation encloses the exact result."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, final

import numpy as np
import numpy.typing as npt
from flint import arb, arb_mat

from certify.verify.reals import Array, Mask, Number, Reals
from certify.verify.rejection import refuse

# Entries of one array (some 100 bytes each), and multiplications of one matrix product (some 10⁸ a second).
LARGEST_ARRAY = 2**24
LARGEST_PRODUCT = 2**36
ZERO = arb(0)
# Below −1/e, the least value of t log t; and below 1/e, where it is reached.
LEAST_ENTROPY = -0.3679
ENTROPY_FALLS_TO = 0.3678

Objects = npt.NDArray[np.object_]


@final
class Balls(Reals):
    """Real numbers, each in a ball."""

    __slots__ = ("values",)

    def __init__(self, values: Objects | arb) -> None:
        self.values: Objects = np.asarray(values, object)

    @staticmethod
    def of(values: npt.ArrayLike) -> Balls:
        floats = np.asarray(values, np.float64)
        require_small(floats.size)
        return Balls(objects([arb(value) for value in floats.ravel().tolist()], floats.shape))

    @staticmethod
    def joined(parts: Sequence[Reals], axis: int) -> Balls:
        return Balls(np.concatenate([balls(part).values for part in parts], axis))

    @property
    def shape(self) -> tuple[int, ...]:
        return self.values.shape

    @property
    def low(self) -> Array:
        return self._floats(_float_below)

    @property
    def high(self) -> Array:
        return self._floats(lambda x: -_float_below(-x))

    @property
    def near(self) -> Array:
        return self._floats(lambda x: float(x.mid()))

    @property
    def is_zero(self) -> Mask:
        return self._floats(lambda x: float(x.is_zero())) > 0

    def _moved(self, move: Callable[[npt.NDArray[Any]], npt.NDArray[Any]]) -> Balls:
        found = move(self.values)
        if np.size(found) > self.values.size:
            require_small(np.size(found))
        return Balls(found)

    def __neg__(self) -> Balls:
        return Balls(-self.values)

    def __add__(self, other: Number) -> Balls:
        return Balls(self.values + balls(other).values)

    def __mul__(self, other: Number) -> Balls:
        return Balls(self.values * balls(other).values)

    def __truediv__(self, other: Number) -> Balls:
        return Balls(self.values / balls(other).values)

    def __matmul__(self, other: Number) -> Balls:
        other = balls(other)
        if other.values.ndim == 1:
            return (self @ other[:, None])[:, 0]
        (m, k), n = self.shape, other.shape[1]
        if m * k * n > LARGEST_PRODUCT:
            refuse("too-large-for-exact", f"a product of {m} × {k} and {k} × {n}; check without --exact")
        require_small(m * n)
        return Balls(objects((matrix(self.values) * matrix(other.values)).entries(), (m, n)))

    def sum(self, axis: int | None = None) -> Balls:
        return Balls(np.add.reduce(self.values, axis=axis, initial=ZERO))

    def running_sum(self) -> Balls:
        return Balls(np.add.accumulate(self.values, 0))

    def grouped(self, index: npt.NDArray[np.int64], count: int) -> Balls:
        found = np.full(count, ZERO, object)
        np.add.at(found, index, self.values)
        return Balls(found)

    def only(self, mask: Mask) -> Balls:
        return Balls(np.where(mask, self.values, Balls(ZERO).values))

    def absolute(self) -> Balls:
        return Balls(abs(self.values))

    def maximum(self, other: Number) -> Balls:
        larger: Objects = np.frompyfunc(lambda x, y: x.max(y), 2, 1)(self.values, balls(other).values)
        return Balls(larger)

    def square_root(self) -> Balls:
        return self._each(_root)

    def exponential(self) -> Balls:
        return self._each(lambda x: x.exp())

    def logarithm(self) -> Balls:
        return self._each(lambda x: x.log())

    def softplus(self) -> Balls:
        # max(x, 0) + log1p(exp(−|x|)) does not overflow.
        return self._each(lambda x: x.max(ZERO) + (-abs(x)).exp().log1p())

    def entropy(self) -> Balls:
        return self._each(_entropy)

    def _each(self, function: Callable[[arb], arb]) -> Balls:
        return Balls(np.frompyfunc(function, 1, 1)(self.values))

    def _floats(self, function: Callable[[arb], float]) -> Array:
        return np.asarray(np.frompyfunc(function, 1, 1)(self.values), np.float64)


def balls(value: Number) -> Balls:
    """The value as balls; floats are exact."""
    if isinstance(value, Reals) and not isinstance(value, Balls):
        raise TypeError(f"{type(value).__name__} in exact arithmetic")
    return value if isinstance(value, Balls) else Balls.of(value)


def matrix(values: Objects) -> arb_mat:
    """FLINT's matrix of a two-dimensional array."""
    rows, columns = values.shape
    return arb_mat(rows, columns, values.ravel().tolist())


def require_small(entries: int) -> None:
    """The array fits in memory.

    Raises:
        Rejection: refused; it does not.
    """
    if entries > LARGEST_ARRAY:
        refuse("too-large-for-exact", f"an array of {entries} numbers, at most {LARGEST_ARRAY}; check without --exact")


def objects(values: list[arb], shape: tuple[int, ...]) -> Objects:
    """Entries in row-major order as an array."""
    return np.array(values, object).reshape(shape)


def _float_below(x: arb) -> float:
    """The largest float that is at most x, or −inf if x is not finite."""
    lower = x.lower()
    near = float(lower)
    for candidate in (near, math.nextafter(near, -math.inf)):
        if arb(candidate) <= lower:
            return candidate
    return -math.inf


def _root(x: arb) -> arb:
    """√t for all t ≥ 0 in the ball."""
    if x > 0 or x.is_zero():
        return x.sqrt()
    return x.upper().max(ZERO).sqrt().union(ZERO)


def _entropy(x: arb) -> arb:
    """T log t for all t ≥ 0 in the ball; 0 log 0 = 0."""
    if x > 0:
        return x * x.log()
    if x.is_zero():
        return ZERO
    upper = x.nonnegative_part().upper()
    at_upper = upper * upper.log() if upper > 0 else ZERO
    return at_upper.union(ZERO) if upper < ENTROPY_FALLS_TO else at_upper.max(ZERO).union(LEAST_ENTROPY)
