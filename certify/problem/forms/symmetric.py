"""Symmetric: maximize uᵀ M u over |u| ≤ 1, M the symmetric part of HᵀS, S the scores of Q: max(0, λ_max(M)).

H may have one more column than S, of a hidden bias; S then has a column of zeros for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from torch import Tensor
from torch.nn import functional

from certify.problem.view import View


@final
@dataclass(frozen=True, slots=True)
class Symmetric:
    """The form on a view: its rows H."""

    view: View

    def squared(self, moments: Tensor) -> Tensor:
        """The square matrix (h, h) of HᵀS or of what goes with it, (h, m)."""
        return functional.pad(moments, (0, moments.shape[0] - moments.shape[1]))
