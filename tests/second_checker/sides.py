"""Rule 52: norms a|u|₁ + b|u|₂ or |u|_∞ of one factor, and its cone."""

from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np

from .exact import Matrix, norms_above, root_above, square_norms
from .rejection import require
from .schema import number


class Side(NamedTuple):
    """a, b, 1 for the norm l∞ or 0, and whether the factor is nonnegative."""

    one: Fraction
    two: Fraction
    most: Fraction
    cone: bool

    @property
    def is_round(self) -> bool:
        return self.two == 1 and self.one == 0

    @property
    def has_vertices(self) -> bool:
        return self.one == 1 and self.two == 0

    def felt(self, matrix: Matrix) -> Matrix:
        return np.maximum(matrix, 0) if self.cone else abs(matrix)

    def above(self, factor: Matrix) -> list[Fraction]:
        lengths = norms_above(factor) if self.two else [Fraction(0)] * len(factor)
        sizes = [(sum(row), max(row, default=0)) for row in abs(factor).tolist()]
        pairs = zip(sizes, lengths, strict=True)
        return [self.one * total + self.two * length + self.most * largest for (total, largest), length in pairs]

    def reaches(self, rows: Matrix, level: Fraction) -> bool:
        """N°(y) ≤ t for all rows."""
        sizes = self.felt(rows)
        if self.most:
            return max(map(sum, sizes.tolist())) <= level
        rest = np.maximum(sizes - self.one * level, 0)
        return max(square_norms(rest)) <= (self.two * level) ** 2

    def form_above(self, matrix: Matrix, level: Fraction) -> Fraction:
        if self.most:
            return Fraction(sum(self.felt(matrix).ravel().tolist()))
        size = len(matrix)
        rest = max(self.felt(matrix - level * np.eye(size, dtype=int)).ravel())
        if not self.one:
            return (level + size * rest) / self.two**2
        # A root below: the norm of the vector of equal entries is not overestimated.
        spread = size / root_above(Fraction(size))
        ends = (level + rest) / (self.one + self.two) ** 2, (level + size * rest) / (self.one * spread + self.two) ** 2
        return max(ends)

    def radius_above(self, size: int) -> Fraction:
        return root_above(Fraction(size)) if self.most else 1 / (self.one + self.two)


def side_of(stated: dict[str, Any]) -> Side:
    one, two, most = (number(stated[name]) for name in ("l1", "l2", "linf"))
    mixed = most == 0 and min(one, two) > 0
    require(mixed or sorted((one, two, most)) == [0, 0, 1], "norms")
    return Side(one, two, most, stated["nonnegative"])
