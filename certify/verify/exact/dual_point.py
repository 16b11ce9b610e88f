"""The dual point under a free linear skip, in balls: the system of normal equations is solved."""

from __future__ import annotations

import numpy as np

from certify.verify.exact.balls import Balls, balls, matrix, objects
from certify.verify.reals import Array, Reals
from certify.verify.statement.dual_point import require_independent


def change_to_kernel(features: Array, dual: Array) -> Reals:
    """−E (EᵀE)⁻¹ EᵀA for E (m, k) and A (m, q).

    Raises:
        Rejection: EᵀE is not shown to be regular.
    """
    if features.size == 0:
        return Balls.of(np.zeros_like(dual))
    transposed = Balls.of(features.T)
    gram, moments = transposed @ features, transposed @ dual
    try:
        solved = matrix(gram.values).solve(matrix(moments.values)).entries()
    except ZeroDivisionError:
        require_independent(False)
    return balls(-(Balls.of(features) @ Balls(objects(solved, moments.shape))))
