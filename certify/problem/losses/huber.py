"""Huber loss with δ = 1: l0 = r²/2 for |r| ≤ 1, |r| − 1/2 beyond; l0*(a, y) = a²/2 + a y on |a| ≤ 1."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor

from certify.problem.losses.loss import EntrywiseLoss


@final
@dataclass(frozen=True, slots=True)
class Huber(EntrywiseLoss):
    """`torch.nn.functional.huber_loss` with its default `delta=1`."""

    name: ClassVar[str] = "huber"
    curvature: ClassVar[float] = 1.0

    @staticmethod
    def atom(z: Tensor, y: Tensor) -> Tensor:
        size = (z - y).abs()
        return torch.where(size <= 1, size * size / 2, size - 0.5)

    @staticmethod
    def atom_gradient(z: Tensor, y: Tensor) -> Tensor:
        return (z - y).clamp(-1, 1)

    @staticmethod
    def atom_curvature(z: Tensor, y: Tensor) -> Tensor:
        return ((z - y).abs() <= 1).to(z)

    @staticmethod
    def atom_conjugate(a: Tensor, y: Tensor) -> Tensor:
        return torch.where(a.abs() <= 1, a * (a / 2 + y), math.inf)

    @staticmethod
    def atom_domain(y: Tensor) -> tuple[Tensor, Tensor]:
        return torch.full_like(y, -1.0), torch.full_like(y, 1.0)
