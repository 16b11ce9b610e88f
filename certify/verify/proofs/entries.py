"""Bounds on the polar of a factorization of two factors, the spectral norm of a sparse matrix."""

from __future__ import annotations

import math

from certify.verify.forms.entry_form import EntryForm, gram, near_matrix
from certify.verify.proofs.power_test import is_accepted
from certify.verify.proofs.proof import Proof
from certify.verify.reals import Arithmetic
from certify.verify.rejection import require


def entry_polar_upper(form: EntryForm, proof: Proof, arithmetic: Arithmetic) -> float:
    """What a proof shows the polar to be at most: its U; +inf if nothing.

    Raises:
        Rejection: the proof is of a kind that does not serve the form.
    """
    served = ("zero", "spectral", "randomized") if len(form.shape) == 2 else ("zero",)
    require(proof.kind in served, "proof-kind", f"'{proof.kind}' proves nothing of entries")
    if proof.kind == "zero":
        holds = bool(form.values.is_zero.all())
    elif proof.kind == "randomized":
        holds = is_accepted(near_matrix(form), form.values, proof)
    else:
        upper = arithmetic.real(proof.upper)
        holds = arithmetic.dominates(upper * upper, gram(form, arithmetic.real))
    return proof.upper if proof.upper >= 0 and holds else math.inf
