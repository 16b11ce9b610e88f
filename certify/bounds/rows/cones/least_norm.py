"""Approximate maximizers a >= 0 of a.val - |sum_k a_k v_k|^2 / 2 for a batch of cones with generators v_k.

The dual of the least-norm problem min |w| with w . v_k >= val_k; guesses, which `cone_bound` makes feasible.
"""

from __future__ import annotations

import torch
from torch import Tensor

# Most rounds of block principal pivoting.
PIVOTS = 8
# Relative violation of w . v_k >= val_k that pivoting leaves to the final scaling.
PIVOT_TOLERANCE = 1e-12


def least_norm_coefficients(gram: Tensor, values: Tensor, start: Tensor, sweeps: int) -> Tensor:
    """Coordinate ascent (Hildreth 1957) on max a.val - |sum_k a_k v_k|^2 / 2 over a >= 0.

    Args:
        gram: v_k . v_l, shape (d, d, B).
        values: val, shape (d, B).
        start: Initial a >= 0, shape (d, B), as that returned.
        sweeps: Passes over the d coordinates.
    """
    diagonal = gram.diagonal(dim1=0, dim2=1).T
    inverse = torch.where(diagonal > 0, 1.0 / diagonal.clamp(min=1e-300), 0.0)
    scaled = gram * inverse[:, None]
    slack = values * inverse - (scaled * start[None]).sum(1)
    coefficients = list(start.unbind(0))
    columns = [scaled[:, k].contiguous() for k in range(len(coefficients))]
    for _ in range(sweeps):
        for k, column in enumerate(columns):
            step = torch.maximum(slack[k], -coefficients[k])
            coefficients[k] = coefficients[k] + step
            slack.addcmul_(column, step, value=-1.0)
    return torch.stack(coefficients).clamp_(min=0)


def pivoted_coefficients(gram: Tensor, values: Tensor, start: Tensor) -> Tensor:
    """Block principal pivoting (Kim and Park 2011) on max a.val - |sum_k a_k v_k|^2 / 2 over a >= 0.

    Coordinate ascent crawls on narrow cones, whose generators are nearly parallel; this solves them directly. Shapes
    are those of `least_norm_coefficients`, and the support of `start` is the first guess. The result is not the
    solution where the pivoting did not settle, and NaN where a system was singular.
    """
    matrices, right = gram.permute(2, 0, 1), values.T
    chosen = start.T > 0
    solution = start.T
    for _ in range(PIVOTS):
        system = torch.where(chosen[:, :, None] & chosen[:, None, :], matrices, 0.0)
        system = system + torch.diag_embed((~chosen).to(values.dtype))
        solution, _ = torch.linalg.solve_ex(system, torch.where(chosen, right, 0.0))
        slope = (matrices @ solution[:, :, None])[:, :, 0] - right
        wrong = torch.where(chosen, solution < 0, slope < -PIVOT_TOLERANCE * right.abs())
        if not bool(wrong.any()):
            break
        chosen = chosen ^ wrong
    return solution.T.clamp(min=0)
