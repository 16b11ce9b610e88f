"""One hidden neuron, φ(u, v) = readout(σ(H u), v), with factors u (r, h) and v (r, m)."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from certify.problem.kinds.kind import Factors, Kind
from certify.problem.view import View


@dataclass(frozen=True, slots=True)
class Neuron(Kind):
    """A kind of two factors with a function σ between them, positively homogeneous, entrywise."""

    @abstractmethod
    def activation(self, preactivation: Tensor) -> Tensor:
        """σ, entrywise."""

    @abstractmethod
    def features_upper(self, view: View) -> int:
        """Upper bound on dim span{σ(H u)}."""

    def hidden(self, view: View, first: Tensor) -> Tensor:
        """σ(H u_i) of all subnetworks, shape (n P, r)."""
        return self.activation(view.rows @ first.T)

    def sizes(self, view: View, outputs: int) -> tuple[int, ...]:
        return view.rows.shape[1], view.readout.weights_of(outputs)

    def forward(self, view: View, factors: Factors) -> Tensor:
        first, second = factors
        return view.readout.sum(self.hidden(view, first), second)

    def outputs(self, view: View, factors: Factors) -> Tensor:
        first, second = factors
        return view.readout.each(self.hidden(view, first), second)

    def pairing(self, view: View, dual: Tensor, factors: Factors) -> Tensor:
        first, second = factors
        scores = view.readout.scores(dual)
        return torch.einsum("nr,nm,rm->r", self.hidden(view, first), scores, second)

    def magnitudes(self, view: View, factors: Factors) -> Tensor:
        first, second = factors
        reach = view.rows.abs() @ first.T.abs()
        hidden = torch.maximum(self.activation(reach).abs(), self.activation(-reach).abs())
        return view.readout.absolute().sum(hidden, second.abs())

    def span_upper(self, view: View, outputs: int) -> int:
        features = min(self.features_upper(view), len(view.rows))
        samples = len(view.rows) // view.readout.positions
        return min(features * view.readout.weights_of(outputs), samples * outputs)

    def terms(self, view: View, outputs: int, width: int) -> int:
        return sum(self.sizes(view, outputs)) + width * view.readout.positions

    def blank(self, view: View, outputs: int) -> Factors:
        return tuple(view.rows.new_zeros(0, size) for size in self.sizes(view, outputs))
