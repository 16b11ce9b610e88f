"""Quadratic majorants of ReLU sums: proven upper bounds on P(Q) = max_{u} |Qᵀ relu(H u)| from any multipliers.

One output, q = ±Q, t_i = x_i·u with |t_i| ≤ R_i and |u|² ≤ ρ for the u that count (see `direction_region`):
relu(t) = (t + |t|)/2, so f(u) = Σ q_i relu(t_i) = Σ q_i t_i/2 + Σ q_i|t_i|/2. For any p ≥ 0, g and c ≥ 0 put
    b_i = max(−q_i, |g_i| + R_i c_i),   a_i = q_i + b_i ≥ 0,   so that q = a − b.
Then a|t|/2 ≤ p t² + a²/(16p) and b|t| ≥ g t + c t² for |t| ≤ R, hence, with lin = Xᵀ(q − g)/2,
M = Xᵀ diag(p − c/2) X and k = Σ a_i²/(16 p_i) (0/0 = 0),
    f(u) ≤ lin·u + uᵀ M u + k  ≤  ρτ + s + k   if τ ≥ 0 and [[τ I − M, −lin/2], [−linᵀ/2, s]] ⪰ 0.
P = max(f_Q, f_−Q) over the region. Nothing is assumed of the multipliers but p, c ≥ 0: a and b follow from them.

Several outputs, for each output and sign with c = 0: f is homogeneous, so f(u) ≤ lin·u + 2√(k uᵀMu), and
    (f(u)_+)² ≤ uᵀ N_± u,  N_± = (1 + 1/κ) lin linᵀ + 4 (1 + κ) k M  for any κ > 0.
If N_j ⪰ N_j+ and N_j ⪰ N_j−, the square of output j is at most uᵀ N_j u, and P² ≤ ρ λ_max(Σ_j N_j).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import assert_never, final

import torch
from torch import Tensor

from certify.bounds.rows.relaxations.direction_region import direction_region
from certify.bounds.rows.relaxations.scalar_majorant import scalar_maximum_upper
from certify.bounds.rows.relaxations.vector_majorant import vector_maximum_upper


@final
@dataclass(frozen=True, slots=True)
class ScalarMajorant:
    """Multipliers for one output; index 0 serves q = Q, index 1 serves q = −Q.

    Attributes:
        curvatures: p, (2, n).
        slopes: g, (2, n).
        caps: c, (2, n).
        center: m of the region, (d − 1,) with a free hidden bias, else (0,).
        ratios: r of the region for each sign, (2,).
    """

    curvatures: Tensor
    slopes: Tensor
    caps: Tensor
    center: Tensor
    ratios: Tensor


@final
@dataclass(frozen=True, slots=True)
class VectorMajorant:
    """Multipliers for c outputs; index 0 of the first axis serves Q, index 1 serves −Q.

    Attributes:
        curvatures: p, (2, n, c).
        slopes: g, (2, n, c).
        mixings: κ, (2, c).
        envelopes: N_j, (c, d, d).
        center: m of the region, (d − 1,) with a free hidden bias, else (0,).
        ratio: r of the region.
    """

    curvatures: Tensor
    slopes: Tensor
    mixings: Tensor
    envelopes: Tensor
    center: Tensor
    ratio: float


QuadraticMajorant = ScalarMajorant | VectorMajorant


def majorant_upper(inputs: Tensor, scores: Tensor, multipliers: QuadraticMajorant, free_inputs: int = 0) -> float:
    """A proven upper bound on max |Qᵀ relu(H u)| over penalized norm of u at most 1; +inf if none is proven.

    Args:
        inputs: H, (n, d) float64.
        scores: Q = −A, (n, c) float64.
        multipliers: any numbers; negative p and c are replaced, non-finite ones prove nothing.
        free_inputs: 1 if the last column of H is constant and its weight unpenalized; the columns of Q must then
            sum to zero exactly.
    """
    finite = [multipliers.curvatures, multipliers.slopes, multipliers.center, inputs, scores]
    if not all(bool(torch.isfinite(values).all()) for values in finite):
        return math.inf
    if free_inputs and any(math.fsum(column) != 0 for column in scores.T.tolist()):
        return math.inf
    match multipliers:
        case ScalarMajorant():
            return _scalar_upper(inputs, scores, multipliers, free_inputs)
        case VectorMajorant():
            return _vector_upper(inputs, scores, multipliers, free_inputs)
        case _ as unreachable:
            assert_never(unreachable)


def _scalar_upper(inputs: Tensor, scores: Tensor, multipliers: ScalarMajorant, free_inputs: int) -> float:
    if scores.shape[1] != 1 or not bool(torch.isfinite(multipliers.caps).all()):
        return math.inf
    upper = 0.0
    for index, sign in enumerate((1.0, -1.0)):
        region = direction_region(inputs, free_inputs, multipliers.center, float(multipliers.ratios[index]))
        own = (multipliers.curvatures[index], multipliers.slopes[index], multipliers.caps[index])
        upper = max(upper, scalar_maximum_upper(region, sign * scores[:, 0], *own))
    return upper


def _vector_upper(inputs: Tensor, scores: Tensor, multipliers: VectorMajorant, free_inputs: int) -> float:
    if not all(bool(torch.isfinite(v).all()) for v in (multipliers.mixings, multipliers.envelopes)):
        return math.inf
    region = direction_region(inputs, free_inputs, multipliers.center, multipliers.ratio)
    own = (multipliers.curvatures, multipliers.slopes, multipliers.mixings, multipliers.envelopes)
    return vector_maximum_upper(region, scores, *own)
