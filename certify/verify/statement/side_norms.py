"""Norms of the two factors of u vᵀ, N(u) = a|u|₁ + b|u|₂ or |u|_∞, with the cone u ≥ 0 or without.

Let N°(y) be the largest y·u over N(u) ≤ 1, u in the cone: N°(y) ≤ t is |y|₁ ≤ t for the last, else
|(|y| − a t)₊|₂ ≤ b t; in the cone with y₊ for y. Where N(u) ≤ 1, convex functions of (|u|₂, |u|₁) are largest at 0, at
vectors with one entry, or at ones with n equal ones: |u|₂ = 1/(a + b) or 1/(a √n + b).
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import final

import numpy as np
import numpy.typing as npt

from certify.verify.reals import Array, Real, Reals
from certify.verify.rejection import require
from certify.verify.statement.fields import flag, number, section

Index = npt.NDArray[np.int64]


@final
@dataclass(frozen=True, slots=True)
class SideNorm:
    """a, b and c of a|u|₁ + b|u|₂ + c|u|_∞, of which one is 1, or the first two are positive, and the rest 0."""

    l1: float
    l2: float
    linf: float
    nonnegative: bool

    @property
    def is_l1(self) -> bool:
        """Whether N = |u|₁."""
        return self.l2 == self.linf == 0

    @property
    def is_l2(self) -> bool:
        """Whether N = |u|₂."""
        return self.l1 == self.linf == 0

    def require_norm(self) -> None:
        """The weights make one of the norms above.

        Raises:
            Rejection: they do not.
        """
        weights = self.l1, self.l2, self.linf
        mixed = min(weights[:2]) > 0 and self.linf == 0
        require(mixed or sorted(weights) == [0, 0, 1], "norms", f"{weights} are no weights of norms")

    def require_inside(self, factor: Array | None) -> None:
        """Weights (r, ·) lie in the cone.

        Raises:
            Rejection: they do not.
        """
        inside = factor is None or not self.nonnegative or bool((factor >= 0).all())
        require(inside, "cone", "a factor has a negative entry")

    def value(self, factor: Reals) -> Reals:
        """N of each row, (r,)."""
        sizes = factor.absolute()
        if self.linf:
            columns = [sizes[:, place] for place in range(sizes.shape[1])]
            return functools.reduce(lambda one, other: one.maximum(other), columns)
        return sizes.sum(1) * self.l1 + sizes.row_norms() * self.l2

    def dual_within(self, rows: Reals, level: Reals) -> bool:
        """N°(y) ≤ t for every row."""
        sizes = self._felt(rows)
        if self.linf:
            return bool(((level - sizes.sum(1)).low >= 0).all())
        rest = (sizes - level * self.l1).maximum(0.0)
        fits = (level * self.l2 - rest.row_norms()).low >= 0
        return bool((fits | rest.is_zero.all(1)).all())

    def dual_within_groups(self, values: Reals, group: Index, level: Reals) -> bool:
        """N°(y) ≤ t for every vector y, of which values (N,), with the group of each, are all that is not zero."""
        sizes, count = self._felt(values), int(group.max()) + 1
        if self.linf:
            return bool(((level - sizes.grouped(group, count)).low >= 0).all())
        rest = (sizes - level * self.l1).maximum(0.0)
        fits = (level * self.l2 - (rest * rest).grouped(group, count).square_root()).low >= 0
        return bool((fits | (np.bincount(group[~rest.is_zero], minlength=count) == 0)).all())

    def form_upper(self, matrix: Reals, level: Reals) -> Reals:
        """At least uᵀMu for N(u) ≤ 1, u in the cone, from τ ≥ 0 and the largest entry of M − τ I in magnitude."""
        if self.linf:
            return self._felt(matrix).sum()
        size = matrix.shape[0]
        rest = matrix.of(self._felt(matrix - level * np.eye(size)).high.max())
        one, all_ = (matrix.of(self.l1) * root + self.l2 for root in (1.0, matrix.of(float(size)).square_root()))
        return ((level + rest) / (one * one)).maximum((level + rest * float(size)) / (all_ * all_))

    def radius(self, size: int, real: Real) -> Reals:
        """At least the largest |u|₂ with N(u) ≤ 1, of so many entries."""
        return real(float(size)).square_root() if self.linf else real(1.0) / (real(self.l1) + self.l2)

    def _felt(self, values: Reals) -> Reals:
        return values.maximum(0.0) if self.nonnegative else values.absolute()

    def __str__(self) -> str:
        names = (("l1", self.l1), ("l2", self.l2), ("linf", self.linf))
        shown = " + ".join(name if weight == 1 else f"{weight:g} {name}" for name, weight in names if weight)
        return shown + (" nonnegative" if self.nonnegative else "")


EUCLIDEAN = SideNorm(0.0, 1.0, 0.0, False)


def read_side(value: object, place: str) -> SideNorm:
    """The norm of one side, at a place of the header.

    Raises:
        Rejection: refused.
    """
    entry = section(value, place, ("l1", "l2", "linf", "nonnegative"))
    l1, l2, linf = (number(entry[name], f"{place}.{name}") for name in ("l1", "l2", "linf"))
    return SideNorm(l1, l2, linf, flag(entry["nonnegative"], f"{place}.nonnegative"))
