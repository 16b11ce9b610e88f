"""The polar of subnetworks without an activation: max |Gᵀu| over |u| ≤ 1, the spectral norm of G = HᵀS."""

from __future__ import annotations

import numpy as np

from certify.verify.forms.form import Form
from certify.verify.proofs.proof import Proof
from certify.verify.reals import Arithmetic, Reals


def moments_of(form: Form) -> Reals:
    """G = HᵀS, or its transpose if that has fewer columns; S itself where H = I, as in matrix completion."""
    moments = form.scores if _is_identity(form.rows) else form.rows.T @ form.scores
    return moments if moments.shape[1] <= moments.shape[0] else moments.T


def _is_identity(rows: Reals) -> bool:
    n, d = rows.shape
    return n == d and np.count_nonzero(rows.near) == n and bool((rows - np.eye(n)).is_zero.all())


def spectral_holds(form: Form, proof: Proof, arithmetic: Arithmetic) -> bool:
    """U² I − GᵀG ⪰ 0 for G = HᵀS, or with G Gᵀ if that is smaller."""
    moments, upper = moments_of(form), arithmetic.real(proof.upper)
    return not form.diagonals and arithmetic.dominates(upper * upper, moments.T @ moments)
