"""Products of norms: |σ(h·u)| ≤ L |h| for |u| ≤ 1, L the steepest slope of σ; for squares |h|²."""

from __future__ import annotations

import math

from certify.verify.forms.form import Form
from certify.verify.proofs.proof import Proof
from certify.verify.reals import Arithmetic, Reals
from certify.verify.statement.activations import Square


def norm_products_hold(form: Form, proof: Proof, arithmetic: Arithmetic) -> bool:  # noqa: ARG001
    """L Σ |S_i| |h_i| ≤ U, or L |S|_F |H|_F ≤ U; with a free column L Σ |S_i| (|h_i| + max |h|) ≤ U."""
    if bool(total_length(form).high <= proof.upper):
        return True
    frobenius = (form.scores * form.scores).sum().square_root() * (form.rows * form.rows).sum().square_root()
    return not (form.free or form.diagonals) and bool(_steepened(form, frobenius).high <= proof.upper)


def total_length(form: Form) -> Reals:
    """L Σ |S_i| |h_i|, with a free column L Σ |S_i| (|h_i| + max |h|); for squares Σ |S_i| |h_i|².

    A diagonal D adds L √(Σ D_i |h_i|²).
    """
    lengths = form.rows.row_norms()
    if form.free:
        lengths = lengths + float(lengths.high.max())
    powers = lengths * lengths if isinstance(form.activation, Square) else lengths
    total: Reals = (form.scores.row_norms() * powers).sum()
    for weights in form.diagonals or ():
        total = total + (weights * lengths * lengths).sum().square_root()
    return _steepened(form, total)


def _steepened(form: Form, total: Reals) -> Reals:
    if not (form.left.is_l2 and form.right.is_l2):
        sizes = (form.left, form.rows), (form.right, form.scores)
        total = math.prod((side.radius(matrix.shape[1], total.of) for side, matrix in sizes), start=total)
    steepest = 1.0 if isinstance(form.activation, Square) else form.activation.steepest
    return total if steepest == 1.0 else total * steepest
