"""Rectified linear neuron: σ(t) = max(t, 0)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

from certify.problem.forms import Slopes
from certify.problem.kinds.rectifier import Rectifier


@final
@dataclass(frozen=True, slots=True)
class ReLU(Rectifier):
    """One hidden neuron with this function."""

    name: ClassVar[str] = "relu"
    steps: ClassVar[tuple[str, ...]] = ("relu",)

    @property
    def slopes(self) -> Slopes:
        return Slopes(1.0, 0.0)
