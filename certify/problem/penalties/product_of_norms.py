"""Product of norms: λ Σ_i Π_k ‖W_i^k‖₂^{p_k}; matched when the powers p equal the degrees of the subnetwork."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from torch import Tensor

from certify.errors import UnsupportedError
from certify.problem.kinds import Factors, Kind
from certify.problem.penalties.penalty import Gauge, Penalty, euclidean_norms, matched_product, require_one_each


@final
@dataclass(frozen=True, slots=True)
class ProductOfNorms(Penalty):
    """`product_of_norms: {strength: λ, norms: [2, 2], powers: [1, 1]}`, λ > 0, a power of each Euclidean norm."""

    strength: float
    powers: tuple[int, ...] = (1, 1)

    def norms(self, factors: Factors, free_inputs: int) -> Factors:
        return euclidean_norms(factors, free_inputs)

    def per_subnetwork(self, norms: Factors) -> Tensor:
        return self.strength * matched_product(norms, self.powers)

    def gauge(self, kind: Kind) -> Gauge:
        count = len(self.powers)
        require_one_each(f"product_of_norms has {count} powers", count, kind)
        ratios = {power / degree for power, degree in zip(self.powers, kind.degrees, strict=True)}
        if len(ratios) != 1 or max(ratios) > 1:
            raise UnsupportedError(
                f"degree mismatch: product_of_norms with powers {list(self.powers)} can be made arbitrarily small "
                f"by rescaling or splitting '{kind.name}' subnetworks, whose degrees are {list(kind.degrees)}; "
                f"set powers: {list(kind.degrees)}",
                code="degree-mismatch",
            )
        return Gauge(self.strength, ratios.pop())

    def shares(self, kind: Kind) -> tuple[float, ...]:
        # Any norms cost the same; as weight decay would have them.
        return tuple(float(degree) for degree in kind.degrees)
