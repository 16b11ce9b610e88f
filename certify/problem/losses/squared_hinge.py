"""Squared hinge: l0 = max(0, 1 − y z)², y = ±1; l0*(a, y) = −t + t²/4 for t = −y a ≥ 0."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor

from certify.problem.losses.loss import EntrywiseLoss
from certify.problem.losses.targets import SIGNS, Allowed


@final
@dataclass(frozen=True, slots=True)
class SquaredHinge(EntrywiseLoss):
    """Square of the margin violation; targets −1 or +1; `mean` is over all entries."""

    name: ClassVar[str] = "squared-hinge"
    curvature: ClassVar[float] = 2.0
    allowed: ClassVar[Allowed] = SIGNS

    @staticmethod
    def atom(z: Tensor, y: Tensor) -> Tensor:
        return (1 - y * z).clamp_min(0) ** 2

    @staticmethod
    def atom_gradient(z: Tensor, y: Tensor) -> Tensor:
        return -2 * y * (1 - y * z).clamp_min(0)

    @staticmethod
    def atom_curvature(z: Tensor, y: Tensor) -> Tensor:
        return 2 * (y * z < 1).to(z)

    @staticmethod
    def atom_conjugate(a: Tensor, y: Tensor) -> Tensor:
        t = -y * a
        return torch.where(t >= 0, t * (t / 4 - 1), math.inf)

    @staticmethod
    def atom_domain(y: Tensor) -> tuple[Tensor, Tensor]:
        return torch.where(y > 0, -math.inf, 0.0).to(y), torch.where(y > 0, 0.0, math.inf).to(y)
