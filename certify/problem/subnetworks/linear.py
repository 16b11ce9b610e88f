"""Linear subnetwork: φ(X; u, v) = X u vᵀ, the matrix factorization U Vᵀ of a linear map; degree (1, 1)."""

from __future__ import annotations

from typing import ClassVar, final

from torch import Tensor

from certify.problem.subnetworks.subnetwork import TwoLayer


@final
class Linear(TwoLayer):
    """Two linear layers without activation."""

    name: ClassVar[str] = "linear"
    degrees: ClassVar[tuple[int, ...]] = (1, 1)

    @staticmethod
    def activation(preactivation: Tensor) -> Tensor:
        return preactivation
