"""Coupled weight decay of torch.optim.SGD and Adam: Σ_k (wd_k/2) ‖W^k‖² over the penalized parameters.

Least value at fixed t = Π n_k^{d_k}: n_k² = (d_k/wd_k) m with m = (t / Π (d_k/wd_k)^{d_k/2})^{2/D}, D = Σ d_k, which
gives (D/2) m. For d = (1, 1) that is √(wd_1 wd_2) t; for d = (2, 1) and one wd it is wd (3/2) (t/2)^{2/3}.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from certify.problem.kinds import Factors, Kind
from certify.problem.penalties.penalty import Gauge, Penalty, euclidean_norms, require_one_each


@final
@dataclass(frozen=True, slots=True)
class WeightDecay(Penalty):
    """`weight_decay: wd` with wd > 0, one for all factors or one for each: the strengths wd_k."""

    strengths: tuple[float, ...]

    def norms(self, factors: Factors, free_inputs: int) -> Factors:
        return euclidean_norms(factors, free_inputs)

    def per_subnetwork(self, norms: Factors) -> Tensor:
        pairs = zip(norms, self.strengths, strict=True)
        return sum((strength / 2 * norm**2 for norm, strength in pairs), torch.zeros_like(norms[0]))

    def gauge(self, kind: Kind) -> Gauge:
        count = len(self.strengths)
        require_one_each(f"weight_decay has {count} strengths", count, kind)
        degree, pairs = kind.degree, tuple(zip(self.strengths, kind.degrees, strict=True))
        if len(set(self.strengths)) == 1 and degree == len(kind.degrees):
            return Gauge(self.strengths[0] / 2 * degree, 2 / degree)  # exact where no root is needed
        spread = math.prod((strength / d) ** (d / degree) for strength, d in pairs)
        return Gauge(degree / 2 * spread, 2 / degree)

    def shares(self, kind: Kind) -> tuple[float, ...]:
        return tuple(d / strength for strength, d in zip(self.strengths, kind.degrees, strict=True))
