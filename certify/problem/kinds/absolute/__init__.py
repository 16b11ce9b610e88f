"""Absolute value: σ(t) = |t|."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

from certify.problem.forms import Slopes
from certify.problem.kinds.rectifier import Rectifier


@final
@dataclass(frozen=True, slots=True)
class Absolute(Rectifier):
    """One hidden neuron with this function."""

    name: ClassVar[str] = "abs"
    steps: ClassVar[tuple[str, ...]] = ("abs",)

    @property
    def slopes(self) -> Slopes:
        return Slopes(1.0, -1.0)
