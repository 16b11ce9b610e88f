"""The best unfolding: Ω°(Q) ≤ σ_max of the tensor as a matrix, whichever axes make its rows."""

from __future__ import annotations

from certify.bounds.bilinear.spectral import RIGOROUS_SHARE, cholesky_fits
from certify.bounds.multilinear.entry_form import entry_form, is_tensor
from certify.bounds.multilinear.sparse_matrix import SparseMatrix
from certify.bounds.multilinear.sparse_spectral import matrix_norm_upper, matrix_pairs
from certify.bounds.multilinear.tensor_search import tensor_search
from certify.bounds.multilinear.unfoldings import Sides, sides_shape, unfolded, unfoldings, without_empty
from certify.bounds.polar import PolarBound, PolarTask
from certify.bounds.proof import Unfolding
from certify.bounds.singular_pairs import DENSE_DIMENSION

# Rows of the largest Gram matrix that certificates take.
LARGEST_SIDE = 2**14


def unfolding_applies(task: PolarTask) -> bool:
    """Whether one of them can be proven in time."""
    return is_tensor(task) and bool(_timely(task))


def unfolding_bound(task: PolarTask) -> PolarBound:
    """Both ends of the polar; the upper one by the unfolding with the smallest norm."""
    found = ((sides, _matrices(task, sides)) for sides in _timely(task) or _smallest(task))
    matrices = [(sides, matrix) for sides, alike in found for matrix in alike]
    guesses = [(matrix_pairs(matrix, task.seed).value, sides, matrix) for sides, matrix in matrices]
    guess, sides, matrix = min(guesses, key=lambda found: found[0])
    best = tensor_search(task)
    return PolarBound(best.value, best.witness, matrix_norm_upper(matrix, guess), "unfolding", Unfolding(sides))


def _timely(task: PolarTask) -> list[Sides]:
    """Those whose proof takes little time, or no more than is left; none where it is out meanwhile."""
    entries, share = entry_form(task).entries, RIGOROUS_SHARE * task.seconds_left
    sizes = {sides: min(sides_shape(entries.shape, sides)) for sides in unfoldings(entries.order)}
    largest = DENSE_DIMENSION
    for side in sorted(set(sizes.values())):
        if DENSE_DIMENSION < side <= LARGEST_SIDE and cholesky_fits((side, len(entries.indices)), share):
            largest = side
    return [sides for sides, side in sizes.items() if side <= largest]


def _smallest(task: PolarTask) -> list[Sides]:
    shape = entry_form(task).entries.shape
    return [min(unfoldings(len(shape)), key=lambda sides: min(sides_shape(shape, sides)))]


def _matrices(task: PolarTask, sides: Sides) -> list[SparseMatrix]:
    form = entry_form(task)
    places = without_empty(unfolded(form.entries, sides))
    return [SparseMatrix.of(places, values) for values in form.rounded(form.values(task.scores))]
