"""Neurons with one kink: σ(t) = s₊ max(t, 0) + s₋ min(t, 0), degree (1, 1)."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from certify.problem.forms import Rows, Slopes
from certify.problem.kinds.neuron import Neuron
from certify.problem.view import View


@dataclass(frozen=True, slots=True)
class Rectifier(Neuron):
    """A neuron that is told by the two slopes of σ; its polar is of the form Rows."""

    degrees: ClassVar[tuple[int, ...]] = (1, 1)
    polar: ClassVar[type[Rows]] = Rows

    @property
    @abstractmethod
    def slopes(self) -> Slopes:
        """s₊ and s₋."""

    def activation(self, preactivation: Tensor) -> Tensor:
        return self.slopes.of(preactivation)

    def form(self, view: View) -> Rows:
        return Rows(view, self.slopes)

    def features_upper(self, view: View) -> int:
        return int((torch.unique(view.rows, dim=0) != 0).any(1).sum())
