"""G = HᵀS of a bilinear form, and how far it may be off by rounding."""

from __future__ import annotations

import torch
from torch import Tensor

from certify.bounds.rounding import product_error


def moments_of(rows: Tensor, scores: Tensor) -> Tensor:
    """G = HᵀS, (h, m); H = I in matrix completion."""
    return scores if _is_identity(rows) else rows.T @ scores


def moments_error(rows: Tensor, scores: Tensor) -> Tensor:
    """Bound on the rounding errors of G, (h, m)."""
    return torch.zeros_like(scores) if _is_identity(rows) else product_error(rows.T, scores)


def _is_identity(rows: Tensor) -> bool:
    n, d = rows.shape
    return n == d and bool((rows.diagonal() == 1).all()) and int(rows.count_nonzero()) == n
