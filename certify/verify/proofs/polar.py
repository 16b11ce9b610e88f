"""Bounds on the polar of a branch, P(H, S) = max |Sᵀ σ(H u)|₂ over |u| ≤ 1; every rule shows P ≤ U."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from certify.verify.forms.form import Form, form_of
from certify.verify.forms.peeling import deep_length, peeled_forms
from certify.verify.proofs.factorizations import semidefinite_holds, vertices_hold
from certify.verify.proofs.majorants import scalar_majorant_holds, vector_majorant_holds
from certify.verify.proofs.norm_products import norm_products_hold, total_length
from certify.verify.proofs.power_test import power_test_holds
from certify.verify.proofs.products import products_hold
from certify.verify.proofs.proof import Proof
from certify.verify.proofs.quadratic_form import quadratic_form_holds
from certify.verify.proofs.sign_tree import sign_tree_holds
from certify.verify.proofs.sorting import sorting_holds
from certify.verify.proofs.spectral import spectral_holds
from certify.verify.proofs.tied import eigenvalue_holds
from certify.verify.reals import Arithmetic, Array, Real, Reals
from certify.verify.rejection import require
from certify.verify.statement.activations import IDENTITY, Square
from certify.verify.statement.entries import EntryTerm
from certify.verify.statement.problem import Branch

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
# After the step `peel`.
PEELED: Mapping[str, Rule] = {"norm-products": norm_products_hold}
PEELED_BILINEAR: Mapping[str, Rule] = {**PEELED, "spectral": spectral_holds}


def branch_polar_upper(branch: Branch, inputs: Array, dual: Reals, proof: Proof, arithmetic: Arithmetic) -> float:
    """What a proof shows the polar of a branch of rows to be at most at −A; +inf if nothing.

    Raises:
        Rejection: the proof is malformed or of a kind that does not serve the branch.
    """
    if isinstance(branch.neuron, EntryTerm) or not branch.neuron.hops:
        return polar_upper(form_of(branch, inputs, dual, arithmetic.real), proof, arithmetic)
    if bool(dual.is_zero.all()):
        return max(proof.upper, 0.0)
    require(proof.kind != "zero", "proof-kind", "'zero' needs A = 0")
    ends = peeled_forms(branch, inputs, dual, proof, arithmetic.real)
    shown = [polar_upper(form, own, arithmetic) for form, own in ends]
    # NaN, of numbers out of range, shows nothing, and would hide behind another end.
    return max(shown) if all(upper < math.inf for upper in shown) else math.inf


def branch_length(branch: Branch, inputs: Array, dual: Reals, real: Real) -> Reals:
    """A bound on the polar of a branch of rows at −A by norms alone."""
    deep = not isinstance(branch.neuron, EntryTerm) and branch.neuron.hops
    return deep_length(branch, inputs, dual, real) if deep else total_length(form_of(branch, inputs, dual, real))


def polar_upper(form: Form, proof: Proof, arithmetic: Arithmetic) -> float:
    """What a proof shows the polar to be at most: its U, or another bound; +inf if nothing.

    Raises:
        Rejection: the proof is malformed or of a kind that does not serve the form.
    """
    name, rules = _rules(form)
    if proof.kind == "cone-tree" and (rules is ROWS or form.diagonals is not None):
        return arithmetic.cone_tree_upper(form, proof)
    require(proof.kind in rules, "proof-kind", f"'{proof.kind}' proves nothing of {name}")
    return proof.upper if proof.upper >= 0 and rules[proof.kind](form, proof, arithmetic) else math.inf


def _rules(form: Form) -> tuple[str, Mapping[str, Rule]]:
    if form.tied:
        return "tied weights", TIED
    if isinstance(form.activation, Square):
        return "squares", SQUARES
    if form.diagonals is not None:
        return "what weights are peeled off", PEELED_BILINEAR if form.activation == IDENTITY else PEELED
    if form.activation != IDENTITY:
        return "kinks", ROWS
    round_ = form.left.is_l2 and form.right.is_l2
    return ("subnetworks without an activation", BILINEAR) if round_ else ("norms that are not round", OTHER_NORMS)
