"""The form that the polar of a factorization takes: max Σ_e S_e Π_k u_k[i_ek] over |u_k| ≤ 1, e over the samples."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np

from certify.verify.reals import Array, Real, Reals
from certify.verify.statement.entries import EntryTerm, Places
from certify.verify.statement.problem import Branch

# Entries of a block of rows that is made dense.
BLOCK = 2**24


@final
@dataclass(frozen=True, slots=True)
class EntryForm:
    """Places (N, K), each of them once, the values S (N,) of a tensor there, and its shape; elsewhere it is 0."""

    places: Places
    values: Reals
    shape: tuple[int, ...]


def entry_form(branch: Branch, term: EntryTerm, inputs: Array, dual: Reals, real: Real) -> EntryForm:
    """The form of the polar of a branch of terms at −A, from X (n, K) and A (n, 1)."""
    counted = getattr(branch.penalty, "counted", False)
    coefficients = term.coefficients(inputs, real, counted=bool(counted))
    values = -dual[:, 0]
    return EntryForm(term.places(inputs), values if coefficients is None else values * coefficients, term.shape)


def gram(form: EntryForm, real: Real) -> Reals:
    """GᵀG for the matrix G of a form of two axes, or G Gᵀ if that is smaller, summed over blocks of rows."""
    (rows, columns), (high, wide) = form.places.T, form.shape
    if high < wide:
        (rows, columns), (high, wide) = (columns, rows), (wide, high)
    order = np.argsort(rows, kind="stable")
    rows, columns = rows[order], columns[order]
    blank = len(order)
    values = form.values.joined([form.values, real(np.zeros(1))], 0)
    total = real(np.zeros((wide, wide)))
    size = max(BLOCK // wide, 1)
    for start in range(0, high, size):
        begin, end = np.searchsorted(rows, [start, start + size])
        held = np.unique(rows[begin:end], return_inverse=True)[1]
        table = np.full((int(held.max(initial=-1)) + 1, wide), blank)
        table[held, columns[begin:end]] = order[begin:end]
        total = total + values[table].gram()
    return total
