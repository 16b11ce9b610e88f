"""Proven bound of what is left after peeling: the largest over |u| ≤ 1 of seminorms |Cᵀσ(H u)| + Σ_b |√D_b ∘ σ(H u)|.

By cones (`bounds.rows.cones`): on cone(v_1, …, v_k), u = Σ a_k v_k, a ≥ 0,
  - |σ(t)| = |s₊| max(t, 0) + |s₋| max(−t, 0) is convex and homogeneous, so |σ(h_i u)| ≤ Σ_k a_k |σ(h_i v_k)|, and
    |√D_b ∘ σ(H u)| ≤ Σ_k a_k X_bk with X_bk = (Σ_i D_bi σ(h_i v_k)²)^(1/2), which is exact at the generators;
  - output j of Cᵀσ(H u) lies between Σ_k a_k below_kj and Σ_k a_k above_kj, as in a tree for several score columns, so
    |Cᵀσ(H u)| ≤ Σ_k a_k Y_k with Y_k = |above_k + below_k|/2 + |above_k − below_k|/2.
A leaf has val_k = Y_k + Σ_b X_bk + ε and proves |w| for any w with w·v_k ≥ val_k. Rounding: with |v|₁ ≤ 1 the product
h_i v_k errs by γ_k |h_i|_∞, so that X_bk errs by a small multiple of γ max(|s₊|, |s₋|) (Σ_i D_bi |h_i|_∞²)^(1/2),
which ε includes. Every seminorm has its own roots, as S and −S have for one score column; |Cᵀσ| covers both signs of C.
"""

from __future__ import annotations

from torch import Tensor

from certify.bounds.layers.peeled_scores import PeeledScores
from certify.bounds.rows.cones.cone_settings import ConeSettings
from certify.bounds.rows.cones.cones import ConeOutcome, cone_maximum


def base_maximum(
    rows: Tensor, seminorms: list[PeeledScores], settings: ConeSettings, start: Tensor | None = None
) -> ConeOutcome:
    """Both ends of the largest of seminorms over the ball, for rows H (N, k) in few coordinates.

    Raises:
        ValueError: there are too many coordinates, or numbers are not finite.
    """
    return cone_maximum(rows, [(form.columns, form.diagonals) for form in seminorms], settings, start)
