"""Quadratic subnetwork: φ = readout((H u)², v); degree (2, 1)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor

from certify.problem.forms import Squares
from certify.problem.kinds.neuron import Neuron
from certify.problem.view import View


@final
@dataclass(frozen=True, slots=True)
class Quadratic(Neuron):
    """One hidden neuron with a square; a bias at no cost would bring linear terms at no cost."""

    name: ClassVar[str] = "quadratic"
    degrees: ClassVar[tuple[int, ...]] = (2, 1)
    polar: ClassVar[type[Squares]] = Squares
    bounded_with_free_bias: ClassVar[bool] = False
    steps: ClassVar[tuple[str, ...]] = ("square",)

    def activation(self, preactivation: Tensor) -> Tensor:
        return preactivation**2

    def form(self, view: View) -> Squares:
        return Squares(view)

    def features_upper(self, view: View) -> int:
        rank = int(torch.linalg.matrix_rank(view.rows))
        return rank * (rank + 1) // 2
