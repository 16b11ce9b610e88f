"""Deep subnetwork: K ≥ 3 weights with functions of one kink, or none, between them; degree 1 in every weight.

φ(x; W_1, …, W_K) = readout(σ(W_{K−1} … σ(W_1 H)), W_K), with W_k (m_k, m_{k−1}, k) as torch has them, flat.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Self, final

import torch
from torch import Tensor

from certify.problem.forms import Layers, Slopes
from certify.problem.kinds.kind import Factors, Kind, Operation
from certify.problem.kinds.linear import Linear
from certify.problem.kinds.neuron import Neuron
from certify.problem.kinds.rectifier import Rectifier
from certify.problem.path import Path

LINEAR = Slopes(1.0, 1.0)


@final
@dataclass(frozen=True, slots=True)
class Deep(Kind):
    """A subnetwork of several layers.

    Attributes:
        hidden: kinds of neuron with the functions σ of the K − 1 hidden layers, the first one first.
        channels: numbers m_1, …, m_{K−1} of their channels.
    """

    name: ClassVar[str] = "deep"
    polar: ClassVar[type[Layers]] = Layers

    hidden: tuple[Neuron, ...]
    channels: tuple[int, ...]

    @classmethod
    def from_operations(cls, operations: tuple[Operation, ...]) -> Self | None:  # noqa: ARG003
        return None

    @property
    def degrees(self) -> tuple[int, ...]:
        return (1,) * (len(self.hidden) + 1)

    @property
    def operations(self) -> tuple[Operation, ...]:
        return tuple(operation for neuron in self.hidden for operation in neuron.operations)

    @property
    def statement(self) -> tuple[Mapping[str, object], ...]:
        return tuple(entry for neuron in self.hidden for entry in neuron.statement)

    @property
    def slopes(self) -> tuple[Slopes, ...]:
        """Of σ in each hidden layer."""
        return tuple(slopes_of(neuron) for neuron in self.hidden)

    def form(self, view: Path) -> Layers:
        return Layers(view, self.slopes)

    def sizes(self, view: Path, outputs: int) -> tuple[int, ...]:
        first, pairs = self.channels[0] * view.view.rows.shape[1], zip(self.channels[1:], self.channels, strict=False)
        between = (after * before * hop.reach for (after, before), hop in zip(pairs, view.hops, strict=True))
        return first, *between, self.channels[-1] * view.readout.weights_of(outputs)

    def forward(self, view: Path, factors: Factors) -> Tensor:
        return view.readout.sum(self._responses(view, factors), self._outgoing(view, factors))

    def outputs(self, view: Path, factors: Factors) -> Tensor:
        each = view.readout.each(self._responses(view, factors), self._outgoing(view, factors))
        return each.reshape(len(factors[0]), self.channels[-1], *each.shape[1:]).sum(1)

    def pairing(self, view: Path, dual: Tensor, factors: Factors) -> Tensor:
        return (self.last_moments(view, dual, factors[:-1]) * factors[-1]).sum(1)

    def last_moments(self, view: Path, dual: Tensor, factors: Factors) -> Tensor:
        """M with <dual, φ> = <M, W_K> for every subnetwork, flat (r, ·), from all factors but the last."""
        moments = self._responses(view, factors).T @ view.readout.scores(dual)
        made, reach = moments.shape[1] // view.readout.reach, view.readout.reach
        return moments.reshape(len(factors[0]), self.channels[-1], made, reach).transpose(1, 2).flatten(1)

    def magnitudes(self, view: Path, factors: Factors) -> Tensor:
        absolute = tuple(factor.abs() for factor in factors)
        values = self._responses(view, absolute, magnitude=True)
        return view.readout.absolute().sum(values, self._outgoing(view, absolute))

    def span_upper(self, view: Path, outputs: int) -> int:
        return view.samples * outputs

    def terms(self, view: Path, outputs: int, width: int) -> int:
        return sum(self.sizes(view, outputs)) + width * self.channels[-1] * view.readout.positions

    def blank(self, view: Path, outputs: int) -> Factors:
        return tuple(view.view.rows.new_zeros(0, size) for size in self.sizes(view, outputs))

    def responses(self, view: Path, factors: Factors) -> Tensor:
        """What the last weight reads of every subnetwork, (r, n P, m_{K−1})."""
        values = self._responses(view, factors)
        return values.reshape(len(values), len(factors[0]), self.channels[-1]).movedim(1, 0)

    def _responses(self, view: Path, factors: Factors, *, magnitude: bool = False) -> Tensor:
        """The same side by side, (n P, r m_{K−1}); with `magnitude`, of |H| and the larger slope."""
        width, rows = len(factors[0]), view.view.rows.abs() if magnitude else view.view.rows
        values = rows @ factors[0].reshape(width * self.channels[0], rows.shape[1]).T
        values = self._active(0, values, magnitude=magnitude)
        for place, hop in enumerate(view.hops, 1):
            before, after = self.channels[place - 1], self.channels[place]
            read = values.reshape(view.samples, hop.positions, width, before)
            made = hop.through(read, factors[place].reshape(width, after, before, hop.reach))
            values = self._active(place, made.reshape(len(made) * made.shape[1], width * after), magnitude=magnitude)
        return values

    def _active(self, place: int, values: Tensor, *, magnitude: bool) -> Tensor:
        function = self.hidden[place].activation
        return torch.maximum(function(values).abs(), function(-values).abs()) if magnitude else function(values)

    def _outgoing(self, view: Path, factors: Factors) -> Tensor:
        """The last weight by hidden channel, (r m_{K−1}, ·)."""
        reach, size = view.readout.reach, factors[-1].shape[1]
        last = factors[-1].reshape(len(factors[-1]), size // (self.channels[-1] * reach), self.channels[-1], reach)
        return last.transpose(1, 2).reshape(len(last) * self.channels[-1], last.shape[1] * reach)


def slopes_of(neuron: Neuron) -> Slopes:
    """Slopes of the function of a neuron with one kink or none.

    Raises:
        TypeError: it has others.
    """
    if isinstance(neuron, Rectifier):
        return neuron.slopes
    if isinstance(neuron, Linear):
        return LINEAR
    raise TypeError(f"'{neuron.name}' is not piecewise linear")
