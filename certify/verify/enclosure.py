"""Arrays of real numbers known up to a radius, |x − mid| ≤ rad; every operation encloses the exact result.

With u = 2⁻⁵³ and round to nearest, |fl(x op y) − x op y| ≤ u |fl(x op y)| (+ 2⁻¹⁰⁷⁵ where products underflow), and a
sum or dot product of k terms, in any order, errs by at most γ_k Σ|terms|, γ_k = k u/(1 − k u) (Higham 2002, chapters
3 and 4). Radii are sums of nonnegative terms; GROW covers their own roundings, TINY every underflow. exp, log
and log1p are assumed within LIBM_ULPS units in the last place; `tests/verify` checks this of the machine.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, final

import numpy as np
import numpy.typing as npt

from certify.verify.reals import Array, Mask, Number, Reals

ROUNDOFF = 2.0**-53
TINY = 2.0**-960
# More than the norm of what a computed sum of squares loses to underflow.
SQUARES_UNDERFLOW = 2.0**-500
GROW = 1 + 2.0**-44
LIBM_ULPS = 4
_FUNCTION = 2 * LIBM_ULPS * ROUNDOFF * GROW


def gamma(terms: int) -> float:
    """γ_k, rounded up; sizes are limited so that k u < 1/2."""
    return terms * ROUNDOFF / (1 - terms * ROUNDOFF) * GROW


@final
class Enclosure(Reals):
    """Real numbers within `rad` of `mid`, entry by entry; `rad` may be inf, and comparisons with NaN fail."""

    __slots__ = ("mid", "rad")

    def __init__(self, mid: npt.ArrayLike, rad: npt.ArrayLike = 0.0) -> None:
        self.mid: Array = np.asarray(mid, np.float64)
        self.rad: Array = np.broadcast_to(np.asarray(rad, np.float64), self.mid.shape)

    @staticmethod
    def of(values: npt.ArrayLike) -> Enclosure:
        return Enclosure(values)

    @staticmethod
    def joined(parts: Sequence[Reals], axis: int) -> Enclosure:
        both = [enclosed(part) for part in parts]
        return Enclosure(np.concatenate([x.mid for x in both], axis), np.concatenate([x.rad for x in both], axis))

    @property
    def shape(self) -> tuple[int, ...]:
        return self.mid.shape

    @property
    def near(self) -> Array:
        return self.mid

    @property
    def is_zero(self) -> Mask:
        return np.asarray((self.mid == 0) & (self.rad == 0))

    @property
    def low(self) -> Array:
        return np.nextafter(self.mid - self.rad, -np.inf)

    @property
    def high(self) -> Array:
        return np.nextafter(self.mid + self.rad, np.inf)

    def _moved(self, move: Callable[[npt.NDArray[Any]], npt.NDArray[Any]]) -> Enclosure:
        return Enclosure(move(self.mid), move(self.rad))

    def __neg__(self) -> Enclosure:
        return Enclosure(-self.mid, self.rad)

    def __add__(self, other: Number) -> Enclosure:
        other = enclosed(other)
        mid = self.mid + other.mid
        return Enclosure(mid, (self.rad + other.rad + ROUNDOFF * np.abs(mid)) * GROW)

    def __mul__(self, other: Number) -> Enclosure:
        other = enclosed(other)
        mid = self.mid * other.mid
        rad = np.abs(self.mid) * other.rad + self.rad * (np.abs(other.mid) + other.rad)
        return Enclosure(mid, (rad + ROUNDOFF * np.abs(mid) + TINY) * GROW)

    def __truediv__(self, other: Number) -> Enclosure:
        other = enclosed(other)
        room = np.abs(other.mid) - other.rad
        with np.errstate(all="ignore"):
            mid = self.mid / other.mid
            rad = (self.rad + (np.abs(mid) * GROW + TINY) * other.rad) / room + ROUNDOFF * np.abs(mid) + TINY
        return Enclosure(mid, np.where(room > 0, rad * GROW, np.inf))

    def __matmul__(self, other: Number) -> Enclosure:
        other = enclosed(other)
        terms = self.mid.shape[-1]
        left, right = np.abs(self.mid), np.abs(other.mid)
        rad = gamma(terms) * (left @ right) + terms * TINY
        rad = rad + (left @ other.rad if other.rad.any() else 0.0)
        rad = rad + (self.rad @ (right + other.rad) if self.rad.any() else 0.0)
        return Enclosure(self.mid @ other.mid, rad * (1 + gamma(2 * terms + 16)))

    def gram(self) -> Enclosure:
        if self.rad.any():
            return self.T @ self
        # Σ_k |x_ki||x_kj| ≤ |x_i||x_j|, column by column.
        terms, lengths = len(self.mid), np.sqrt((self.mid * self.mid).sum(0)) + SQUARES_UNDERFLOW
        rad = gamma(terms) * np.multiply.outer(lengths, lengths) + terms * TINY
        return Enclosure(self.mid.T @ self.mid, rad * (1 + gamma(2 * terms + 16)))

    def sum(self, axis: int | None = None) -> Enclosure:
        terms = self.mid.size if axis is None else self.mid.shape[axis]
        rad = self.rad.sum(axis) + gamma(terms) * np.abs(self.mid).sum(axis)
        return Enclosure(self.mid.sum(axis), rad * (1 + gamma(2 * terms + 16)))

    def running_sum(self) -> Enclosure:
        terms = len(self.mid)
        rad = np.cumsum(self.rad, 0) + gamma(terms) * np.cumsum(np.abs(self.mid), 0)
        return Enclosure(np.cumsum(self.mid, 0), rad * (1 + gamma(2 * terms + 16)))

    def grouped(self, index: npt.NDArray[np.int64], count: int) -> Enclosure:
        terms = int(np.bincount(index, minlength=count).max(initial=0))
        mid, size, rad = (np.bincount(index, part, count) for part in (self.mid, np.abs(self.mid), self.rad))
        return Enclosure(mid, (rad + gamma(terms) * size) * (1 + gamma(2 * terms + 16)))

    def only(self, mask: Mask) -> Enclosure:
        return Enclosure(np.where(mask, self.mid, 0.0), np.where(mask, self.rad, 0.0))

    def absolute(self) -> Enclosure:
        return Enclosure(np.abs(self.mid), self.rad)

    def maximum(self, other: Number) -> Enclosure:
        other = enclosed(other)
        larger, smaller = self.low >= other.high, other.low >= self.high
        rad = np.where(larger, self.rad, np.where(smaller, other.rad, np.maximum(self.rad, other.rad)))
        return Enclosure(np.maximum(self.mid, other.mid), rad)

    def square_root(self) -> Enclosure:
        return _increasing(self, lambda t: np.sqrt(np.maximum(t, 0.0)), 4 * ROUNDOFF)

    def exponential(self) -> Enclosure:
        return _increasing(self, np.exp, 2 * _FUNCTION)

    def logarithm(self) -> Enclosure:
        return _increasing(self, np.log, 2 * _FUNCTION)

    def softplus(self) -> Enclosure:
        # max(x, 0) + log1p(exp(−|x|)) is a sum of nonnegative terms.
        return _increasing(self, lambda t: np.maximum(t, 0.0) + np.log1p(np.exp(-np.abs(t))), 4 * _FUNCTION)

    def entropy(self) -> Enclosure:
        # x log x is convex, so largest at an end of the interval; below by the tangent at the upper end.
        low, high = np.maximum(self.low, 0.0), np.maximum(self.high, 0.0)
        with np.errstate(all="ignore"):
            logs = np.log(high)
            at_low = np.where(low > 0, low * np.log(low), 0.0)
            at_high = np.where(high > 0, high * logs, 0.0)
            below = at_high - np.maximum(1 + logs, 0.0) * (high - low) * GROW
        size = 4 * _FUNCTION * (np.abs(at_low) + np.abs(at_high) + (high - low)) + TINY
        return between(below - size, np.maximum(at_low, at_high) + size)


def enclosed(value: Number) -> Enclosure:
    """The value as an enclosure; floats are exact."""
    if isinstance(value, Reals) and not isinstance(value, Enclosure):
        raise TypeError(f"{type(value).__name__} in floating-point arithmetic")
    return value if isinstance(value, Enclosure) else Enclosure(value)


def between(low: Array, high: Array) -> Enclosure:
    """Enclosure of [low, high]."""
    mid = low / 2 + high / 2
    return Enclosure(mid, np.maximum(high - mid, mid - low) * GROW + TINY)


def _increasing(x: Enclosure, function: Callable[[Array], Array], error: float) -> Enclosure:
    """An increasing function that the machine evaluates with relative error `error`."""
    with np.errstate(all="ignore"):
        low, high = function(x.low), function(x.high)
        return between(low - np.abs(low) * error - TINY, high + np.abs(high) * error + TINY)
