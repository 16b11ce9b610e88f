"""The layer `gate`: 1[x·g + b > 0] of the sample x, exactly, by which all that the first weight reads is multiplied."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import final

import numpy as np

from certify.verify.reals import Array, Mask, Real
from certify.verify.rejection import require

# Products of floats that may be added exactly, some 10⁵ a second.
EXACT_PRODUCTS = 2**18


@final
@dataclass(frozen=True, slots=True)
class Gate:
    """A gate.

    Attributes:
        weights: g, (d,).
        bias: b.
    """

    weights: Array
    bias: float

    def opened(self, inputs: Array, real: Real) -> Mask:
        """Which samples of X (n, d) pass, (n,): by enclosures, and where those hold 0, by rational numbers.

        Raises:
            Rejection: too many signs are that close.
        """
        values = real(inputs) @ self.weights + self.bias
        found: Mask = values.low > 0
        close = np.flatnonzero(~found & ~(values.high <= 0))
        terms = int(np.count_nonzero(inputs[close][:, self.weights != 0]))
        require(terms <= EXACT_PRODUCTS, "gate-sign", f"{len(close)} samples lie within rounding of a gate's border")
        found[close] = [self._value(row) > 0 for row in inputs[close].tolist()]
        return found

    def _value(self, sample: list[float]) -> Fraction:
        pairs = zip(sample, self.weights.tolist(), strict=True)
        return sum((Fraction(x) * Fraction(g) for x, g in pairs if x and g), Fraction(self.bias))
