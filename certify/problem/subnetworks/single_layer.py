"""No subnetwork at all: φ = 0, for a single linear layer, all of which is in the convex part outside the sum.

The objective l(X S + 1 b) + (wd/2)(|S|² + |b|²) is convex and has no widths to choose; its polar is 0 everywhere, and
the dual value −l*(A) − |[X, 1]ᵀA|²/(2 wd) bounds it for every A (Fenchel duality).
"""

from __future__ import annotations

from typing import ClassVar, final

import torch
from torch import Tensor

from certify.problem.subnetworks.subnetwork import TwoLayer


@final
class SingleLayer(TwoLayer):
    """Two layers of which the hidden one says nothing, so that the best width is zero."""

    name: ClassVar[str] = "single-layer"
    degrees: ClassVar[tuple[int, ...]] = (1, 1)

    @staticmethod
    def activation(preactivation: Tensor) -> Tensor:
        return torch.zeros_like(preactivation)
