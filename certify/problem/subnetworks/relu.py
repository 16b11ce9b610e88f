"""ReLU subnetwork: φ(X; u, v) = max(X u, 0) vᵀ; degree (1, 1)."""

from __future__ import annotations

from typing import ClassVar, final

from torch import Tensor

from certify.problem.subnetworks.subnetwork import TwoLayer


@final
class ReLU(TwoLayer):
    """One hidden neuron with rectified linear activation."""

    name: ClassVar[str] = "relu"
    degrees: ClassVar[tuple[int, ...]] = (1, 1)

    @staticmethod
    def activation(preactivation: Tensor) -> Tensor:
        return preactivation.clamp_min(0)
