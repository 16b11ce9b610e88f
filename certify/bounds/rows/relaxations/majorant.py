"""Quadratic majorants of rows: proven upper bounds on P(Q) = max_{u} |Sᵀσ(H u)| from any multipliers.

One column, q = ±S, t_i = x_i·u with |t_i| ≤ R_i and |u|² ≤ ρ for the u that count (see `direction_region`), and the
parts r = (s₊ − s₋) q, l = s₋ q of σ: relu(t) = (t + |t|)/2, so
    f(u) = Σ q_i σ(t_i) = Σ r_i relu(t_i) + Σ l_i t_i = Σ (r_i/2 + l_i) t_i + Σ r_i|t_i|/2.
For any p ≥ 0, g and w, zero at a free coordinate of u, so that |w·u| ≤ |w|, put
    b_i = max(−r_i, |g_i| + |w_i|),   a_i = r_i + b_i ≥ 0,   so that r = a − b.
Then a|t|/2 ≤ p t² + a²/(16p) and b|t| ≥ g t + (w·u) t, hence, with lin = Xᵀ((r − g)/2 + l),
M = Xᵀ diag(p) X − (XᵀW + WᵀX)/4 and k = Σ a_i²/(16 p_i) (0/0 = 0),
    f(u) ≤ lin·u + uᵀ M u + k  ≤  τ + τ'(ρ − 1) + s + k   if τ' ≥ 0 and [[T − M, −lin/2], [−linᵀ/2, s]] ⪰ 0,
where |u|² = 1, T = τ I; or where that holds but for a free coordinate, the last, of T = diag(τ, …, τ, τ'). P = max(f_S,
f_−S, 0), since f is homogeneous. Nothing is assumed of the multipliers but p ≥ 0: a and b follow from them.

Several columns, for each column and sign with w = 0: f is homogeneous, so f(u) ≤ lin·u + 2√(k uᵀMu), and
    (f(u)_+)² ≤ uᵀ N_± u,  N_± = (1 + 1/κ) lin linᵀ + 4 (1 + κ) k M  for any κ > 0.
If N_j ⪰ N_j+ and N_j ⪰ N_j−, the square of column j is at most uᵀ N_j u, and P² ≤ ρ λ_max(Σ_j N_j).
"""

from __future__ import annotations

import math
from typing import assert_never

import torch
from torch import Tensor

from certify.bounds.proof import QuadraticMajorant, ScalarMajorant, VectorMajorant
from certify.bounds.rows.kinked_scores import KinkedScores, kinked_scores
from certify.bounds.rows.relaxations.direction_region import direction_region
from certify.bounds.rows.relaxations.scalar_majorant import scalar_maximum_upper
from certify.bounds.rows.relaxations.vector_majorant import vector_maximum_upper
from certify.problem import Rows, View


def majorant_upper(form: Rows, scores: Tensor, multipliers: QuadraticMajorant) -> float:
    """A proven upper bound on max |Sᵀσ(H u)| over penalized norm of u at most 1; +inf if none is proven.

    Args:
        form: H and σ.
        scores: S, (N, m) float64; its columns must sum to zero exactly where a bias is free.
        multipliers: any numbers; negative p are replaced, non-finite ones prove nothing.
    """
    finite = [multipliers.curvatures, multipliers.slopes, multipliers.center, form.view.rows, scores]
    if not all(bool(torch.isfinite(values).all()) for values in finite):
        return math.inf
    if form.view.free_inputs and any(math.fsum(column) != 0 for column in scores.T.tolist()):
        return math.inf
    parts = kinked_scores(form.slopes, scores)
    match multipliers:
        case ScalarMajorant():
            return _scalar_upper(form.view, parts, multipliers)
        case VectorMajorant():
            return _vector_upper(form.view, parts, multipliers)
        case _ as unreachable:
            assert_never(unreachable)


def _scalar_upper(view: View, scores: KinkedScores, multipliers: ScalarMajorant) -> float:
    own = [multipliers.tilts, multipliers.axes, multipliers.offsets]
    if (hubs := multipliers.hubs) is not None:
        own += [hubs.directions, hubs.links, hubs.lifts, hubs.products, hubs.tilts]
    if scores.linear.shape[1] != 1 or not all(bool(torch.isfinite(values).all()) for values in own):
        return math.inf
    upper, region = 0.0, direction_region(view, multipliers.center, 1.0)
    for index, sign in enumerate((1.0, -1.0)):
        upper = max(upper, scalar_maximum_upper(region, scores.column(0, sign), multipliers, index))
    return upper


def _vector_upper(view: View, scores: KinkedScores, multipliers: VectorMajorant) -> float:
    if not all(bool(torch.isfinite(v).all()) for v in (multipliers.mixings, multipliers.envelopes)):
        return math.inf
    region = direction_region(view, multipliers.center, multipliers.ratio)
    return vector_maximum_upper(region, scores, multipliers)
