"""The polar of squares: max |(uᵀM_j u)_j| over |u| ≤ 1 with M_j = Hᵀ diag(S_j) H."""

from __future__ import annotations

from certify.verify.forms.form import Form
from certify.verify.proofs.proof import Proof
from certify.verify.reals import Arithmetic
from certify.verify.statement.tables import LARGEST_DERIVED


def quadratic_form_holds(form: Form, proof: Proof, arithmetic: Arithmetic) -> bool:
    """U I ± M ⪰ 0 for one output; U² ≥ λ_max(Σ M_j²) or λ_max((<M_j, M_k>)_jk) for several."""
    rows, scores, upper = form.rows, form.scores, arithmetic.real(proof.upper)
    forms = [rows.T @ (scores[:, j][:, None] * rows) for j in range(scores.shape[1])]
    if len(forms) == 1:
        return arithmetic.dominates(upper, forms[0]) and arithmetic.dominates(upper, -forms[0])
    total = sum((matrix.T @ matrix for matrix in forms[1:]), forms[0].T @ forms[0])
    if arithmetic.dominates(upper * upper, total):
        return True
    flat = upper.joined([matrix.reshape(1, -1) for matrix in forms], 0)
    return len(forms) ** 2 <= LARGEST_DERIVED and arithmetic.dominates(upper * upper, flat @ flat.T)
