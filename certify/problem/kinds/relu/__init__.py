"""Rectified linear neuron: σ(t) = max(t, 0)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Self, final

from certify.problem.forms import Slopes
from certify.problem.kinds.kind import Operation
from certify.problem.kinds.rectifier import Rectifier


@final
@dataclass(frozen=True, slots=True)
class ReLU(Rectifier):
    """One hidden neuron with this function."""

    name: ClassVar[str] = "relu"

    @classmethod
    def from_operations(cls, operations: tuple[Operation, ...]) -> Self | None:
        return cls() if [name for name, _ in operations] == ["relu"] else None

    @property
    def operations(self) -> tuple[Operation, ...]:
        return (("relu", {}),)

    @property
    def statement(self) -> tuple[Mapping[str, object], ...]:
        return ({"op": "relu"},)

    @property
    def slopes(self) -> Slopes:
        return Slopes(1.0, 0.0)
