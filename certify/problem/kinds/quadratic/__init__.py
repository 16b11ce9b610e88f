"""Quadratic subnetwork: φ = readout((H u)², v); degree (2, 1)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Self, final

from torch import Tensor

from certify.problem.forms import Squares
from certify.problem.kinds.kind import Operation
from certify.problem.kinds.neuron import Neuron, rank_of
from certify.problem.view import View


@final
@dataclass(frozen=True, slots=True)
class Quadratic(Neuron):
    """One hidden neuron with a square; a bias at no cost would bring linear terms at no cost."""

    name: ClassVar[str] = "quadratic"
    degrees: ClassVar[tuple[int, ...]] = (2, 1)
    polar: ClassVar[type[Squares]] = Squares
    bounded_with_free_bias: ClassVar[bool] = False

    @classmethod
    def from_operations(cls, operations: tuple[Operation, ...]) -> Self | None:
        return cls() if [name for name, _ in operations] == ["square"] else None

    @property
    def operations(self) -> tuple[Operation, ...]:
        return (("square", {}),)

    @property
    def statement(self) -> tuple[Mapping[str, object], ...]:
        return ({"op": "square"},)

    def activation(self, preactivation: Tensor) -> Tensor:
        return preactivation**2

    def form(self, view: View) -> Squares:
        return Squares(view)

    def features_upper(self, view: View) -> int:
        rank = rank_of(view.rows)
        return rank * (rank + 1) // 2
