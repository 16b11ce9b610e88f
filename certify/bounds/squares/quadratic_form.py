"""The polar of squares: Ω°(Q) = max_{|u|=1} | (uᵀ M_j u)_j |, M_j = Hᵀ diag(S_j) H for the columns S_j of the scores.

One column: σ_max(M), exact. Several columns: NP-hard in general; upper bound
    Σ_j (uᵀ M_j u)² ≤ Σ_j |M_j u|² = uᵀ (Σ_j M_j²) u ≤ λ_max(Σ_j M_j²),
with equality when the M_j share their top eigenvector, and the spectral norm of the unfolding (m, h²) as a
second bound. Lower bound by alternation between v and the top eigenvector of Σ_j v_j M_j.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from certify.bounds.eigenvalue import largest_eigenvalue_upper, largest_singular_value_upper
from certify.bounds.polar import PolarBound, PolarEstimate, PolarTask
from certify.bounds.proof import Recomputed
from certify.bounds.rounding import SLACK, gamma, norm_upper

ALTERNATIONS = 50


def quadratic_form_bound(task: PolarTask) -> PolarBound:
    """Interval for the polar; closed for one column."""
    rows, scores = task.branch.table.rows, task.scores
    error = norm_upper(_forms(rows.abs(), scores.abs())) * gamma(rows.shape[0] + 6) * SLACK
    forms = _symmetric(_forms(rows, scores))
    found = _witness(forms)
    upper = _upper(forms, error)
    return PolarBound(found.value, found.witness, upper, "quadratic-form", Recomputed("quadratic-form"))


def quadratic_form_search(task: PolarTask) -> PolarEstimate:
    """The lower end alone."""
    return _witness(_symmetric(_forms(task.branch.table.rows, task.scores)))


def _forms(rows: Tensor, scores: Tensor) -> Tensor:
    """M_j, (m, h, h)."""
    return torch.einsum("nc,nd,ne->cde", scores, rows, rows)


def _symmetric(forms: Tensor) -> Tensor:
    return (forms + forms.transpose(1, 2)) / 2


def _upper(forms: Tensor, error: float) -> float:
    columns, d, _ = forms.shape
    if columns == 1:
        return max(largest_eigenvalue_upper(forms[0], error), largest_eigenvalue_upper(-forms[0], error))
    # Both bounds are those of an operator on the stacked forms, so an error of Frobenius norm e adds at most e.
    stacked = largest_singular_value_upper(forms.reshape(columns * d, d), error)
    unfolded = largest_singular_value_upper(forms.reshape(columns, d * d), error) if d * d <= 1024 else math.inf
    return min(stacked, unfolded)


def _witness(forms: Tensor) -> PolarEstimate:
    """Best unit u over alternations from every column, with v its response; sorted best first."""
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
    return PolarEstimate(float(size[order[0], 0]), (first[order], combos[order]))
