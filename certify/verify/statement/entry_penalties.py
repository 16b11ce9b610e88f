"""Penalties of the factors of one term of a factorization.

Σ_k (s_k/2) |u_k|² ≥ (λ Π_k |u_k|)^{2/K} for K factors, as in `penalties`; counted, |u_k|² is Σ_i count_i u_ki². Factor
norms are λ Π_k N_k(u_k), with cones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, TypeAlias, final

import numpy as np

from certify.verify.reals import Array, Real, Reals
from certify.verify.rejection import refuse, require
from certify.verify.statement.fields import choice, integers, listed, number, section
from certify.verify.statement.side_norms import SideNorm, read_side


@final
@dataclass(frozen=True, slots=True)
class EntryDecay:
    """Σ_k (s_k/2) |u_k|²: strengths s_k, and whether squares are counted."""

    strengths: tuple[float, ...]
    counted: bool

    def value(self, factors: Sequence[Array], counts: Sequence[Array], real: Real) -> Reals:
        """The penalty of factors (r, n_k), with the number of samples at each place of every axis."""
        total = real(0.0)
        for strength, factor, count in zip(self.strengths, factors, counts, strict=True):
            squares = real(factor) * factor
            total = total + ((squares * count) if self.counted else squares).sum() * strength
        return total * 0.5

    def require_fitting(self, factors: int) -> None:
        """Positive strengths, and two factors where squares are counted.

        Raises:
            Rejection: not so.
        """
        require(factors == 2 or not self.counted, "degree", f"counted weight decay of {factors} factors")
        require(min(self.strengths) > 0, "strength", f"weight decay {self.strengths} must be positive")

    def __str__(self) -> str:
        shown = " and ".join(f"{s:g}" for s in dict.fromkeys(self.strengths))
        return f"weight-decay {shown}" + (" times the number of entries" if self.counted else "")


@final
@dataclass(frozen=True, slots=True)
class EntryProductOfNorms:
    """λ Π_k |u_k|: level λ and the powers, 1 each."""

    level: float
    powers: tuple[int, ...]

    counted: ClassVar[bool] = False

    def value(self, factors: Sequence[Array], counts: Sequence[Array], real: Real) -> Reals:  # noqa: ARG002
        """The penalty of factors (r, n_k)."""
        product = real(factors[0]).row_norms()
        for factor in factors[1:]:
            product = product * real(factor).row_norms()
        return product.sum() * self.level

    def require_fitting(self, factors: int) -> None:
        """One power 1 a factor, and a positive strength.

        Raises:
            Rejection: not so.
        """
        fits = self.powers == (1,) * factors
        require(fits, "degree", f"product-of-norms of {factors} factors with powers {self.powers}")
        require(self.level > 0, "strength", f"product-of-norms {self.level!r} must be positive")

    def __str__(self) -> str:
        return f"product-of-norms {self.level:g} with powers {list(self.powers)}"


@final
@dataclass(frozen=True, slots=True)
class EntryFactorNorms:
    """λ Π_k N_k(u_k): level λ and the norms N_k with their cones."""

    level: float
    sides: tuple[SideNorm, ...]

    counted: ClassVar[bool] = False

    def strength(self, real: Real) -> float:  # noqa: ARG002
        """λ."""
        return self.level

    def value(self, factors: Sequence[Array], counts: Sequence[Array], real: Real) -> Reals:  # noqa: ARG002
        """The penalty of factors (r, n_k)."""
        product = real(np.ones(len(factors[0])))
        for side, factor in zip(self.sides, factors, strict=True):
            product = product * side.value(real(factor))
        return product.sum() * self.level

    def require_fitting(self, factors: int) -> None:
        """One norm a factor, each of them one, and a positive strength.

        Raises:
            Rejection: not so.
        """
        require(len(self.sides) == factors, "degree", f"factor-norms of {factors} factors have {len(self.sides)} norms")
        require(self.level > 0, "strength", f"factor-norms {self.level!r} must be positive")
        for side in self.sides:
            side.require_norm()

    def require_inside(self, factors: Sequence[Array]) -> None:
        """The factors lie in the cones.

        Raises:
            Rejection: not so.
        """
        for side, factor in zip(self.sides, factors, strict=True):
            side.require_inside(factor)

    def __str__(self) -> str:
        return f"factor-norms {self.level:g} of {' and '.join(map(str, self.sides))}"


EntryPenalty: TypeAlias = EntryDecay | EntryProductOfNorms | EntryFactorNorms


def read_entry_penalty(value: object, place: str, factors: int) -> EntryPenalty:
    """The penalty of a branch of terms with so many factors.

    Raises:
        Rejection: refused.
    """
    name: Any = value.get("name") if isinstance(value, dict) else None
    choice(name, f"{place}.name", ("weight-decay", "counted-weight-decay", "product-of-norms", "factor-norms"))
    if name == "factor-norms":
        entry = section(value, place, ("name", "strength", "norms"))
        sides = tuple(read_side(side, f"{place}.norms") for side in listed(entry["norms"], f"{place}.norms"))
        return EntryFactorNorms(number(entry["strength"], f"{place}.strength"), sides)
    if name == "product-of-norms":
        entry = section(value, place, ("name", "strength", "powers"))
        powers = integers(entry["powers"], f"{place}.powers", 1)
        return EntryProductOfNorms(number(entry["strength"], f"{place}.strength"), powers)
    entry = section(value, place, ("name", "strengths", "bias"))
    strengths = tuple(number(strength, f"{place}.strengths") for strength in listed(entry["strengths"], place))
    if len(strengths) != factors or entry["bias"] is not None:
        refuse("schema", f"{place}: needs {factors} strengths, and no bias")
    return EntryDecay(strengths, name == "counted-weight-decay")
