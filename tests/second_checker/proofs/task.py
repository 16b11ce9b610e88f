"""What a proof of a polar bound is about."""

from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

import numpy as np

from ..branch import Branch
from ..container import Shapes
from ..exact import Matrix, above, norms_above, rational, root_above, square_norms


@dataclass(frozen=True)
class Task:
    """Show Ω°(−A) ≤ U for one branch with scores S (N, m), by arrays of a name such as `P0`."""

    branch: Branch
    scores: Matrix
    upper: Fraction
    name: str
    shapes: Shapes

    @cached_property
    def columns(self) -> Matrix:
        return self.branch.columns

    def array(self, name: str, *shape: int | None) -> Matrix:
        return rational(self.shapes.take(f"{self.name}.{name}", *shape))

    def moved(self) -> Matrix:
        """H, less the next array `center` where there is a free column."""
        return self.columns - self.array("center", self.columns.shape[1])[None] if self.branch.is_free else self.columns


def region(moved: Matrix, column: Fraction | None) -> tuple[Matrix, list[Fraction], Fraction]:
    """Rule 34: X̃, R and ρ; κ is None without a free column."""
    sizes = norms_above(moved)
    if column is None:
        return moved, sizes, Fraction(1)
    square = max(square_norms(moved))
    rows = np.hstack([moved, np.full((len(moved), 1), column, object)])
    return rows, [size + root_above(square) for size in sizes], 1 + above(square / column**2)
