"""Norms of the factors of a product, λ Σ_i Π_k N_k(u_ik), with cones (Bach, Mairal and Ponce 2008 for two factors).

For two, (N(u)² + N'(v)²)/2 has the same least value at fixed u vᵀ. Outside a cone the penalty is +∞.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

from torch import Tensor

from certify.errors import UnsupportedError, UsageError
from certify.problem.forms import Bilinear, Multilinear
from certify.problem.kinds import Factors, Kind
from certify.problem.penalties.penalty import Gauge, Penalty, matched_product, require_one_each
from certify.problem.side_norm import SideNorm


@final
@dataclass(frozen=True, slots=True)
class FactorNorms(Penalty):
    """`factor_norms: {strength: λ, left: l2, right: l1, nonnegative: [right]}`, with a norm N_k for each factor."""

    strength: float
    sides: tuple[SideNorm, ...]

    def norms(self, factors: Factors, free_inputs: int) -> Factors:  # noqa: ARG002
        return tuple(side.norm(factor) for side, factor in zip(self.sides, factors, strict=True))

    def per_subnetwork(self, norms: Factors) -> Tensor:
        return self.strength * matched_product(norms, (1,) * len(norms))

    def gauge(self, kind: Kind) -> Gauge:
        if kind.polar not in (Bilinear, Multilinear):
            raise UnsupportedError(
                f"factor_norms has no bound for '{kind.name}' subnetworks, only for two linear layers without an "
                "activation and for factorizations; use weight_decay or product_of_norms",
                code="unsupported-penalty",
            )
        count = len(self.sides)
        require_one_each(f"factor_norms has {count} norms", count, kind)
        return Gauge(self.strength, 1)

    def shares(self, kind: Kind) -> tuple[float, ...]:  # noqa: ARG002
        # Any norms cost the same.
        return (1.0,) * len(self.sides)

    def require_inside(self, label: str, names: Sequence[str], stack: Factors) -> None:
        """Raise UsageError unless factors of these names lie in their cones: no descent leads back there."""
        sides = ("left", "right") if len(stack) == 2 else range(len(stack))
        for side, norm, name, factor in zip(sides, self.sides, names, stack, strict=True):
            outside = (factor < 0).nonzero().tolist() if norm.nonnegative else []
            if outside:
                unit, entry = outside[0]
                raise UsageError(
                    f"{label}: penalty.factor_norms.nonnegative names {side!r}, but in '{name}' entry {entry} of "
                    f"subnetwork {unit} is {float(factor[unit, entry]):g}; give nonnegative weights, or leave {side!r} "
                    "out",
                    code="outside-cone",
                )
