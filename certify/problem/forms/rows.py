"""Rows: maximize |Sᵀ σ(H u)| over |u| ≤ 1 in the penalized coordinates, S the scores of Q, σ with one kink at 0.

σ(t) = s₊ max(t, 0) + s₋ min(t, 0) = (s₊ − s₋) relu(t) + s₋ t: a rectifier and a linear part, so that for each column q

    Σ q_i σ(t_i) = Σ (s₊ − s₋) q_i relu(t_i) + s₋ (Hᵀq)·u.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from certify.problem.view import View


@final
@dataclass(frozen=True, slots=True)
class Slopes:
    """The two slopes of σ, s₊ above the kink and s₋ below it."""

    positive: float
    negative: float

    @property
    def bend(self) -> float:
        """s₊ − s₋, the weight of the rectifier."""
        return self.positive - self.negative

    @property
    def steepest(self) -> float:
        """max(|s₊|, |s₋|): σ is Lipschitz with it."""
        return max(abs(self.positive), abs(self.negative))

    def of(self, values: Tensor) -> Tensor:
        """σ, entrywise."""
        if self.negative == 0:
            return self.positive * values.clamp_min(0) if self.positive != 1 else values.clamp_min(0)
        return torch.where(values > 0, self.positive * values, self.negative * values)

    def at(self, values: Tensor) -> Tensor:
        """The slope at each value, s₋ at the kink."""
        return torch.full_like(values, self.negative).masked_fill(values > 0, self.positive)


@final
@dataclass(frozen=True, slots=True)
class Rows:
    """The form on a view, its rows H and its readout, with the slopes of σ."""

    view: View
    slopes: Slopes
