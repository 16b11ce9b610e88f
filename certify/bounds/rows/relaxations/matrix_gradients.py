"""Two matrix functions with gradients that neither store (n, d) intermediates nor fail at equal eigenvalues."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

# Eigenvalues closer than this share of the largest count as equal.
EQUAL_EIGENVALUES = 1e-12


class _WeightedGram(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, inputs: Tensor, weights: Tensor) -> Tensor:  # noqa: ANN401
        ctx.save_for_backward(inputs)
        return torch.stack([inputs.T @ (row[:, None] * inputs) for row in weights])

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[None, Tensor]:  # noqa: ANN401
        (inputs,) = ctx.saved_tensors
        return None, torch.stack([((inputs @ block) * inputs).sum(1) for block in gradients[0]])


class _MatrixAbsolute(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, matrix: Tensor) -> Tensor:  # noqa: ANN401
        values, vectors = torch.linalg.eigh(matrix)
        ctx.save_for_backward(values, vectors)
        result: Tensor = (vectors * values.abs()[..., None, :]) @ vectors.mT
        return result

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:  # noqa: ANN401
        values, vectors = ctx.saved_tensors
        apart = values[..., :, None] - values[..., None, :]
        rise = values.abs()[..., :, None] - values.abs()[..., None, :]
        close = apart.abs() <= EQUAL_EIGENVALUES * values.abs().amax(-1)[..., None, None]
        slopes = torch.where(close, torch.sign(values)[..., None], rise / torch.where(close, 1.0, apart))
        inner = vectors.mT @ ((gradients[0] + gradients[0].mT) / 2) @ vectors
        result: Tensor = vectors @ (slopes * inner) @ vectors.mT
        return result


# Xᵀ diag(w_k) X for every row of weights (m, n), (m, d, d); differentiable in the weights.
weighted_gram: Callable[[Tensor, Tensor], Tensor] = _WeightedGram.apply
# |D| of symmetric matrices (…, d, d); the gradient by divided differences (Daleckii and Krein 1965).
matrix_absolute: Callable[[Tensor], Tensor] = _MatrixAbsolute.apply
