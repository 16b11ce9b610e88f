"""Linear subnetwork: φ = readout(H u, v), the matrix factorization U Vᵀ of a linear map; degree (1, 1)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor

from certify.problem.forms import Bilinear
from certify.problem.kinds.neuron import Neuron
from certify.problem.view import View


@final
@dataclass(frozen=True, slots=True)
class Linear(Neuron):
    """Two weight layers without activation."""

    name: ClassVar[str] = "linear"
    degrees: ClassVar[tuple[int, ...]] = (1, 1)
    polar: ClassVar[type[Bilinear]] = Bilinear
    steps: ClassVar[tuple[str, ...]] = ()

    def activation(self, preactivation: Tensor) -> Tensor:
        return preactivation

    def form(self, view: View) -> Bilinear:
        return Bilinear(view)

    def features_upper(self, view: View) -> int:
        return int(torch.linalg.matrix_rank(view.rows))
