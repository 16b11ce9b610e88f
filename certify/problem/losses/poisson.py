"""Poisson loss of a log-rate: l0 = exp(z) − y z; l0*(a, y) = xlog(a + y) − (a + y) on a + y ≥ 0."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor

from certify.problem.losses.loss import EntrywiseLoss, xlogx
from certify.problem.losses.targets import NONNEGATIVE, Allowed


@final
@dataclass(frozen=True, slots=True)
class Poisson(EntrywiseLoss):
    """`torch.nn.functional.poisson_nll_loss` with its defaults `log_input=True, full=False`."""

    name: ClassVar[str] = "poisson"
    curvature: ClassVar[float] = math.inf
    allowed: ClassVar[Allowed] = NONNEGATIVE

    @staticmethod
    def atom(z: Tensor, y: Tensor) -> Tensor:
        return z.exp() - y * z

    @staticmethod
    def atom_gradient(z: Tensor, y: Tensor) -> Tensor:
        return z.exp() - y

    @staticmethod
    def atom_curvature(z: Tensor, y: Tensor) -> Tensor:
        return z.exp()

    @staticmethod
    def atom_conjugate(a: Tensor, y: Tensor) -> Tensor:
        return xlogx(a + y) - (a + y)

    @staticmethod
    def atom_domain(y: Tensor) -> tuple[Tensor, Tensor]:
        return -y, torch.full_like(y, math.inf)
