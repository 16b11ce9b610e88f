"""The form that the polar of a factorization takes: max Σ_e S_e Π_k u_k[i_ek] over N_k(u_k) ≤ 1 and cones.

e runs over the samples.
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

    No norms stand for Euclidean ones.
    """

    places: Places
    values: Reals
    shape: tuple[int, ...]
    norms: tuple[SideNorm, ...] = ()

    @property
    def sides(self) -> tuple[SideNorm, ...]:
        """N_k."""
        return self.norms or (EUCLIDEAN,) * len(self.shape)


def entry_form(branch: Branch, term: EntryTerm, inputs: Array, dual: Reals, real: Real) -> EntryForm:
    """The form of the polar of a branch of terms at −A, from X (n, K) and A (n, 1)."""
    counted = getattr(branch.penalty, "counted", False)
    coefficients = term.coefficients(inputs, real, counted=bool(counted))
    values = -dual[:, 0]
    # What is exactly zero stays so.
    scaled = values if coefficients is None else (values * coefficients).only(~values.is_zero)
    norms = branch.penalty.sides if isinstance(branch.penalty, EntryFactorNorms) else ()
    return EntryForm(term.places(inputs), scaled, term.shape, norms)


def rounded(form: EntryForm) -> EntryForm:
    """A form of Euclidean norms whose polar is no smaller: |u_k|₂ ≤ ρ_k where N_k(u_k) ≤ 1, the tensor times Π ρ_k."""
    values = form.values
    for side, extent in zip(form.sides, form.shape, strict=True):
        values = values if side.is_l2 else values * side.radius(extent, values.of)
    return EntryForm(form.places, values, form.shape)


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
    rows, columns, wide = _tall(form)
    order = np.argsort(rows, kind="stable")
    # Rows without entries add nothing.
    held, columns = np.unique(rows[order], return_inverse=True)[1], columns[order]
    blank = len(order)
    values = form.values.joined([form.values, real(np.zeros(1))], 0)
    total = real(np.zeros((wide, wide)))
    size = max(BLOCK // wide, 1)
    for start in range(0, int(held[-1]) + 1, size):
        begin, end = np.searchsorted(held, [start, start + size])
        table = np.full((int(held[end - 1]) - start + 1, wide), blank)
        table[held[begin:end] - start, columns[begin:end]] = order[begin:end]
        total = total + values[table].gram()
    return total


def near_matrix(form: EntryForm) -> SparseFloats:
    """Floats near the matrix G of a form of two axes, or near its transpose if that has fewer columns."""
    rows, columns, wide = _tall(form)
    return SparseFloats(rows, columns, form.values.near, (max(form.shape), wide))


def _tall(form: EntryForm) -> tuple[Places, Places, int]:
    """Rows and columns of all entries, and the number of columns, of the matrix or its transpose."""
    (rows, columns), (high, wide) = form.places.T, form.shape
    return (rows, columns, wide) if wide <= high else (columns, rows, high)
