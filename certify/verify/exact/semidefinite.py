"""Proof in balls that a symmetric matrix is positive definite, by halves.

[[A, Bᵀ], [B, C]] ≻ 0 if and only if A ≻ 0 and its Schur complement C − B A⁻¹ Bᵀ ≻ 0 (Haynsworth 1968). Halving keeps
the balls small, where elimination entry by entry would let them grow with every row.
"""

from __future__ import annotations

import numpy as np

from certify.verify.exact.balls import Objects, balls, matrix, objects
from certify.verify.reals import Reals


def proves_semidefinite(reals: Reals) -> bool:
    """Whether every symmetric matrix (n, n) within the balls is proven positive definite.

    Only the lower triangle is read; False means not proven.
    """
    return _positive(balls(reals).values)


def _positive(values: Objects) -> bool:
    n = len(values)
    if n == 1:
        return bool(values[0, 0] > 0)
    half = n // 2
    lower: Objects = np.where(np.tri(n, dtype=bool), values, values.T)
    first, across = lower[:half, :half], lower[half:, :half]
    if not _positive(first):
        return False
    try:
        removed = matrix(across) * matrix(first).solve(matrix(across.T))
    except ZeroDivisionError:  # not shown to be regular
        return False
    return _positive(lower[half:, half:] - objects(removed.entries(), (n - half, n - half)))
