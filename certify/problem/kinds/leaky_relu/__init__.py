"""Leaky rectified linear neuron: σ(t) = max(t, 0) + a min(t, 0) with a fixed slope a."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Self, final

from certify.problem.forms import Slopes
from certify.problem.kinds.kind import Operation
from certify.problem.kinds.rectifier import Rectifier

# Of torch.nn.functional.leaky_relu.
DEFAULT_SLOPE = 0.01


@final
@dataclass(frozen=True, slots=True)
class LeakyReLU(Rectifier):
    """One hidden neuron with this function; the slope is a, below the kink."""

    slope: float = DEFAULT_SLOPE

    name: ClassVar[str] = "leaky-relu"

    @classmethod
    def from_operations(cls, operations: tuple[Operation, ...]) -> Self | None:
        if [name for name, _ in operations] != ["leaky_relu"]:
            return None
        slope = operations[0][1].get("negative_slope", DEFAULT_SLOPE)
        return cls(float(slope)) if isinstance(slope, int | float) and math.isfinite(slope) else None

    @property
    def operations(self) -> tuple[Operation, ...]:
        return (("leaky_relu", {"negative_slope": self.slope}),)

    @property
    def statement(self) -> tuple[Mapping[str, object], ...]:
        return ({"op": "leaky_relu", "slope": self.slope},)

    @property
    def slopes(self) -> Slopes:
        return Slopes(1.0, self.slope)
