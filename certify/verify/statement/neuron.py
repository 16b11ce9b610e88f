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
from certify.verify.statement.ends import ENDS
from certify.verify.statement.gate import Gate
from certify.verify.statement.hop import Hop
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
        hops: the weights between the first and the last, with the activations after them.
        tied: whether the last weight is the first one, transposed; then both read and make all inputs.
    """

    taps: Integers | None
    positions: int
    fan_in: int
    activation: Activation
    averaged: Pooling | None
    readout: Readout
    wording: str
    gate: Gate | None
    hops: tuple[Hop, ...] = ()
    tied: bool = False

    @property
    def entries(self) -> int:
        """Entries of its tables."""
        hops = sum(hop.entries for hop in self.hops)
        return self.readout.counts.size + (0 if self.taps is None else self.taps.size) + hops

    @property
    def weights(self) -> int:
        """Number K of weights; one that is read twice counts once."""
        return 1 if self.tied else len(self.hops) + 2

    def ends(self, columns: int) -> tuple[str, ...]:
        """The ends of a proof about several layers: one for each sign of one score column, if there is a kink."""
        return ENDS[columns == 1 and bool(self.hops) and not self.hops[-1].kink.is_linear]

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

    def hidden(self, inputs: Array, factors: list[Array], bias: Array | None, real: Real) -> Reals:
        """What the last weight reads of r subnetworks with m channels before it, (n P, r m)."""
        first, width = factors[0], len(factors[0])
        values = real(self.rows(inputs)) @ first.reshape(-1, self.fan_in).T
        values = values if bias is None else values + bias.reshape(-1)
        values = self.averages(self.activation(self.gated(values, inputs, real)))
        for hop, weights in zip(self.hops, factors[1:], strict=False):
            before = values.shape[1] // max(width, 1)
            parts = [
                hop.through(values[:, i * before : (i + 1) * before], own.reshape(-1, before * hop.places.shape[1]))
                for i, own in enumerate(weights)
            ]
            blank = real(np.zeros((len(inputs) * len(hop.places), 0)))
            values = hop.activation(values.joined(parts, 1)) if parts else blank
        return values

    def outgoing(self, factors: list[Array]) -> Array:
        """The last weight (r, ·) by channel of the last hidden layer, (r m, ·)."""
        *others, last = factors
        if not self.hops:
            return last
        channels, reaches = 1, (self.fan_in, *(hop.places.shape[1] for hop in self.hops))
        for reach, factor in zip(reaches, others, strict=True):
            channels = factor.shape[1] // (channels * reach)
        k, (width, size) = self.readout.counts.shape[2], last.shape
        moved = last.reshape(width, size // (channels * k), channels, k).transpose(0, 2, 1, 3)
        return moved.reshape(width * channels, size // channels)

    def averages(self, values: Reals) -> Reals:
        """Averages over positions, (n, q), of values (n P, q); the values themselves where there is no averaging."""
        if self.averaged is None:
            return values
        weighted = values.reshape(-1, self.positions, values.shape[1]) * self.averaged.counts.reshape(-1, 1)
        return weighted.sum(1) / float(self.averaged.unit)
