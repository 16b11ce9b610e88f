"""The form that the polar of a branch takes: max |Sᵀ σ(H u)|₂ over |u| ≤ 1, free of layers.

Without an activation, |u| and |v| in uᵀHᵀS v may be other norms, with cones.

H has a last column √(s₀/s_b) where a bias is penalized. A free column, a constant 1 whose weight is outside the norm,
is not among the rows; then the columns of S sum to zero. Under the identity such a column adds nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import final

import numpy as np

from certify.verify.reals import Array, Real, Reals
from certify.verify.statement.activations import Activation
from certify.verify.statement.entries import EntryTerm
from certify.verify.statement.entry_penalties import EntryPenalty
from certify.verify.statement.penalties import FactorNorms
from certify.verify.statement.problem import Branch
from certify.verify.statement.side_norms import EUCLIDEAN, SideNorm


@final
@dataclass(frozen=True, slots=True)
class Form:
    """Rows H (N, h), scores S (N, m), σ, whether a constant 1 outside the norm stands beside the rows, and norms.

    With diagonals D_b ≥ 0, (N,) each, what is maximized is |Sᵀσ(Hu)| + Σ_b |√D_b ∘ σ(Hu)|. Where weights are tied, v is
    u, without the entry of a bias, and there is no σ.
    """

    rows: Reals
    scores: Reals
    activation: Activation
    free: bool
    left: SideNorm = EUCLIDEAN
    right: SideNorm = EUCLIDEAN
    diagonals: tuple[Reals, ...] | None = None
    tied: bool = False


def form_of(branch: Branch, inputs: Array, dual: Reals, real: Real) -> Form:
    """The form of the polar of a branch at −A, from X (n, d) and A (n, c)."""
    neuron = branch.neuron
    if isinstance(neuron, EntryTerm) or isinstance(branch.penalty, EntryPenalty):
        raise TypeError("entries have no rows")
    rows = real(neuron.rows(inputs))
    if branch.bias == "penalized":
        rows = with_column(rows, branch.penalty.constant(real))
    rows = neuron.gated(rows, inputs, real)
    scores, penalty = neuron.readout.scores(dual, inputs), branch.penalty
    sides = (penalty.left, penalty.right) if isinstance(penalty, FactorNorms) else ()
    form = Form(neuron.averages(rows), scores, neuron.activation, branch.free_column, *sides)
    return replace(form, tied=True) if neuron.tied else form


def with_column(rows: Reals, value: Reals) -> Reals:
    """The rows, (N, h), with a last column that is constant."""
    return rows.joined([rows, value.reshape(1, 1)[np.zeros(rows.shape[0], np.int64)]], 1)
