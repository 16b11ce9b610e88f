"""Polar of linear subnetworks: Ω°(Q) = σ_max(HᵀQ), exact.

φ(H; u, v) = H u vᵀ, θ = |u||v|: <Q, φ> = uᵀ(HᵀQ)v (Recht, Fazel and Parrilo 2010; Haeffele and Vidal 2017).
"""

from __future__ import annotations

import torch

from certify.bounds.eigenvalue import largest_singular_value_upper
from certify.bounds.polar import PolarBound, PolarTask
from certify.bounds.rounding import norm_upper, product_error

# Singular pairs returned as witnesses; growth may add several at once.
WITNESSES = 8


def spectral_bound(task: PolarTask) -> PolarBound:
    """Both ends of the polar by a singular value decomposition, the upper one proven by Cholesky."""
    inputs, dual = task.objective.inputs, task.dual
    moments = -(inputs.T @ dual)
    error = norm_upper(product_error(inputs.T, dual))
    left, values, right = torch.linalg.svd(moments, full_matrices=False)
    upper = largest_singular_value_upper(moments, error)
    lower = float(values[0]) if values.numel() else 0.0
    witness = (left.T[:WITNESSES].contiguous(), right[:WITNESSES].contiguous())
    return PolarBound(lower, witness, upper, "spectral")
