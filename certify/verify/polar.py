"""Bounds on the polar Ω°(−A) = max |(Σ_i A_ij σ(h_i u))_j| over directions u with penalized norm at most 1.

H is X, with a constant last column 1 where the hidden bias is in the subnetworks. Every rule shows Ω°(−A) ≤ U.
"""

from __future__ import annotations

import math

import numpy as np

from certify.verify.certificate import KINDS, LARGEST_DERIVED, Certificate
from certify.verify.cones import cone_tree_upper
from certify.verify.enclosure import Array, Enclosure, maximum, row_norms, square_root
from certify.verify.majorants import scalar_majorant_holds, vector_majorant_holds
from certify.verify.rejection import require
from certify.verify.semidefinite import dominates


def polar_upper(certificate: Certificate) -> float:
    """What the proof shows the polar to be at most: the U of the certificate, or another bound; +inf if nothing.

    Raises:
        Rejection: the proof is malformed or of a kind that does not serve the family.
    """
    kind, upper = certificate.kind, certificate.polar_upper
    require(certificate.family in KINDS[kind], "proof-kind", f"'{kind}' proves nothing of '{certificate.family}'")
    if kind == "cone-tree":
        return cone_tree_upper(certificate)
    rules = {
        "zero": _zero,
        "spectral": _spectral,
        "quadratic-form": _quadratic_form,
        "norm-products": _norm_products,
        "scalar-majorant": scalar_majorant_holds,
        "vector-majorant": vector_majorant_holds,
    }
    return upper if upper >= 0 and rules[kind](certificate) else math.inf


def _zero(certificate: Certificate) -> bool:
    return not certificate.arrays["A"].any()


def hidden_inputs(certificate: Certificate) -> Array:
    """H: X, with a column of ones where the bias is penalized."""
    inputs: Array = certificate.arrays["X"]
    if certificate.hidden_bias != "penalized":
        return inputs
    return np.concatenate([inputs, np.ones((len(inputs), 1))], 1)


def _spectral(certificate: Certificate) -> bool:
    """U² I − GᵀG ⪰ 0 for G = HᵀA, or with G Gᵀ if that is smaller."""
    moments = Enclosure(hidden_inputs(certificate).T) @ certificate.arrays["A"]
    moments = moments if moments.mid.shape[1] <= moments.mid.shape[0] else moments.T
    return dominates(Enclosure(certificate.polar_upper) * certificate.polar_upper, moments.T @ moments)


def _quadratic_form(certificate: Certificate) -> bool:
    """M_j = Hᵀ diag(A_j) H: U I ± M ⪰ 0 for one output; U² ≥ λ_max(Σ M_j²) or λ_max((<M_j, M_k>)_jk) for several."""
    inputs, dual = hidden_inputs(certificate), certificate.arrays["A"]
    upper = Enclosure(certificate.polar_upper)
    forms = [Enclosure(inputs.T) @ (Enclosure(column[:, None]) * inputs) for column in dual.T]
    if len(forms) == 1:
        return dominates(upper, forms[0]) and dominates(upper, -forms[0])
    total = forms[0].T @ forms[0]
    for form in forms[1:]:
        total = total + form.T @ form
    if dominates(upper * upper, total):
        return True
    flat = Enclosure(np.stack([f.mid.ravel() for f in forms]), np.stack([f.rad.ravel() for f in forms]))
    return len(forms) ** 2 <= LARGEST_DERIVED and dominates(upper * upper, flat @ flat.T)


def _norm_products(certificate: Certificate) -> bool:
    """Σ |A_i| |h_i| ≤ U, or |A|_F |H|_F ≤ U; with a free bias Σ |A_i| (|x_i| + max |x|) ≤ U."""
    inputs, dual = hidden_inputs(certificate), Enclosure(certificate.arrays["A"])
    lengths = row_norms(Enclosure(inputs))
    if certificate.free_hidden:
        lengths = maximum(lengths, 0.0) + float(lengths.high.max())
    total = (row_norms(dual) * lengths).sum()
    if bool(total.high <= certificate.polar_upper):
        return True
    frobenius = square_root((dual * dual).sum()) * square_root((Enclosure(inputs) * inputs).sum())
    return not certificate.free_hidden and bool(frobenius.high <= certificate.polar_upper)
