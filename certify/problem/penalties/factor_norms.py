"""Norms of two factors: λ Σ_i N(u_i) N'(v_i) for factorizations U Vᵀ, with cones (Bach, Mairal and Ponce 2008).

(N(u)² + N'(v)²)/2 has the same least value at fixed u vᵀ. Outside a cone the penalty is +∞.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from torch import Tensor

from certify.errors import UnsupportedError
from certify.problem.forms import Bilinear
from certify.problem.kinds import Factors, Kind
from certify.problem.penalties.penalty import Gauge, Penalty, matched_product
from certify.problem.side_norm import SideNorm


@final
@dataclass(frozen=True, slots=True)
class FactorNorms(Penalty):
    """`factor_norms: {strength: λ, left: l2, right: l1, nonnegative: [right]}`: N of u is `left`, N' of v `right`."""

    strength: float
    left: SideNorm
    right: SideNorm

    def norms(self, factors: Factors, free_inputs: int) -> Factors:  # noqa: ARG002
        first, second = factors
        return self.left.norm(first), self.right.norm(second)

    def per_subnetwork(self, norms: Factors) -> Tensor:
        return self.strength * matched_product(norms, (1, 1))

    def gauge(self, kind: Kind) -> Gauge:
        if kind.polar is not Bilinear:
            raise UnsupportedError(
                f"factor_norms has no bound for '{kind.name}' subnetworks, only for two linear layers without an "
                "activation; use weight_decay or product_of_norms",
                code="unsupported-penalty",
            )
        return Gauge(self.strength, 1)

    def shares(self, kind: Kind) -> tuple[float, ...]:  # noqa: ARG002
        # Any norms cost the same.
        return 1.0, 1.0
