"""Directions w_i = C_i B, one for each row, as combinations of a few axes: |t| ≥ (w·u) t for |w| ≤ 1, |u| ≤ 1."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from certify.bounds.rounding import SLACK, gamma, norm_upper


@final
@dataclass(frozen=True, slots=True)
class Tilts:
    """The directions.

    Attributes:
        coefficients: C, (N, K); K may be 0.
        axes: B, (K, h), zero at a free coordinate.
    """

    coefficients: Tensor
    axes: Tensor

    def lengths(self) -> Tensor:
        """Upper bounds on |w_i|, (N,)."""
        k, h = self.axes.shape
        rounding = gamma(k + 4) * SLACK * self.magnitude()
        norms: Tensor = torch.linalg.vector_norm(self.coefficients @ self.axes, dim=1) * (1 + gamma(h + 8)) + rounding
        return norms

    def magnitude(self) -> Tensor:
        """Upper bounds on Σ_k |C_ik||B_k|, (N,), the size of what is summed."""
        k = len(self.axes)
        sizes: Tensor = torch.linalg.vector_norm(self.coefficients, dim=1) * (1 + gamma(k + 8)) * norm_upper(self.axes)
        return sizes


def no_tilts(rows: Tensor) -> Tilts:
    """W = 0 for rows (N, h)."""
    return Tilts(rows.new_zeros(len(rows), 0), rows.new_zeros(0, rows.shape[1]))
