"""Bilinear: maximize uᵀ G v over N(u) ≤ 1, N'(v) ≤ 1 and cones, with G = Hᵀ S, S the scores of Q.

For two Euclidean norms that is the largest singular value of G.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from certify.problem.side_norm import EUCLIDEAN, SideNorm
from certify.problem.view import View


@final
@dataclass(frozen=True, slots=True)
class Bilinear:
    """The form on a view, its rows H and its readout, with the norms N of u and N' of v."""

    view: View
    left: SideNorm = EUCLIDEAN
    right: SideNorm = EUCLIDEAN

    @property
    def sides(self) -> tuple[SideNorm, ...]:
        """N and N'."""
        return self.left, self.right

    def under(self, sides: tuple[SideNorm, ...]) -> Bilinear:
        """The form under other norms."""
        return Bilinear(self.view, *sides)
