"""Quadratic subnetwork: φ(X; u, v) = (X u)² vᵀ; degree (2, 1)."""

from __future__ import annotations

from typing import ClassVar, final

from torch import Tensor

from certify.problem.subnetworks.subnetwork import TwoLayer


@final
class Quadratic(TwoLayer):
    """One hidden neuron with quadratic activation."""

    name: ClassVar[str] = "quadratic"
    degrees: ClassVar[tuple[int, ...]] = (2, 1)

    @staticmethod
    def activation(preactivation: Tensor) -> Tensor:
        return preactivation**2
