"""Bounds on the polar of a branch, P(H, S) = max |Sᵀ σ(H u)|₂ over |u| ≤ 1; every rule shows P ≤ U."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from certify.verify.forms.form import Form
from certify.verify.proofs.factorizations import semidefinite_holds, vertices_hold
from certify.verify.proofs.majorants import scalar_majorant_holds, vector_majorant_holds
from certify.verify.proofs.norm_products import norm_products_hold
from certify.verify.proofs.power_test import power_test_holds
from certify.verify.proofs.products import products_hold
from certify.verify.proofs.proof import Proof
from certify.verify.proofs.quadratic_form import quadratic_form_holds
from certify.verify.proofs.sign_tree import sign_tree_holds
from certify.verify.proofs.sorting import sorting_holds
from certify.verify.proofs.spectral import spectral_holds
from certify.verify.proofs.tied import eigenvalue_holds
from certify.verify.reals import Arithmetic
from certify.verify.rejection import require
from certify.verify.statement.activations import IDENTITY, Square

Rule = Callable[[Form, Proof, Arithmetic], bool]


def _zero_holds(form: Form, proof: Proof, arithmetic: Arithmetic) -> bool:  # noqa: ARG001
    """S = 0."""
    return bool(form.scores.is_zero.all())


# Which rules serve which form; a cone tree, for rows alone, shows a bound of its own.
BILINEAR: Mapping[str, Rule] = {
    "zero": _zero_holds,
    "spectral": spectral_holds,
    "randomized": power_test_holds,
    "vertices": vertices_hold,
    "semidefinite": semidefinite_holds,
}
OTHER_NORMS = {kind: rule for kind, rule in BILINEAR.items() if rule not in (spectral_holds, power_test_holds)}
TIED: Mapping[str, Rule] = {"zero": _zero_holds, "eigenvalue": eigenvalue_holds}
SQUARES: Mapping[str, Rule] = {"zero": _zero_holds, "quadratic-form": quadratic_form_holds}
ROWS: Mapping[str, Rule] = {
    "zero": _zero_holds,
    "norm-products": norm_products_hold,
    "sorting": sorting_holds,
    "sign-tree": sign_tree_holds,
    "scalar-majorant": scalar_majorant_holds,
    "vector-majorant": vector_majorant_holds,
    "doubly-nonnegative": products_hold,
}


def polar_upper(form: Form, proof: Proof, arithmetic: Arithmetic) -> float:
    """What a proof shows the polar to be at most: its U, or another bound; +inf if nothing.

    Raises:
        Rejection: the proof is malformed or of a kind that does not serve the form.
    """
    name, rules = _rules(form)
    if proof.kind == "cone-tree" and rules is ROWS:
        return arithmetic.cone_tree_upper(form, proof)
    require(proof.kind in rules, "proof-kind", f"'{proof.kind}' proves nothing of {name}")
    return proof.upper if proof.upper >= 0 and rules[proof.kind](form, proof, arithmetic) else math.inf


def _rules(form: Form) -> tuple[str, Mapping[str, Rule]]:
    if form.tied:
        return "tied weights", TIED
    if isinstance(form.activation, Square):
        return "squares", SQUARES
    if form.activation != IDENTITY:
        return "kinks", ROWS
    round_ = form.left.is_l2 and form.right.is_l2
    return ("subnetworks without an activation", BILINEAR) if round_ else ("norms that are not round", OTHER_NORMS)
