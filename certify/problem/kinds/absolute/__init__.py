"""Absolute value: σ(t) = |t|."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Self, final

from certify.problem.forms import Slopes
from certify.problem.kinds.kind import Operation
from certify.problem.kinds.rectifier import Rectifier


@final
@dataclass(frozen=True, slots=True)
class Absolute(Rectifier):
    """One hidden neuron with this function."""

    name: ClassVar[str] = "abs"

    @classmethod
    def from_operations(cls, operations: tuple[Operation, ...]) -> Self | None:
        return cls() if [name for name, _ in operations] == ["abs"] else None

    @property
    def operations(self) -> tuple[Operation, ...]:
        return (("abs", {}),)

    @property
    def statement(self) -> tuple[Mapping[str, object], ...]:
        return ({"op": "abs"},)

    @property
    def slopes(self) -> Slopes:
        return Slopes(1.0, -1.0)
