"""A-priori bounds on rounding errors in IEEE binary64 arithmetic (Higham 2002, chapters 3 and 4)."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from certify.problem.rounding import UNIT_ROUNDOFF

# Factor on computed error bounds, to cover the rounding of their own evaluation (all terms nonnegative).
SLACK = 1 + 2.0**-20


def gamma(terms: int) -> float:
    """γ_n = n u/(1 − n u), rounded up: error of a sum or dot product of n terms relative to the sum of magnitudes."""
    return terms * UNIT_ROUNDOFF / (1 - terms * UNIT_ROUNDOFF) * SLACK


def product_error(left: Tensor, right: Tensor) -> Tensor:
    """Entrywise bound on |fl(L R) − L R| for L (m, n), R (n, k): γ_{n+2} |L||R|, itself rounded up."""
    magnitude: Tensor = left.abs() @ right.abs()
    return magnitude * (gamma(left.shape[1] + 2) * SLACK)


def norm_upper(values: Tensor) -> float:
    """Euclidean norm of all entries, rounded up."""
    return float(torch.linalg.vector_norm(values)) * (1 + gamma(values.numel() + 4))


def sum_upper(terms: Tensor) -> float:
    """Sum of nonnegative terms, rounded up."""
    return math.nextafter(math.fsum(terms.flatten().tolist()), math.inf)
