"""Closed-form multipliers of the scalar majorant, exact where the rows of H are orthogonal.

With D the row norms, s = σ_max(D⁻¹H) and a = q_+:  Σ q_i relu(h_i u) ≤ Σ a_i relu(h_i u) ≤ |D a| |D⁻¹H u| ≤ s |D a|, an
equality for orthogonal rows of full rank (Ergen and Pilanci 2021, closed forms for whitened data). As multipliers:
g = −q_-, c = 0 and p_i = |D a|/(4 s D_i²), for which the majorant is at most s |D a|, and less where it can be.
"""

from __future__ import annotations

import torch
from torch import Tensor

from certify.bounds.polar import PolarBound, PolarTask
from certify.bounds.rows.relaxations.majorant import ScalarMajorant, majorant_upper


def scaled_norms_apply(task: PolarTask) -> bool:
    """One output, no free hidden bias, and an input that is not zero."""
    objective = task.objective
    return objective.outputs == 1 and objective.free_inputs == 0 and bool(objective.inputs.any())


def scaled_norms(task: PolarTask) -> PolarBound:
    """The majorant of these multipliers."""
    inputs = task.objective.inputs
    lengths = torch.linalg.vector_norm(inputs, dim=1)
    safe = torch.where(lengths > 0, lengths, 1.0)
    spread = torch.linalg.matrix_norm(inputs / safe[:, None], 2)
    q = torch.stack([-task.dual[:, 0], task.dual[:, 0]])
    size = torch.linalg.vector_norm(q.clamp_min(0) * lengths, dim=1, keepdim=True)
    multipliers = ScalarMajorant(
        curvatures=size / (4 * spread * safe**2),
        slopes=-(-q).clamp_min(0),
        caps=torch.zeros_like(q),
        center=inputs.new_zeros(0),
        ratios=_ones(inputs),
    )
    upper = majorant_upper(inputs, -task.dual, multipliers)
    return PolarBound(0.0, tuple(f[:0] for f in task.starts), upper, "scaled-norms", multipliers)


def _ones(inputs: Tensor) -> Tensor:
    return torch.ones(2, dtype=inputs.dtype, device=inputs.device)
