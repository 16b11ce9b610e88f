"""What a proof of a polar bound is about."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

import numpy as np

from ..exact import Matrix, norms_above, rational, root_above, square_norms
from ..statement import Branch, Shapes


@dataclass(frozen=True)
class Task:
    """Show Ω°(−A) ≤ U for one branch.

    Attributes:
        branch: the branch.
        scores: S (N, m).
        upper: U.
        name: of its arrays, such as `P0`.
        shapes: where its arrays come from.
    """

    branch: Branch
    scores: Matrix
    upper: Fraction
    name: str
    shapes: Shapes

    @cached_property
    def columns(self) -> Matrix:
        """H (N, D)."""
        return self.branch.columns

    def array(self, name: str, *shape: int | None) -> Matrix:
        """The next array of numbers."""
        return rational(self.shapes.take(f"{self.name}.{name}", *shape))

    def bytes(self, name: str, *shape: int | None) -> list[list[int]]:
        """The next array of bytes."""
        return self.shapes.take(f"{self.name}.{name}", *shape, dtype="|u1").tolist()  # type: ignore[no-any-return]

    def region(self) -> Region:
        """Arrays `center` and `column`, and what follows from them for one column."""
        return Region.of(self.columns, self.array("center", self.columns.shape[1]))


@dataclass(frozen=True)
class Region:
    """Rows beside a free column, moved by a center m; `radius` is at least B, `square_radius` is B²."""

    moved: Matrix
    sizes: list[Fraction]
    radius: Fraction
    square_radius: Fraction

    @classmethod
    def of(cls, columns: Matrix, center: Matrix) -> Region:
        moved = columns - center[None]
        square = max(square_norms(moved))
        radius = root_above(square)
        return cls(moved, [size + radius for size in norms_above(moved)], radius, square)

    def extended(self, column: Fraction) -> Matrix:
        """[H − m, κ]."""
        return np.hstack([self.moved, np.full((len(self.moved), 1), column, object)])
