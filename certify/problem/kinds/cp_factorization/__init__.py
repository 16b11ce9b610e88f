"""CP factorization: φ = u ⊗ v ⊗ w, perhaps ⊗ x, over the observed entries of a tensor; degree 1 in every factor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

from certify.problem.kinds.entry_product import EntryProduct


@final
@dataclass(frozen=True, slots=True)
class CpFactorization(EntryProduct):
    """Order 3; the polar is the spectral norm of the tensor that holds Q on the observed entries."""

    name: ClassVar[str] = "cp-factorization"
    degrees: ClassVar[tuple[int, ...]] = (1, 1, 1)


@final
@dataclass(frozen=True, slots=True)
class QuarticCpFactorization(EntryProduct):
    """Order 4."""

    name: ClassVar[str] = "quartic-cp-factorization"
    degrees: ClassVar[tuple[int, ...]] = (1, 1, 1, 1)
