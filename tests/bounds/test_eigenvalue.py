"""The Cholesky test never accepts an indefinite matrix; eigenvalue bounds are above and close."""

from fractions import Fraction

import numpy as np
import pytest
import torch

from certify.bounds.eigenvalue import is_positive_semidefinite, largest_eigenvalue_upper, largest_singular_value_upper


def exactly_negative_somewhere(matrix):
    """Whether an integer matrix is indefinite, by exact elimination."""
    rows = [[Fraction(int(x)) for x in row] for row in matrix]
    n = len(rows)
    for k in range(n):
        if rows[k][k] < 0:
            return True
        if rows[k][k] == 0:
            if any(rows[i][k] != 0 for i in range(k + 1, n)):
                return True
            continue
        for i in range(k + 1, n):
            factor = rows[i][k] / rows[k][k]
            for j in range(k, n):
                rows[i][j] -= factor * rows[k][j]
    return False


def test_no_exactly_indefinite_integer_matrix_is_accepted():
    rng = np.random.default_rng(0)
    indefinite = 0
    for _ in range(3000):
        n = int(rng.integers(2, 6))
        root = rng.integers(-(10**7), 10**7, size=(n, n - 1)).astype(object)
        matrix = root @ root.T  # singular: one step from indefinite
        matrix[0, 0] -= int(rng.integers(0, 3))
        if not exactly_negative_somewhere(matrix):
            continue
        indefinite += 1
        assert not is_positive_semidefinite(torch.from_numpy(matrix.astype(np.float64)), error=float(n))
    assert indefinite > 1000


@pytest.mark.parametrize("n", [1, 5, 40])
def test_the_bound_is_above_the_largest_eigenvalue_and_close(n):
    generator = torch.Generator().manual_seed(n)
    for scale in (1e-12, 1.0, 1e12):
        matrix = torch.randn(n, n, generator=generator, dtype=torch.float64) * scale
        matrix = matrix + matrix.T
        upper = largest_eigenvalue_upper(matrix)
        top = float(torch.linalg.eigvalsh(matrix)[-1])
        assert top <= upper <= top + 1e-9 * scale * n


def test_error_is_added_to_the_bound():
    matrix = torch.diag(torch.tensor([1.0, 2.0], dtype=torch.float64))
    assert largest_eigenvalue_upper(matrix, 0.5) >= 2.5


def test_singular_value_bound_of_a_rectangle():
    matrix = torch.randn(7, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    top = float(torch.linalg.matrix_norm(matrix, 2))
    assert top <= largest_singular_value_upper(matrix) <= top * (1 + 1e-10)


def test_nothing_is_proven_of_matrices_that_are_not_finite():
    assert largest_eigenvalue_upper(torch.full((2, 2), float("nan"), dtype=torch.float64)) == float("inf")
    assert not is_positive_semidefinite(torch.full((2, 2), float("nan"), dtype=torch.float64))
    assert not is_positive_semidefinite(torch.eye(2, dtype=torch.float64), float("nan"))
