"""Binary cross-entropy with logits: l0 = softplus(z) − y z; l0*(a, y) = xlog(p) + xlog(1−p), p = a + y."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

from torch import Tensor

from certify.problem.losses.loss import EntrywiseLoss, softplus, xlogx
from certify.problem.losses.targets import SHARES, Allowed


@final
@dataclass(frozen=True, slots=True)
class BinaryCrossEntropy(EntrywiseLoss):
    """`torch.nn.functional.binary_cross_entropy_with_logits`; targets in [0, 1]."""

    name: ClassVar[str] = "binary-cross-entropy"
    curvature: ClassVar[float] = 0.25
    allowed: ClassVar[Allowed] = SHARES

    @staticmethod
    def atom(z: Tensor, y: Tensor) -> Tensor:
        return softplus(z) - y * z

    @staticmethod
    def atom_gradient(z: Tensor, y: Tensor) -> Tensor:
        return z.sigmoid() - y

    @staticmethod
    def atom_curvature(z: Tensor, y: Tensor) -> Tensor:
        return z.sigmoid() * (-z).sigmoid()

    @staticmethod
    def atom_conjugate(a: Tensor, y: Tensor) -> Tensor:
        return xlogx(a + y) + xlogx((1 - y) - a)

    @staticmethod
    def atom_domain(y: Tensor) -> tuple[Tensor, Tensor]:
        return -y, 1 - y
