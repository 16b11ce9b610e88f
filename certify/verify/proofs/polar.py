"""Bounds on the polar Ω°(−A) = max |(Σ_i A_ij σ(h_i u))_j| over directions u with penalized norm at most 1.

H is X, with a constant last column 1 where the hidden bias is in the subnetworks. Every rule shows Ω°(−A) ≤ U.
"""

from __future__ import annotations

import math

import numpy as np

from certify.verify.statement.certificate import KINDS, LARGEST_DERIVED, Certificate
from certify.verify.proofs.majorants import scalar_majorant_holds, vector_majorant_holds
from certify.verify.proofs.randomized import power_test_holds
from certify.verify.reals import Arithmetic, Array, Reals
from certify.verify.rejection import require
from certify.verify.proofs.sorting import sorting_holds


def polar_upper(certificate: Certificate, arithmetic: Arithmetic) -> float:
    """What the proof shows the polar to be at most: the U of the certificate, or another bound; +inf if nothing.

    Raises:
        Rejection: the proof is malformed or of a kind that does not serve the family.
    """
    kind, upper = certificate.kind, certificate.polar_upper
    require(certificate.family in KINDS[kind], "proof-kind", f"'{kind}' proves nothing of '{certificate.family}'")
    if kind == "cone-tree":
        return arithmetic.cone_tree_upper(certificate)
    rules = {
        "zero": _zero,
        "vacuous": _vacuous,
        "spectral": _spectral,
        "randomized": _randomized,
        "quadratic-form": _quadratic_form,
        "norm-products": _norm_products,
        "sorting": sorting_holds,
        "scalar-majorant": scalar_majorant_holds,
        "vector-majorant": vector_majorant_holds,
    }
    return upper if upper >= 0 and rules[kind](certificate, arithmetic) else math.inf


def _zero(certificate: Certificate, _: Arithmetic) -> bool:
    return not certificate.arrays["A"].any()


def _vacuous(_: Certificate, __: Arithmetic) -> bool:
    """There are no subnetworks, see `duality.require_supported`; the polar is 0."""
    return True


def hidden_inputs(certificate: Certificate) -> Array:
    """H: X, with a column of ones where the bias is penalized."""
    inputs: Array = certificate.arrays["X"]
    if certificate.hidden_bias != "penalized":
        return inputs
    return np.concatenate([inputs, np.ones((len(inputs), 1))], 1)


def _moments(certificate: Certificate, arithmetic: Arithmetic) -> Reals:
    """G = HᵀA, or its transpose if that has fewer columns; A itself where H = I, as in matrix completion."""
    inputs, dual = hidden_inputs(certificate), certificate.arrays["A"]
    n, d = inputs.shape
    identity = n == d and np.count_nonzero(inputs) == n and bool((np.diagonal(inputs) == 1).all())
    moments = arithmetic.real(dual) if identity else arithmetic.real(inputs.T) @ dual
    return moments if moments.shape[1] <= moments.shape[0] else moments.T


def _spectral(certificate: Certificate, arithmetic: Arithmetic) -> bool:
    """U² I − GᵀG ⪰ 0 for G = HᵀA, or with G Gᵀ if that is smaller."""
    moments = _moments(certificate, arithmetic)
    upper = arithmetic.real(certificate.polar_upper)
    return arithmetic.dominates(upper * upper, moments.T @ moments)


def _randomized(certificate: Certificate, arithmetic: Arithmetic) -> bool:
    """A test of σ_max(G) ≤ U with fresh random starts."""
    return power_test_holds(certificate, _moments(certificate, arithmetic))


def _quadratic_form(certificate: Certificate, arithmetic: Arithmetic) -> bool:
    """M_j = Hᵀ diag(A_j) H: U I ± M ⪰ 0 for one output; U² ≥ λ_max(Σ M_j²) or λ_max((<M_j, M_k>)_jk) for several."""
    real, inputs, dual = arithmetic.real, hidden_inputs(certificate), certificate.arrays["A"]
    upper = real(certificate.polar_upper)
    forms = [real(inputs.T) @ (real(column[:, None]) * inputs) for column in dual.T]
    if len(forms) == 1:
        return arithmetic.dominates(upper, forms[0]) and arithmetic.dominates(upper, -forms[0])
    total = forms[0].T @ forms[0]
    for form in forms[1:]:
        total = total + form.T @ form
    if arithmetic.dominates(upper * upper, total):
        return True
    flat = upper.joined([form.reshape(1, -1) for form in forms], 0)
    return len(forms) ** 2 <= LARGEST_DERIVED and arithmetic.dominates(upper * upper, flat @ flat.T)


def _norm_products(certificate: Certificate, arithmetic: Arithmetic) -> bool:
    """Σ |A_i| |h_i| ≤ U, or |A|_F |H|_F ≤ U; with a free bias Σ |A_i| (|x_i| + max |x|) ≤ U."""
    inputs, dual = arithmetic.real(hidden_inputs(certificate)), arithmetic.real(certificate.arrays["A"])
    total = _total_length(certificate, dual, inputs)
    if bool(total.high <= certificate.polar_upper):
        return True
    frobenius = (dual * dual).sum().square_root() * (inputs * inputs).sum().square_root()
    return not certificate.free_hidden and bool(frobenius.high <= certificate.polar_upper)


def _total_length(certificate: Certificate, dual: Reals, inputs: Reals) -> Reals:
    """Σ |A_i| |h_i|, with a free bias Σ |A_i| (|x_i| + max |x|); for squares Σ |A_i| |h_i|²."""
    lengths = inputs.row_norms()
    if certificate.free_hidden:
        lengths = lengths + float(lengths.high.max())
    return (dual.row_norms() * (lengths * lengths if certificate.family == "quadratic" else lengths)).sum()


def changed_polar(certificate: Certificate, change: Reals) -> Reals:
    """Upper bound on Ω°(−A') ≤ U + Ω°(A − A'), from the claim U and a small change A' − A.

    |σ(h·u)| ≤ |h| or |h|² for |u| ≤ 1; where a hidden bias is free, columns of A' − A must sum to zero.
    """
    upper = change.of(certificate.polar_upper)
    if bool(change.is_zero.all()):
        return upper
    return upper + _total_length(certificate, change, change.of(hidden_inputs(certificate)))
