"""Bounds on the polar of a factorization: the spectral norm of a sparse matrix, or of an unfolding of a tensor.

With a = x ⊗ y and b = z or z ⊗ w, of length 1, aᵀG b ≤ U where [[U I − N, G], [Gᵀ, U I − N']] ⪰ 0 and aᵀN a = bᵀN'b =
0, as they are for N = Σ c_pq (E_ik − E_ki) ⊗ (E_jh − E_hj) over pairs p = (i < k) and q = (j < h).
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from certify.verify.forms.entry_form import EntryForm, gram, matrix_of, near_matrix, rounded, unfolded
from certify.verify.proofs.factorizations import forms_hold
from certify.verify.proofs.power_test import is_accepted
from certify.verify.proofs.proof import Proof
from certify.verify.reals import Arithmetic, Reals
from certify.verify.rejection import require

MATRICES = ("zero", "spectral", "randomized", "vertices", "semidefinite")
# Of a matrix to which a product of factors is added.
ADDED = ("zero", "spectral", "randomized")
TENSORS = ("zero", "unfolding", "symmetric-unfolding", "vertices")


def entry_polar_upper(form: EntryForm, proof: Proof, arithmetic: Arithmetic) -> float:
    """What a proof shows the polar to be at most: its U; +inf if nothing.

    Raises:
        Rejection: the proof is of a kind that does not serve the form.
    """
    served: tuple[str, ...] = MATRICES if len(form.shape) == 2 else TENSORS
    served = served if form.added is None else ADDED
    require(
        proof.kind in served, "proof-kind", f"'{proof.kind}' proves nothing of entries along {len(form.shape)} axes"
    )
    given, form = form, rounded(form)
    cones = all(side.nonnegative for side in given.sides)
    match proof.kind:
        case "zero":
            holds = bool(given.values.is_zero.all()) and given.added is None
        case "vertices":
            holds = vertices_hold(given, proof.upper, arithmetic)
        case "semidefinite":
            holds = forms_hold(matrix_of(given), given.sides, proof, arithmetic)
        case "randomized":
            holds = is_accepted(near_matrix(form), form.values, proof)
        case "symmetric-unfolding":
            holds = arithmetic.proves_semidefinite(_bordered(form, proof, arithmetic))
        case _:
            matrix = form if proof.kind == "spectral" else unfolded(form, proof.arrays["sides"] == 1)
            holds = norm_within(matrix, proof.upper, arithmetic, cones=cones)
    return proof.upper if proof.upper >= 0 and holds else math.inf


def norm_within(form: EntryForm, upper: float, arithmetic: Arithmetic, *, cones: bool) -> bool:
    """U² I − GᵀG ⪰ 0 for the matrix G of a form of two axes, or for G₊ where all factors are nonnegative."""
    level = arithmetic.real(upper)
    if arithmetic.dominates(level * level, gram(form, arithmetic.real)):
        return True
    positive = EntryForm(form.places, form.values.maximum(0.0), form.shape)
    return cones and arithmetic.dominates(level * level, gram(positive, arithmetic.real))


def vertices_hold(form: EntryForm, upper: float, arithmetic: Arithmetic) -> bool:
    """What T leaves along the axes whose norm is not l1, at each vertex of the others, with both signs.

    Of one axis, the last if all are l1, N°(±y) ≤ U; of two a matrix of norm at most U.
    """
    axes = range(len(form.shape))
    left = [axis for axis in axes if not form.sides[axis].is_l1] or [axes[-1]]
    fixed = [axis for axis in axes if axis not in left]
    require(bool(fixed) and len(left) <= 2, "vertices-norms", "needs the norm l1 of all factors but one or two")
    shape = tuple(form.shape[axis] for axis in fixed)
    group = np.unique(np.ravel_multi_index(tuple(form.places[:, fixed].T), shape), return_inverse=True)[1]
    both = [form.values] if all(form.sides[axis].nonnegative for axis in fixed) else [form.values, -form.values]
    level = arithmetic.real(upper)
    if len(left) == 1:
        return all(form.sides[left[0]].dual_within_groups(values, group, level) for values in both)
    sides, shape = tuple(form.sides[axis] for axis in left), tuple(form.shape[axis] for axis in left)
    cones = all(side.nonnegative for side in sides)
    order, starts = np.argsort(group, kind="stable"), np.flatnonzero(np.diff(np.sort(group))) + 1
    for held in np.split(order, starts):
        for values in both:
            slice_ = rounded(EntryForm(form.places[held][:, left], values[held], shape, sides))
            short = (level * level - (slice_.values * slice_.values).sum()).low >= 0
            if not short and not norm_within(slice_, upper, arithmetic, cones=cones):
                return False
    return True


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
