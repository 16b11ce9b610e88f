"""Closed-form upper bound on the ReLU polar from norms alone; loose, but always there and always cheap.

|Qᵀσ(Hu)| ≤ Σ_i |Q_i| |h_i| and ≤ |Q|_F σ_max(H) ≤ |Q|_F |H|_F. With a free hidden bias (1ᵀQ = 0) only biases in
[−R, R] matter, R = max_i |h_i|: beyond, all or no samples are active and the sum does not depend on the bias. Then
sample i contributes at most |Q_i| (|h_i| + R).
"""

from __future__ import annotations

import torch

from certify.bounds.polar import PolarBound, PolarTask
from certify.bounds.rounding import SLACK, norm_upper, sum_upper


def norm_product_bound(task: PolarTask) -> PolarBound:
    """The smaller of the closed-form bounds."""
    objective, dual = task.objective, task.dual
    penalized = objective.inputs[:, : objective.inputs.shape[1] - objective.free_inputs]
    lengths = torch.linalg.vector_norm(penalized, dim=1)
    if objective.free_inputs:
        lengths = lengths + lengths.max()
    upper = sum_upper(torch.linalg.vector_norm(dual, dim=1) * lengths) * SLACK
    if not objective.free_inputs:
        upper = min(upper, norm_upper(dual) * norm_upper(penalized) * SLACK)
    empty = tuple(f[:0] for f in task.starts)
    return PolarBound(0.0, empty, upper, "norm-products")
