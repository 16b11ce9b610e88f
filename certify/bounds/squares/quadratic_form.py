"""Polar of quadratic subnetworks: Ω°(Q) = max_{|u|=1} | (uᵀ M_j u)_j |, M_j = Hᵀ diag(Q_j) H.

One output: σ_max(M), exact. Several outputs: NP-hard in general; upper bound
    Σ_j (uᵀ M_j u)² ≤ Σ_j |M_j u|² = uᵀ (Σ_j M_j²) u ≤ λ_max(Σ_j M_j²),
with equality when the M_j share their top eigenvector, and the spectral norm of the unfolding (c, d²) as a
second bound. Lower bound by alternation between v and the top eigenvector of Σ_j v_j M_j.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from certify.bounds.eigenvalue import largest_eigenvalue_upper, largest_singular_value_upper
from certify.bounds.polar import PolarBound, PolarTask
from certify.bounds.rounding import SLACK, gamma, norm_upper

ALTERNATIONS = 50


def quadratic_form_bound(task: PolarTask) -> PolarBound:
    """Interval for the polar; closed for one output."""
    inputs, dual = task.objective.inputs, task.dual
    forms = torch.einsum("nc,nd,ne->cde", -dual, inputs, inputs)
    forms = (forms + forms.transpose(1, 2)) / 2
    magnitude = torch.einsum("nc,nd,ne->cde", dual.abs(), inputs.abs(), inputs.abs())
    error = norm_upper(magnitude) * gamma(inputs.shape[0] + 6) * SLACK
    lower, witness = _witness(forms)
    return PolarBound(lower, witness, _upper(forms, error), "quadratic-form")


def _upper(forms: Tensor, error: float) -> float:
    outputs, d, _ = forms.shape
    if outputs == 1:
        return max(largest_eigenvalue_upper(forms[0], error), largest_eigenvalue_upper(-forms[0], error))
    # Both bounds are those of an operator on the stacked forms, so an error of Frobenius norm e adds at most e.
    stacked = largest_singular_value_upper(forms.reshape(outputs * d, d), error)
    unfolded = largest_singular_value_upper(forms.reshape(outputs, d * d), error) if d * d <= 1024 else math.inf
    return min(stacked, unfolded)


def _witness(forms: Tensor) -> tuple[float, tuple[Tensor, Tensor]]:
    """Best unit u over alternations from every output, with v its response; sorted best first."""
    combos = torch.linalg.svd(forms.flatten(1), full_matrices=False)[0].T
    for _ in range(ALTERNATIONS if forms.shape[0] > 1 else 1):
        mixed = torch.einsum("sc,cde->sde", combos, forms)
        values, vectors = torch.linalg.eigh(mixed)
        top = values.abs().argmax(1)
        first = vectors[torch.arange(len(top)), :, top]
        response = torch.einsum("sd,cde,se->sc", first, forms, first)
        size = torch.linalg.vector_norm(response, dim=1, keepdim=True)
        combos = response / size.clamp_min(1e-300)
    order = size[:, 0].argsort(descending=True)
    return float(size[order[0], 0]), (first[order], combos[order])
