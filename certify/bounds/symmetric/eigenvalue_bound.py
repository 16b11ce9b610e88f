"""The polar of tied weights, exact: Ω°(Q) = max(0, λ_max(M)), M the symmetric part of G = HᵀS.

<Q, φ(u)> = uᵀ G u = uᵀ M u with θ = |u|². One matrix proves it: t I − M ⪰ 0 (`eigenvalue`).
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor

from certify.bounds.bilinear.moments import moments_error, moments_of
from certify.bounds.eigenvalue import largest_eigenvalue_upper
from certify.bounds.polar import PolarBound, PolarEstimate, PolarTask
from certify.bounds.proof import Recomputed
from certify.bounds.rounding import SLACK, gamma, norm_upper
from certify.problem import Symmetric

# Most eigenvectors that a search returns.
MOST_WITNESSES = 64


def eigenvalue_bound(task: PolarTask) -> PolarBound:
    """Both ends of the polar."""
    matrix, error = _matrix(task)
    found = _leading(task, matrix)
    upper = max(largest_eigenvalue_upper(matrix, error), 0.0)
    return PolarBound(found.value, found.witness, upper, "eigenvalue", Recomputed("eigenvalue"))


def eigenvalue_search(task: PolarTask) -> PolarEstimate:
    """The lower end alone."""
    return _leading(task, _matrix(task)[0])


def _matrix(task: PolarTask) -> tuple[Tensor, float]:
    """M (h, h), and a bound on the Frobenius norm of its rounding errors."""
    form, rows = cast("Symmetric", task.form), task.branch.table.rows
    square = form.squared(moments_of(rows, task.scores))
    matrix = (square + square.T) / 2
    rounding = gamma(2) * norm_upper((square.abs() + square.T.abs()) / 2)
    return matrix, (norm_upper(moments_error(rows, task.scores)) + rounding) * SLACK


def _leading(task: PolarTask, matrix: Tensor) -> PolarEstimate:
    """Eigenvectors of positive eigenvalues, the largest first."""
    if not matrix.numel():
        return PolarEstimate(0.0, task.nothing)
    values, vectors = torch.linalg.eigh(matrix)
    count = min(int((values > 0).sum()), MOST_WITNESSES)
    if not count:
        return PolarEstimate(0.0, task.nothing)
    return PolarEstimate(float(values[-1]), (vectors[:, -count:].flip(1).T.contiguous(),))
