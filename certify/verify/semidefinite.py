"""Proof that a symmetric matrix is positive semidefinite, by one Cholesky factorization (Rump 2006).

If floating-point Cholesky of M − cI runs to completion with c ≥ γ_{2n+16} tr M, plus the Frobenius norm of what is not
known of M, then M is positive semidefinite. The count 2n + 16 in place of n + 1 covers blocked library routines that
multiply by reciprocals of pivots.
"""

from __future__ import annotations

import numpy as np

from certify.verify.enclosure import GROW, SQUARES_UNDERFLOW, TINY, enclosed, gamma
from certify.verify.reals import Reals


def proves_semidefinite(reals: Reals) -> bool:
    """Whether every symmetric matrix (n, n) within the enclosure is proven positive semidefinite.

    Only the lower triangle is read; False means not proven.
    """
    matrix = enclosed(reals)
    n = len(matrix.mid)
    diagonal = np.diagonal(matrix.mid)
    # |E|_F of a symmetric E is at most √2 times that of its lower triangle.
    unknown = 1.5 * float(np.linalg.norm(np.tril(matrix.rad))) * (1 + gamma(n * n + 16)) + n * SQUARES_UNDERFLOW
    shift = (gamma(2 * n + 16) * float(diagonal.sum()) * (1 + gamma(n + 8)) + unknown + TINY) * GROW
    if not (bool(np.isfinite(matrix.mid).all()) and shift < np.inf and bool((diagonal >= 0).all())):
        return False
    lower = np.tril(matrix.mid, -1)
    try:
        factor = np.linalg.cholesky(lower + lower.T + np.diag(np.nextafter(diagonal - shift, -np.inf)))
    except np.linalg.LinAlgError:
        return False
    return bool(np.isfinite(factor).all()) and bool((np.diagonal(factor) > 0).all())
