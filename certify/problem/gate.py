"""A fixed gate of samples, as in gated ReLU networks (Mishkin, Sahiner and Pilanci 2022)."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import final

from torch import Tensor

from certify.problem.rounding import UNIT_ROUNDOFF

# More than what products that underflow lose.
TINY = 1e-300


@final
@dataclass(frozen=True, slots=True)
class Gate:
    """1[x·g + b > 0] with weights g and bias b of the flattened sample x: all that the first weight reads times it."""

    weights: tuple[float, ...]
    bias: float

    def opened(self, inputs: Tensor) -> Tensor:
        """1 for the samples (n, d) that pass and 0 for others, (n, 1); signs within rounding of 0 by rational numbers.

        The error of a sum of d + 1 terms is at most γ_{d+2} times that of their absolute values (Higham 2002, 3.1).
        """
        weights = inputs.new_tensor(self.weights)
        values = inputs @ weights + self.bias
        room = 2 * (inputs.shape[1] + 2) * UNIT_ROUNDOFF * (inputs.abs() @ weights.abs() + abs(self.bias))
        passed = values > 0
        close = (values.abs() <= room + TINY).nonzero()[:, 0]
        signs = [self._exactly(sample) > 0 for sample in inputs[close].tolist()]
        passed[close] = passed.new_tensor(signs)
        return passed.to(inputs.dtype)[:, None]

    def _exactly(self, sample: list[float]) -> Fraction:
        pairs = zip(sample, self.weights, strict=True)
        return sum((Fraction(x) * Fraction(g) for x, g in pairs if x and g), Fraction(self.bias))
