"""The best second factor of given first ones: v = Sᵀσ(H u)/|Sᵀσ(H u)|, for which <Q, φ(u, v)> = |Sᵀσ(H u)|."""

from __future__ import annotations

import torch
from torch import Tensor

from certify.bounds.polar import PolarEstimate, PolarTask
from certify.bounds.rows.rows_form import rows_form

TINY = 1e-300


def attained(task: PolarTask, first: Tensor) -> PolarEstimate:
    """Neurons with first factors along u (s, h), best first, evaluated on the rows as given, |u| = |v| = 1.

    Those without a response are left out.
    """
    form = rows_form(task)
    penalized = first[:, : first.shape[1] - form.view.free_inputs]
    lengths = torch.linalg.vector_norm(penalized, dim=1, keepdim=True)
    first = torch.where(lengths > 0, first / lengths.clamp_min(TINY), 0.0)
    response = form.slopes.of(form.view.rows @ first.T).T @ task.scores
    sizes = torch.linalg.vector_norm(response, dim=1)
    order = sizes.argsort(descending=True)
    order = order[sizes[order] > 0]
    second = response[order] / sizes[order].clamp_min(TINY)[:, None]
    return PolarEstimate(float(sizes[order[0]]) if len(order) else 0.0, (first[order], second))
