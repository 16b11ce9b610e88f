"""The polar of tied weights: max uᵀG u over |u| ≤ 1, G = −HᵀS and a column of zeros for a bias, S the scores of A."""

from __future__ import annotations

import numpy as np

from certify.verify.forms.form import Form
from certify.verify.proofs.proof import Proof
from certify.verify.reals import Arithmetic


def eigenvalue_holds(form: Form, proof: Proof, arithmetic: Arithmetic) -> bool:
    """U I − (G + Gᵀ)/2 ⪰ 0; only this sign, since uᵀG u takes no other."""
    real, moments = arithmetic.real, form.rows.T @ form.scores
    rows, columns = moments.shape
    square = moments.joined([moments, real(np.zeros((rows, rows - columns)))], 1)
    return arithmetic.dominates(real(proof.upper), (square + square.T) * -0.5)
