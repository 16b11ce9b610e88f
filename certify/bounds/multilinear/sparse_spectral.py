"""The polar of a factorization: Ω°(Q) = σ_max(G), G the sparse matrix of Q on the observed entries, exact.

Where the other entries count, Q is of low rank there, and G = S + LᵀR. Under other norms an upper bound is that of G
times what the balls reach further than round ones, or that of G₊ where both factors are nonnegative. The largest
singular value is guessed from products with G alone and proven by Cholesky of t² I − GᵀG, whose side is the smaller
extent of G; where that does not fit, it goes to a randomized test (`certify.verify.power_test`).
"""

from __future__ import annotations

from dataclasses import replace

import torch
from scipy.sparse import csr_matrix
from torch import Tensor

from certify.bounds.bilinear.alternating import alternated
from certify.bounds.bilinear.spectral import RIGOROUS_SHARE, cholesky_fits, tested_at_random
from certify.bounds.eigenvalue import FIRST_MARGIN, is_positive_semidefinite, largest_singular_value_upper
from certify.bounds.multilinear.entry_form import entry_form, is_matrix
from certify.bounds.multilinear.sparse_matrix import SparseMatrix
from certify.bounds.polar import PolarBound, PolarEstimate, PolarTask
from certify.bounds.proof import Recomputed
from certify.bounds.rounding import SLACK, gamma, norm_upper
from certify.bounds.singular_pairs import DENSE_DIMENSION, krylov_pairs, leading_pairs

# Entries of a matrix that is as well made dense.
DENSE_ENTRIES = 2**22
# Side of the largest Gram matrix that the checker makes.
LARGEST_SIDE = 2**14
# Accuracy of the largest singular value of a sparse one; what is proven of it lies so much higher at first.
ACCURACY, FIRST_ROOM = 1e-8, 1e-6


def matrix_applies(task: PolarTask) -> bool:
    """Whether the entries are those of a matrix, and no norm l1 makes the polar exact."""
    return is_matrix(task) and not any(side.is_l1 for side in task.branch.sides)


def sparse_search(task: PolarTask) -> PolarEstimate:
    """Leading singular pairs, from which other norms go on in turns."""
    form = entry_form(task)
    matrix = SparseMatrix.of(form.entries, form.values(task.scores), form.added(task.scores))
    pairs = matrix_pairs(matrix, task.seed, task.starts[1])
    return pairs if form.is_round else alternated(task, matrix, pairs.witness[1])


def sparse_spectral(task: PolarTask) -> PolarBound:
    """Both ends of the polar, the upper one proven by Cholesky, or to be tested at random where that is too dear."""
    form = entry_form(task)
    added = form.added(task.scores)
    matrices = [SparseMatrix.of(form.entries, values, added) for values in form.rounded(form.values(task.scores))]
    tested = not (_is_small(matrices[0]) or task.failure_probability == 0 or _is_timely(matrices[0], task))
    matrix, pairs = least_norm(matrices[:1] if tested else matrices, task.seed, task.starts[1])
    found = pairs if form.is_round else sparse_search(task)
    if tested:
        bound = tested_at_random(pairs, task.target, _value_error(matrix))
        return replace(bound, lower=found.value, witness=found.witness)
    room = min(task.target / max(pairs.value, 1e-300) - 1, FIRST_ROOM)
    upper = matrix_norm_upper(matrix, pairs.value, room)
    return PolarBound(found.value, found.witness, upper, "spectral", Recomputed("spectral"))


def least_norm(
    matrices: list[SparseMatrix], seed: int, known: Tensor | None = None
) -> tuple[SparseMatrix, PolarEstimate]:
    """Of some matrices the one with the least norm, and its leading singular pairs."""
    found = [(matrix, matrix_pairs(matrix, seed, known)) for matrix in matrices]
    return min(found, key=lambda pair: pair[1].value)


def matrix_norm_upper(matrix: SparseMatrix, guess: float, room: float = FIRST_ROOM) -> float:
    """Proven t ≥ σ_max(G) from a guess, whatever it takes, at first with relative room above it.

    Values have been multiplied by coefficients.
    """
    error = _value_error(matrix)
    if _is_small(matrix):
        return largest_singular_value_upper(matrix.dense(), error)
    return _gram_upper(matrix, guess, error, max(room, FIRST_MARGIN * min(matrix.shape)))


def matrix_pairs(matrix: SparseMatrix, seed: int, known: Tensor | None = None) -> PolarEstimate:
    """Leading singular pairs; right vectors (s, n) that are known may help."""
    if _is_small(matrix):
        return leading_pairs(matrix.dense(), seed)
    return krylov_pairs(matrix, seed, known, ACCURACY)


def _is_small(matrix: SparseMatrix) -> bool:
    return min(matrix.shape) <= DENSE_DIMENSION and matrix.shape[0] * matrix.shape[1] <= DENSE_ENTRIES


def _is_timely(matrix: SparseMatrix, task: PolarTask) -> bool:
    fits = min(matrix.shape) <= LARGEST_SIDE
    return fits and cholesky_fits(matrix.shape, RIGOROUS_SHARE * task.seconds_left)


def _values(matrix: SparseMatrix) -> Tensor:
    return matrix.by_rows.values()


def _size(matrix: SparseMatrix) -> float:
    """Bound on the Frobenius norm, of the sparse part and of factors each by itself."""
    own = norm_upper(_values(matrix))
    if matrix.added is None:
        return own
    left, right = map(norm_upper, matrix.added)
    return (own + left * right) * (1 + gamma(4))


def _value_error(matrix: SparseMatrix) -> float:
    """Bound on the Frobenius norm of the rounding error of the values, by coefficients of entries and radii."""
    terms = 0 if matrix.added is None else len(matrix.added[0])
    return _size(matrix) * gamma(16 + 4 * terms)


def _gram_upper(matrix: SparseMatrix, guess: float, error: float, margin: float) -> float:
    """Proven t ≥ σ_max(G + E) for |E|_F ≤ error; errors of GᵀG are at most γ |G|_F² in Frobenius norm."""
    matrix = matrix if matrix.shape[1] <= matrix.shape[0] else matrix.T
    size, k = _size(matrix), matrix.shape[1]
    terms = matrix.shape[0] + (0 if matrix.added is None else 2 * len(matrix.added[0]) + 8)
    gram = _gram(matrix)
    while margin < 1:
        t = guess * (1 + margin)
        rounding = gamma(terms + 2) * size * size + k**0.5 * gamma(3) * (t * t + size * size)
        lowered = -gram
        lowered.diagonal().add_(t * t)
        if is_positive_semidefinite(lowered, rounding * SLACK):
            return (t + error) * (1 + 2.0**-50)
        margin *= 4
    return (size + error) * (1 + 2.0**-50)


def _gram(matrix: SparseMatrix) -> Tensor:
    rows = matrix.by_rows.cpu()
    sparse = csr_matrix((rows.values().numpy(), rows.col_indices().numpy(), rows.crow_indices().numpy()), matrix.shape)
    own = torch.from_numpy((sparse.T @ sparse).toarray()).to(matrix.by_rows.device)
    if matrix.added is None:
        return own
    left, right = matrix.added
    mixed = (matrix.by_columns @ left.T + right.T @ (left @ left.T) / 2) @ right
    return own + mixed + mixed.T
