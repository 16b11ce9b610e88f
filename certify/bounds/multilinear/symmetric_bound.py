"""The semidefinite bound of a tensor at a dual point A, from multipliers.

The polar is at most the largest eigenvalue of [[N, G], [Gᵀ, N']], G the unfolding of −A with two axes of rows and one
or two of columns: with k = (x ⊗ y, z), |x| = |y| = |z| = 1, it is at least half of kᵀ [·] k = 2 (x ⊗ y)ᵀ G z. Exact
for the best multipliers where one of the axes of rows has extent 2, with one axis of columns (Calderón 1973:
nonnegative biquadratic forms are sums of squares).
"""

from __future__ import annotations

from torch import Tensor

from certify.bounds.eigenvalue import largest_eigenvalue_upper
from certify.bounds.multilinear.entry_form import entry_form
from certify.bounds.multilinear.pair_multipliers import vanishing
from certify.bounds.multilinear.unfoldings import Sides, blocks, sides_shape, unfolded
from certify.bounds.polar import PolarTask
from certify.bounds.proof import SymmetricUnfolding
from certify.bounds.rounding import gamma, norm_upper


def symmetric_upper(task: PolarTask, dual: Tensor, proof: SymmetricUnfolding) -> float:
    """Proven U for A (N, 1) and multipliers."""
    entries = entry_form(task).entries
    matrix = across(task, dual, proof.sides)
    for (end, pair), values in zip(blocks(entries.shape, proof.sides), proof.multipliers, strict=True):
        matrix[end, end] = vanishing(values, pair)
    return largest_eigenvalue_upper(matrix, _value_error(task, dual))


def across(task: PolarTask, dual: Tensor, sides: Sides) -> Tensor:
    """[[0, G], [Gᵀ, 0]]."""
    form = entry_form(task)
    high, wide = sides_shape(form.entries.shape, sides)
    places = unfolded(form.entries, sides).indices
    matrix = dual.new_zeros(high + wide, high + wide)
    values = form.values(task.branch.scores(dual))
    matrix[places[:, 0], places[:, 1] + high] = matrix[places[:, 1] + high, places[:, 0]] = values
    return matrix


def _value_error(task: PolarTask, dual: Tensor) -> float:
    """Bound on the Frobenius norm of the rounding error of the matrix; coefficients of entries round thrice."""
    if entry_form(task).entries.coefficients is None:
        return 0.0
    return 2 * norm_upper(entry_form(task).values(task.branch.scores(dual))) * gamma(8)
