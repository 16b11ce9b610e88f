"""Linear subnetwork: φ = readout(H u, v), the matrix factorization U Vᵀ of a linear map; degree (1, 1)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Self, final

from torch import Tensor

from certify.problem.forms import Bilinear
from certify.problem.kinds.kind import Operation
from certify.problem.kinds.neuron import Neuron, rank_of
from certify.problem.view import View


@final
@dataclass(frozen=True, slots=True)
class Linear(Neuron):
    """Two weight layers without activation."""

    name: ClassVar[str] = "linear"
    degrees: ClassVar[tuple[int, ...]] = (1, 1)
    polar: ClassVar[type[Bilinear]] = Bilinear

    @classmethod
    def from_operations(cls, operations: tuple[Operation, ...]) -> Self | None:
        return cls() if operations == () else None

    @property
    def operations(self) -> tuple[Operation, ...]:
        return ()

    @property
    def statement(self) -> tuple[Mapping[str, object], ...]:
        return ()

    def activation(self, preactivation: Tensor) -> Tensor:
        return preactivation

    def form(self, view: View) -> Bilinear:
        return Bilinear(view)

    def features_upper(self, view: View) -> int:
        return rank_of(view.rows)
