"""Leading singular pairs of a matrix, dense or sparse: guesses, by a decomposition or by block Krylov iteration."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from certify.bounds.polar import PolarEstimate

# Singular pairs returned as witnesses; growth may add several at once.
WITNESSES = 8
# Up to this smaller dimension the full decomposition is fast.
DENSE_DIMENSION = 400
# For larger ones: vectors in a block, steps before a restart, and when the largest value counts as found.
BLOCK, BLOCK_STEPS, LARGEST_RESTARTS = 16, 8, 30
VALUE_ACCURACY = 1e-10


class Matrix(Protocol):
    """What is asked of G (m, n): its shape, and products with it and with its transpose."""

    @property
    def shape(self) -> tuple[int, int]: ...

    @property
    def T(self) -> Matrix: ...  # noqa: N802

    def __matmul__(self, other: Tensor) -> Tensor: ...


def leading_pairs(moments: Tensor, seed: int) -> PolarEstimate:
    """Largest singular value and the leading pairs of a dense matrix, best first."""
    if min(moments.shape) > DENSE_DIMENSION:
        return krylov_pairs(moments, seed)  # type: ignore[arg-type]
    left, values, right = torch.linalg.svd(moments, full_matrices=False)
    return _estimate(left, values, right)


def krylov_pairs(
    moments: Matrix, seed: int, known: Tensor | None = None, accuracy: float = VALUE_ACCURACY
) -> PolarEstimate:
    """The same by restarted block Krylov iteration, which finds multiple values together.

    Args:
        moments: G, (m, n).
        seed: of the start.
        known: vectors (s, n) on the device of G to start from besides, s may be 0.
        accuracy: the largest value counts as found when a restart raises it by less than this share.
    """
    generator = torch.Generator().manual_seed(seed)
    known = torch.zeros(0, moments.shape[1], dtype=torch.float64) if known is None else known[:BLOCK]
    drawn = torch.randn(moments.shape[1], BLOCK - len(known), generator=generator, dtype=torch.float64)
    start, largest = torch.cat([known.T, drawn.to(moments if isinstance(moments, Tensor) else known)], 1), 0.0
    for _ in range(LARGEST_RESTARTS):
        basis = torch.linalg.qr(start).Q
        newest = basis
        for _ in range(BLOCK_STEPS - 1):
            newest = moments.T @ (moments @ newest)
            # Twice, since what is left of a matrix of low rank is rounding.
            for _ in range(2):
                newest = torch.linalg.qr(newest - basis @ (basis.T @ newest)).Q
            basis = torch.cat([basis, newest], 1)
        left, values, right = torch.linalg.svd(moments @ basis, full_matrices=False)
        start = basis @ right[:BLOCK].T
        previous, largest = largest, float(values[0])
        if not largest > previous * (1 + accuracy):
            break
    return _estimate(left, values, (basis @ right[:WITNESSES].T).T)


def _estimate(left: Tensor, values: Tensor, right: Tensor) -> PolarEstimate:
    witness = (left.T[:WITNESSES].contiguous(), right[:WITNESSES].contiguous())
    return PolarEstimate(float(values[0]) if values.numel() else 0.0, witness)
