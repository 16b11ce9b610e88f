"""Squared error: l0(z, y) = (z − y)², l0*(a, y) = a²/4 + a y."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor

from certify.problem.losses.loss import EntrywiseLoss


@final
@dataclass(frozen=True, slots=True)
class MeanSquaredError(EntrywiseLoss):
    """`torch.nn.functional.mse_loss`."""

    name: ClassVar[str] = "mse"
    curvature: ClassVar[float] = 2.0

    @staticmethod
    def atom(z: Tensor, y: Tensor) -> Tensor:
        return (z - y) ** 2

    @staticmethod
    def atom_gradient(z: Tensor, y: Tensor) -> Tensor:
        return 2 * (z - y)

    @staticmethod
    def atom_curvature(z: Tensor, y: Tensor) -> Tensor:
        return torch.full_like(z, 2.0)

    @staticmethod
    def atom_conjugate(a: Tensor, y: Tensor) -> Tensor:
        return a * (a / 4 + y)

    @staticmethod
    def atom_domain(y: Tensor) -> tuple[Tensor, Tensor]:
        return torch.full_like(y, -math.inf), torch.full_like(y, math.inf)
