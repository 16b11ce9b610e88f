"""Matrix factorization: φ = (u_i v_j) over the observed entries (i, j) of a matrix, U Vᵀ; degree (1, 1)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

from certify.problem.kinds.entry_product import EntryProduct


@final
@dataclass(frozen=True, slots=True)
class Factorization(EntryProduct):
    """Two factors; the polar is the spectral norm of the matrix that holds Q on the observed entries."""

    name: ClassVar[str] = "matrix-factorization"
    degrees: ClassVar[tuple[int, ...]] = (1, 1)
