"""Rows in principal axes: the same polar in as many coordinates as the rows have rank.

For orthonormal F (h, k) spanning the rows of H, |u| ≤ 1 may be restricted to u = F a, so Ω° is that of H F.
F is orthonormal and spans the rows only up to rounding, which costs
    Ω°_H(Q) ≤ |F|₂ Ω°_{HF}(Q) + s Σ_i |S_i| |h_i − h_i F Fᵀ|,   s = max(|s₊|, |s₋|),
because |σ(h_i u) − σ(h_i F Fᵀ u)| ≤ s |h_i − h_i F Fᵀ| and |Fᵀu| ≤ |F|₂. A free hidden bias stays a coordinate of its
own: the other columns are centered first, which only shifts that bias.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from certify.bounds.eigenvalue import largest_singular_value_upper
from certify.bounds.rounding import SLACK, gamma, product_error, sum_upper
from certify.problem import Rows

# Singular values below this share of the largest are left out; their effect is bounded, not ignored.
RANK_TOLERANCE = 1e-12


@final
@dataclass(frozen=True, slots=True)
class ReducedRows:
    """Principal coordinates of rows.

    Attributes:
        rows: H F, (N, k) float64; with a free bias, its constant column comes last.
        frame: F, (h, k).
        free_axis: index of the column of a free bias, or None.
        row_residuals: s |h_i − h_i F Fᵀ| with its rounding error, (N,).
        frame_norm: upper bound of |F|₂.
        center: what was subtracted from the rows, (h,).
    """

    rows: Tensor
    frame: Tensor
    free_axis: int | None
    row_residuals: Tensor
    frame_norm: float
    center: Tensor

    def polar_upper(self, scores: Tensor, reduced_upper: float) -> float:
        """Upper bound of the polar of the original rows from one of the reduced rows, for scores S (N, m)."""
        sizes = torch.linalg.vector_norm(scores, dim=1) * (1 + gamma(scores.shape[1] + 4))
        return (self.frame_norm * reduced_upper + sum_upper(sizes * self.row_residuals)) * (1 + 2.0**-50)

    def lift(self, directions: Tensor) -> Tensor:
        """Weights u (s, h) on the original rows of reduced directions a (s, k)."""
        lifted = directions @ self.frame.T
        if self.free_axis is not None:
            lifted[:, -1] -= lifted[:, :-1] @ self.center[:-1]
        return lifted

    def lower(self, first: Tensor) -> Tensor:
        """Reduced directions a (s, k) of weights u (s, h) on the original rows."""
        shifted = first.clone()
        if self.free_axis is not None:
            shifted[:, -1] += shifted[:, :-1] @ self.center[:-1]
            scale = self.frame[-1, -1]
            return torch.cat([shifted[:, :-1] @ self.frame[:-1, :-1], shifted[:, -1:] / scale], 1)
        return shifted @ self.frame


def reduced_tensors(reduced: ReducedRows) -> dict[str, Tensor]:
    """All of it as named arrays."""
    numbers = [reduced.frame_norm, -1 if reduced.free_axis is None else reduced.free_axis]
    arrays = {name: getattr(reduced, name) for name in ("rows", "frame", "row_residuals", "center")}
    return {f"reduced.{name}": array for name, array in arrays.items()} | {
        "reduced.numbers": torch.tensor(numbers, dtype=torch.float64)
    }


def reduced_in(found: Mapping[str, Tensor]) -> ReducedRows:
    """The same rows again."""
    rows, frame, residuals, center, numbers = (
        found[f"reduced.{name}"] for name in ("rows", "frame", "row_residuals", "center", "numbers")
    )
    frame_norm, axis = numbers.tolist()
    return ReducedRows(rows, frame, None if axis < 0 else int(axis), residuals, frame_norm, center)


def reduced_dimension(form: Rows) -> int:
    """Number k of coordinates, that of a free bias included."""
    free = form.view.free_inputs
    centered = form.view.penalized - _center(form)[: form.view.rows.shape[1] - free]
    return int(torch.linalg.matrix_rank(centered, rtol=RANK_TOLERANCE)) + free


def reduce_rows(form: Rows) -> ReducedRows:
    """Principal axes of the rows, largest variance first."""
    inputs, free, center = form.view.rows, form.view.free_inputs, _center(form)
    penalized = form.view.penalized - center[: len(center) - free]
    centering = inputs.abs() @ torch.ones_like(center) + center.abs().sum() if free else 0.0
    _, values, axes = torch.linalg.svd(penalized, full_matrices=False)
    kept = axes[values > RANK_TOLERANCE * values[0]].T if values.numel() else axes.T
    rows = penalized @ kept
    back = penalized - rows @ kept.T
    error = product_error(rows, kept.T) + product_error(penalized, kept) @ kept.abs().T
    residuals = torch.linalg.vector_norm(back.abs() + error, dim=1) * SLACK + centering * gamma(3)
    residuals = residuals * form.slopes.steepest
    frame_norm = largest_singular_value_upper(kept, math.sqrt(kept.numel()) * gamma(2))
    if not free:
        return ReducedRows(rows, kept, None, residuals, frame_norm, center)
    # Powers of two keep the constant column exact; it is scaled to the size of the rows.
    radius = float(torch.linalg.vector_norm(rows, dim=1).max())
    radius = radius if 0 < radius < math.inf else 1.0
    scale = 2.0 ** math.ceil(math.log2(radius))
    frame = inputs.new_zeros(inputs.shape[1], kept.shape[1] + 1)
    frame[:-1, :-1], frame[-1, -1] = kept, scale
    rows = torch.cat([rows, inputs[:, -1:] * scale], 1)
    return ReducedRows(rows, frame, kept.shape[1], residuals, frame_norm, center)


def _center(form: Rows) -> Tensor:
    """The mean of the rows where a bias is free, 0 elsewhere and for the constant column; (h,)."""
    rows = form.view.rows
    center = torch.zeros_like(rows[0])
    if form.view.free_inputs:
        center[:-1] = rows[:, :-1].mean(0)
    return center
