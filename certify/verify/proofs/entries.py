"""Bounds on the polar of a factorization: the spectral norm of a sparse matrix, or of an unfolding of a tensor.

With a = x ⊗ y and b = z or z ⊗ w, of length 1, aᵀG b ≤ U where [[U I − N, G], [Gᵀ, U I − N']] ⪰ 0 and aᵀN a = bᵀN'b =
0, as they are for N = Σ c_pq (E_ik − E_ki) ⊗ (E_jh − E_hj) over pairs p = (i < k) and q = (j < h).
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from certify.verify.forms.entry_form import EntryForm, gram, near_matrix, unfolded
from certify.verify.proofs.power_test import is_accepted
from certify.verify.proofs.proof import Proof
from certify.verify.reals import Arithmetic, Reals
from certify.verify.rejection import require

MATRICES = ("zero", "spectral", "randomized")
TENSORS = ("zero", "unfolding", "symmetric-unfolding")


def entry_polar_upper(form: EntryForm, proof: Proof, arithmetic: Arithmetic) -> float:
    """What a proof shows the polar to be at most: its U; +inf if nothing.

    Raises:
        Rejection: the proof is of a kind that does not serve the form.
    """
    served = MATRICES if len(form.shape) == 2 else TENSORS
    require(
        proof.kind in served, "proof-kind", f"'{proof.kind}' proves nothing of entries along {len(form.shape)} axes"
    )
    match proof.kind:
        case "zero":
            holds = bool(form.values.is_zero.all()) and form.added is None
        case "randomized":
            holds = is_accepted(near_matrix(form), form.values, proof)
        case "symmetric-unfolding":
            holds = arithmetic.proves_semidefinite(_bordered(form, proof, arithmetic))
        case _:
            matrix = form if proof.kind == "spectral" else unfolded(form, proof.arrays["sides"] == 1)
            upper = arithmetic.real(proof.upper)
            holds = arithmetic.dominates(upper * upper, gram(matrix, arithmetic.real))
    return proof.upper if proof.upper >= 0 and holds else math.inf


def _bordered(form: EntryForm, proof: Proof, arithmetic: Arithmetic) -> Reals:
    """The matrix above, its lower triangle, each of whose entries is one of few numbers or the negative of one."""
    real, sides = arithmetic.real, proof.arrays["sides"] == 1
    matrix = unfolded(form, sides)
    (rows, columns), (high, wide) = matrix.places.T, matrix.shape
    held = [real(np.array([0.0, proof.upper])), form.values]
    table = np.zeros((high + wide, high + wide), np.int64)
    table[high + columns, rows] = 2 + np.arange(len(rows))
    start = 2 + len(rows)
    for name, flags, place in (("row", sides, 0), ("column", ~sides, high)):
        values = proof.arrays.get(f"{name}_multipliers")
        if values is None:
            continue
        first, second = (n for n, own in zip(form.shape, flags, strict=True) if own)
        held += [-real(values.ravel()), real(values.ravel())]
        table[place:, place:][: first * second, : first * second] = _vanishing(first, second, start, values.size)
        start += 2 * values.size
    np.fill_diagonal(table, 1)
    found: Reals = held[0].joined(held, 0)[table]
    return found


def _vanishing(first: int, second: int, start: int, count: int) -> npt.NDArray[np.int64]:
    """Where the entries of −N stand among held numbers: −c from `start` on, and c after them; 0 for none."""
    (i, k), (j, h) = np.triu_indices(first, 1), np.triu_indices(second, 1)
    negative = start + np.arange(count).reshape(len(i), len(j))
    table = np.zeros((first, second, first, second), np.int64)
    down, up = (i[:, None], k[:, None]), (k[:, None], i[:, None])
    for (one, other), straight, crossed in ((down, negative, negative + count), (up, negative + count, negative)):
        table[one, j, other, h] = straight
        table[one, h, other, j] = crossed
    return table.reshape(first * second, first * second)
