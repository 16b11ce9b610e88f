"""Closed-form multipliers of the scalar majorant, exact where the rows of H are orthogonal.

Row i adds at most γ_i |t_i| to Σ q_i σ(t_i), with γ_i = max(s₊q_i, −s₋q_i, 0). With D the row norms and s = σ_max(D⁻¹H)
that is |D γ| |D⁻¹H u| ≤ s |D γ| in all, an equality for orthogonal rows of full rank (Ergen and Pilanci 2021, closed
forms for whitened data). As multipliers, in the notation of `majorant` with its scores (s₊ − s₋) q = a − b: w = 0;
where b > 0, g makes the slope of the linear part the one of s₊q_i and s₋q_i, or 0, that is nearest to 0; and
p_i = a_i |D γ|/(4 s γ_i D_i²) touches at the maximum. Then the majorant is at most s |D γ|, and less where it can be.
"""

from __future__ import annotations

import torch
from torch import Tensor

from certify.bounds.polar import PolarBound, PolarTask
from certify.bounds.proof import ScalarMajorant
from certify.bounds.rows.relaxations.majorant import majorant_upper
from certify.bounds.rows.rows_form import rows_form
from certify.problem import Rows


def scaled_norms_apply(task: PolarTask) -> bool:
    """One score column, no free hidden bias, and an input that is not zero."""
    view = task.branch.table
    return task.scores.shape[1] == 1 and view.free_inputs == 0 and bool(view.rows.any())


def scaled_norms(task: PolarTask) -> PolarBound:
    """The majorant of these multipliers."""
    form, scores = rows_form(task), task.scores
    multipliers = _multipliers(form, torch.stack([scores[:, 0], -scores[:, 0]]))
    upper = majorant_upper(form, scores, multipliers)
    return PolarBound(0.0, task.nothing, upper, "scaled-norms", multipliers)


def _multipliers(form: Rows, scores: Tensor) -> ScalarMajorant:
    """The multipliers for scores q and −q, (2, N)."""
    rows = form.view.rows
    lengths = torch.linalg.vector_norm(rows, dim=1)
    safe = torch.where(lengths > 0, lengths, 1.0)
    spread = torch.linalg.matrix_norm(rows / safe[:, None], 2)
    above, below = form.slopes.positive * scores, form.slopes.negative * scores
    convex = (above - below).clamp_min(0)
    nearest = above.clamp_min(0) + below.clamp_max(0)
    steepest = torch.maximum(above, -below).clamp_min(0)
    size = torch.linalg.vector_norm(steepest * lengths, dim=1, keepdim=True)
    share = convex / torch.where(steepest > 0, steepest, 1.0)
    return ScalarMajorant(
        curvatures=share * size / (4 * spread * safe**2),
        slopes=torch.where(above < below, above + below - 2 * nearest, 0.0),
        tilts=rows.new_zeros(2, len(rows), 0),
        axes=rows.new_zeros(2, 0, rows.shape[1]),
        center=rows.new_zeros(0),
        offsets=torch.zeros_like(scores[:, 0]),
    )
