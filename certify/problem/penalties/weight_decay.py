"""Coupled weight decay of torch.optim.SGD and Adam: (wd/2) Σ ‖p‖² over the penalized parameters.

Least value at fixed t = Π n_k^{d_k}: n_k² = d_k m with m = (t / Π d_k^{d_k/2})^{2/D}, D = Σ d_k, which gives
(wd/2) D m. For d = (1, 1) that is wd · t; for d = (2, 1) it is wd (3/2) (t/2)^{2/3}.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import final

from torch import Tensor

from certify.problem.penalties.penalty import Gauge, Penalty
from certify.problem.subnetworks import Factors, Subnetwork


@final
@dataclass(frozen=True, slots=True)
class WeightDecay(Penalty):
    """`weight_decay: wd` with wd > 0.

    Attributes:
        strength: wd.
    """

    strength: float

    def per_subnetwork(self, factors: Factors, norms: Factors) -> Tensor:
        total = norms[0] ** 2
        for norm in norms[1:]:
            total = total + norm**2
        return self.strength / 2 * total

    def gauge(self, kind: Subnetwork) -> Gauge:
        degree = kind.degree
        spread = math.prod(d ** (d / 2) for d in kind.degrees)
        return Gauge(self.strength / 2 * degree * spread ** (-2 / degree), 2 / degree)

    def ridge(self) -> float | None:
        return self.strength
