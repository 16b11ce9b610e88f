"""Scores of a function with one kink, told apart by its two parts: Σ q_i σ(t_i) = Σ r_i relu(t_i) + Σ l_i t_i.

For σ(t) = s₊ max(t, 0) + s₋ min(t, 0) the parts are r = (s₊ − s₋) q and l = s₋ q; with 1ᵀq = 0 the second is free of a
common shift of t.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from torch import Tensor

from certify.problem import Slopes


@final
@dataclass(frozen=True, slots=True)
class KinkedScores:
    """The parts, each entry within two roundings of the exact one.

    Attributes:
        rectified: r, (N, m), or (N,) for one column.
        linear: l, of the same shape.
    """

    rectified: Tensor
    linear: Tensor

    def column(self, index: int, sign: float) -> KinkedScores:
        """One column (N,), times a sign."""
        return KinkedScores(sign * self.rectified[:, index], sign * self.linear[:, index])


def kinked_scores(slopes: Slopes, scores: Tensor) -> KinkedScores:
    """The parts for scores S (N, m)."""
    return KinkedScores(slopes.bend * scores, slopes.negative * scores)
