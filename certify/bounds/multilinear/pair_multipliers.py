"""Quadratic forms that vanish on products: N with (x ⊗ y)ᵀ N (x ⊗ y) = 0 for all x (n,) and y (m,).

They are N = Σ c_pq (E_ik − E_ki) ⊗ (E_jh − E_hj) over pairs p = (i, k), i < k, and q = (j, h), j < h: zero is what an
antisymmetric matrix has to say of one vector. The matrices orthogonal to them are those that keep still when the places
of y are transposed, such as (x ⊗ y)(x ⊗ y)ᵀ.
"""

from __future__ import annotations

import torch
from torch import Tensor

from certify.bounds.multilinear.unfoldings import Pair


def vanishing(multipliers: Tensor, extents: Pair) -> Tensor:
    """N, (n m, n m), for c (n(n − 1)/2, m(m − 1)/2)."""
    n, m = extents
    found = multipliers.new_zeros(n, m, n, m)
    (i, k), (j, h) = _places(n, m, multipliers)
    found[i, j, k, h] = found[k, h, i, j] = multipliers
    found[i, h, k, j] = found[k, j, i, h] = -multipliers
    return found.reshape(n * m, n * m)


def multipliers_of(matrix: Tensor, extents: Pair) -> Tensor:
    """C of the nearest N, for a symmetric matrix (n m, n m)."""
    n, m = extents
    blocks = matrix.reshape(n, m, n, m)
    (i, k), (j, h) = _places(n, m, matrix)
    found: Tensor = (blocks[i, j, k, h] + blocks[k, h, i, j] - blocks[i, h, k, j] - blocks[k, j, i, h]) / 4
    return found


def still(matrix: Tensor, extents: Pair) -> Tensor:
    """The nearest matrix that does not move under the transposition, for a symmetric one (n m, n m)."""
    n, m = extents
    moved = matrix.reshape(n, m, n, m).transpose(1, 3).reshape(n * m, n * m)
    return (matrix + moved) / 2


def _places(n: int, m: int, like: Tensor) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """(i, k) down and (j, h) across."""
    (i, k), (j, h) = (torch.triu_indices(size, size, 1, device=like.device) for size in (n, m))
    return (i[:, None], k[:, None]), (j[None], h[None])
