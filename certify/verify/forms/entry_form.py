"""The form that the polar of a factorization takes: max Σ_e S_e Π_k u_k[i_ek] over N_k(u_k) ≤ 1 and cones.

e runs over the samples. Where unobserved entries of a matrix count, Σ_k l_k r_kᵀ is added to S at all places.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import final

import numpy as np

from certify.verify.forms.sparse_floats import SparseFloats
from certify.verify.reals import Array, Mask, Real, Reals
from certify.verify.statement.entries import EntryTerm, Places
from certify.verify.statement.entry_penalties import EntryFactorNorms
from certify.verify.statement.problem import Branch
from certify.verify.statement.side_norms import EUCLIDEAN, SideNorm

# Entries of a block of rows that is made dense.
BLOCK = 2**24


@final
@dataclass(frozen=True, slots=True)
class EntryForm:
    """Places (N, K), each of them once, the values S (N,) of a tensor there, 0 elsewhere, its shape, and norms N_k.

    No norms stand for Euclidean ones. Where there are factors `added`, (k, m) and (k, n), their product is added to all
    of that.
    """

    places: Places
    values: Reals
    shape: tuple[int, ...]
    norms: tuple[SideNorm, ...] = ()
    added: tuple[Array, Array] | None = None

    @property
    def sides(self) -> tuple[SideNorm, ...]:
        """N_k."""
        return self.norms or (EUCLIDEAN,) * len(self.shape)


def entry_form(  # noqa: PLR0913
    branch: Branch, term: EntryTerm, inputs: Array, dual: Reals, real: Real, unobserved: list[Array] | None = None
) -> EntryForm:
    """The form of the polar of a branch of terms at −A, from X (n, K) and A (n, 1).

    Factors of A at the entries that are no samples are given where these count; then nothing multiplies entries.
    """
    counted = getattr(branch.penalty, "counted", False)
    coefficients = term.coefficients(inputs, real, counted=bool(counted))
    values = -dual[:, 0]
    if unobserved is not None:
        left, right = unobserved
        own = values + term.outputs(unobserved, inputs, real)[:, 0]
        return EntryForm(term.places(inputs), own, term.shape, added=(-left, right))
    # What is exactly zero stays so.
    scaled = values if coefficients is None else (values * coefficients).only(~values.is_zero)
    norms = branch.penalty.sides if isinstance(branch.penalty, EntryFactorNorms) else ()
    return EntryForm(term.places(inputs), scaled, term.shape, norms)


def rounded(form: EntryForm) -> EntryForm:
    """A form of Euclidean norms whose polar is no smaller: |u_k|₂ ≤ ρ_k where N_k(u_k) ≤ 1, the tensor times Π ρ_k."""
    values = form.values
    for side, extent in zip(form.sides, form.shape, strict=True):
        values = values if side.is_l2 else values * side.radius(extent, values.of)
    return EntryForm(form.places, values, form.shape, added=form.added)


def matrix_of(form: EntryForm) -> Reals:
    """All entries of the matrix of a form of two axes."""
    table = np.full(form.shape, len(form.places))
    table[tuple(form.places.T)] = np.arange(len(form.places))
    found: Reals = form.values.joined([form.values, form.values.of(np.zeros(1))], 0)[table]
    return found


def unfolded(form: EntryForm, rows: Mask) -> EntryForm:
    """The matrix whose rows are places along some axes, and whose columns are places along the others."""
    sides = []
    for side in (rows, ~rows):
        shape = tuple(int(n) for n in np.array(form.shape)[side])
        sides.append((np.ravel_multi_index(tuple(form.places[:, side].T), shape), math.prod(shape)))
    (first, high), (second, wide) = sides
    return EntryForm(np.stack([first, second], 1), form.values, (high, wide))


def gram(form: EntryForm, real: Real) -> Reals:
    """GᵀG for the matrix G of a form of two axes, or G Gᵀ if that is smaller, summed over blocks of rows."""
    form = _tall(form)
    (rows, columns), (high, wide) = form.places.T, form.shape
    order = np.argsort(rows, kind="stable")
    held, columns, blank = rows[order], columns[order], len(order)
    if form.added is None:
        # Rows without entries add nothing.
        held = np.unique(held, return_inverse=True)[1]
        high = int(held[-1]) + 1
    values = form.values.joined([form.values, real(np.zeros(1))], 0)
    total = real(np.zeros((wide, wide)))
    size = max(BLOCK // wide, 1)
    for start in range(0, high, size):
        stop = min(start + size, high)
        begin, end = np.searchsorted(held, [start, stop])
        table = np.full((stop - start, wide), blank)
        table[held[begin:end] - start, columns[begin:end]] = order[begin:end]
        block = values[table]
        if form.added is not None:
            left, right = form.added
            block = block + real(left[:, start:stop].T) @ right
        total = total + block.gram()
    return total


def near_matrix(form: EntryForm) -> SparseFloats:
    """Floats near the matrix G of a form of two axes, or near its transpose if that has fewer columns."""
    form = _tall(form)
    rows, columns = form.places.T
    return SparseFloats(rows, columns, form.values.near, (form.shape[0], form.shape[1]), form.added)


def _tall(form: EntryForm) -> EntryForm:
    """The matrix or its transpose, which has no more columns than rows."""
    if form.shape[1] <= form.shape[0]:
        return form
    added = None if form.added is None else form.added[::-1]
    return EntryForm(form.places[:, ::-1], form.values, form.shape[::-1], added=added)
