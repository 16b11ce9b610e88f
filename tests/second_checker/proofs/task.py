"""What a proof of a polar bound is about."""

from fractions import Fraction
from typing import NamedTuple

from ..branch import Branch
from ..container import Shapes
from ..exact import Matrix, rational


class Task(NamedTuple):
    """Show Ω°(−A) ≤ U for one branch with scores S (N, m), by arrays of a name such as `P0`."""

    branch: Branch
    scores: Matrix
    upper: Fraction
    name: str
    shapes: Shapes

    def array(self, name: str, *shape: int | None) -> Matrix:
        return rational(self.shapes.take(f"{self.name}.{name}", *shape))

    def moved(self) -> Matrix:
        """H, less the next array `center` where there is a free column."""
        columns = self.branch.columns
        return columns - self.array("center", columns.shape[1])[None] if self.branch.is_free else columns
