"""Closed-form upper bound on the polar of rows from norms alone; loose, but always there and always cheap.

With s = max(|s₊|, |s₋|): |Sᵀσ(Hu)| ≤ s Σ_i |S_i| |h_i| and ≤ s |S|_F σ_max(H) ≤ s |S|_F |H|_F. With a free hidden bias
(1ᵀS = 0) only biases in [−R, R] matter, R = max_i |h_i|: beyond, all samples are on one side of the kink and the sum
does not depend on the bias. Then sample i contributes at most s |S_i| (|h_i| + R).
"""

from __future__ import annotations

import torch

from certify.bounds.polar import PolarBound, PolarTask
from certify.bounds.proof import Recomputed
from certify.bounds.rounding import SLACK, norm_upper, sum_upper
from certify.bounds.rows.rows_form import rows_form


def norm_product_bound(task: PolarTask) -> PolarBound:
    """The smaller of the closed-form bounds."""
    form = rows_form(task)
    penalized, scores = form.view.penalized, task.scores
    lengths = torch.linalg.vector_norm(penalized, dim=1)
    if form.view.free_inputs:
        lengths = lengths + lengths.max()
    upper = sum_upper(torch.linalg.vector_norm(scores, dim=1) * lengths) * SLACK
    if not form.view.free_inputs:
        upper = min(upper, norm_upper(scores) * norm_upper(penalized) * SLACK)
    return PolarBound(0.0, task.nothing, upper * form.slopes.steepest, "norm-products", Recomputed("norm-products"))
