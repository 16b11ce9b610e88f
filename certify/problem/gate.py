"""A fixed gate of samples, as in gated ReLU networks (Mishkin, Sahiner and Pilanci 2022)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from torch import Tensor


@final
@dataclass(frozen=True, slots=True)
class Gate:
    """1[x·g + b > 0] with weights g and bias b of the flattened sample x: all that the first weight reads times it."""

    weights: tuple[float, ...]
    bias: float

    def opened(self, inputs: Tensor) -> Tensor:
        """1 for the samples (n, d) that pass and 0 for others, (n, 1)."""
        return (inputs @ inputs.new_tensor(self.weights) + self.bias > 0).to(inputs.dtype)[:, None]
