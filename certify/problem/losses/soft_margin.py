"""Soft margin (logistic) loss: l0 = log(1 + exp(−y z)), y = ±1; l0*(a, y) = xlog(t) + xlog(1−t), t = −y a."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor

from certify.problem.losses.loss import EntrywiseLoss, softplus, xlogx
from certify.problem.losses.targets import SIGNS, Allowed


@final
@dataclass(frozen=True, slots=True)
class SoftMargin(EntrywiseLoss):
    """`torch.nn.functional.soft_margin_loss`; targets −1 or +1."""

    name: ClassVar[str] = "soft-margin"
    curvature: ClassVar[float] = 0.25
    allowed: ClassVar[Allowed] = SIGNS

    @staticmethod
    def atom(z: Tensor, y: Tensor) -> Tensor:
        return softplus(-y * z)

    @staticmethod
    def atom_gradient(z: Tensor, y: Tensor) -> Tensor:
        return -y * (-y * z).sigmoid()

    @staticmethod
    def atom_curvature(z: Tensor, y: Tensor) -> Tensor:
        return z.sigmoid() * (-z).sigmoid()

    @staticmethod
    def atom_conjugate(a: Tensor, y: Tensor) -> Tensor:
        return xlogx(-y * a) + xlogx(1 + y * a)

    @staticmethod
    def atom_domain(y: Tensor) -> tuple[Tensor, Tensor]:
        return torch.minimum(-y, torch.zeros_like(y)), torch.maximum(-y, torch.zeros_like(y))
