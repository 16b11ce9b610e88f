"""What every subnetwork reduces to: rows H gathered from the inputs, an activation, and a readout.

Row (i, p) of H holds what the first weight reads of sample i at position p, and 0 where it reads padding. Under a gate
the rows of samples that do not pass are 0, a constant for a bias included; since σ(0) = 0, so is what comes of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np

from certify.verify.reals import Array, Real, Reals
from certify.verify.statement.activations import Activation
from certify.verify.statement.gate import Gate
from certify.verify.statement.readout import Readout
from certify.verify.statement.windows import Integers, Pooling


@final
@dataclass(frozen=True, slots=True)
class Neuron:
    """One subnetwork, without its weights.

    Attributes:
        taps: input that entry h of position p reads, (P, h), the number of inputs where it reads padding; None where
            the only position reads all inputs in their order.
        positions: P.
        fan_in: number of entries of the first weight.
        activation: σ.
        averaged: average over positions before the hidden value is multiplied by the inputs, or None.
        readout: R.
        wording: the layers in words.
        gate: of the samples, or None; then there is one position.
        tied: whether the second weight is the first one, transposed; then both read and make all inputs.
    """

    taps: Integers | None
    positions: int
    fan_in: int
    activation: Activation
    averaged: Pooling | None
    readout: Readout
    wording: str
    gate: Gate | None
    tied: bool = False

    @property
    def entries(self) -> int:
        """Entries of its tables."""
        return self.readout.counts.size + (0 if self.taps is None else self.taps.size)

    @property
    def rows_per_sample(self) -> int:
        """Hidden values of one sample."""
        return 1 if self.readout.times_inputs else self.positions

    def rows(self, inputs: Array) -> Array:
        """H, (n P, h), from X (n, d)."""
        if self.taps is None:
            return inputs
        padded: Array = np.concatenate([inputs, np.zeros((len(inputs), 1))], 1)
        rows: Array = padded[:, self.taps].reshape(-1, self.fan_in)
        return rows

    def gated(self, rows: Reals, inputs: Array, real: Real) -> Reals:
        """The rows, (n, h), that pass the gate, and zeros in place of the others.

        Raises:
            Rejection: for too many samples it is not clear whether they do.
        """
        return rows if self.gate is None else rows.only(self.gate.opened(inputs, real)[:, None])

    def averages(self, values: Reals) -> Reals:
        """Averages over positions, (n, q), of values (n P, q); the values themselves where there is no averaging."""
        if self.averaged is None:
            return values
        weighted = values.reshape(-1, self.positions, values.shape[1]) * self.averaged.counts.reshape(-1, 1)
        return weighted.sum(1) / float(self.averaged.unit)
