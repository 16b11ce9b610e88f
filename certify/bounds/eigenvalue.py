"""Proven upper bounds on the largest eigenvalue of a symmetric matrix.

t is an upper bound if floating-point Cholesky of t I − M − c I runs to completion with the shift c of Rump 2006,
"Verification of positive definiteness": c ≥ γ_{n+3} tr/(1 − γ_{n+3}) + an underflow term, plus the Frobenius norm
of the entrywise error of M. Eigenvalue routines only guess t.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from certify.bounds.rounding import SLACK, gamma, norm_upper

# First relative distance between the guess and the tested bound; doubled until Cholesky succeeds.
FIRST_MARGIN = 2.0**-46
SMALLEST_SUBNORMAL = 5e-324


def is_positive_semidefinite(matrix: Tensor, error: float = 0.0) -> bool:
    """Whether the symmetric matrix (n, n) is proven positive semidefinite, for every error of Frobenius norm ≤ error.

    False means not proven. Only the lower triangle is read.
    """
    n = matrix.shape[0]
    diagonal = matrix.diagonal()
    if n == 0:
        return True
    if not bool(torch.isfinite(matrix).all()) or not bool((diagonal >= 0).all()):
        return False
    trace, largest = math.fsum(diagonal.tolist()), float(diagonal.max())
    rump = gamma(n + 3) * trace / (1 - gamma(n + 3)) + 4 * SMALLEST_SUBNORMAL * n * (2 * (n + 1) + largest)
    shift = (rump + error) * SLACK * SLACK
    lowered = diagonal - shift
    lowered = torch.nextafter(lowered, torch.full_like(lowered, -math.inf))
    factor, info = torch.linalg.cholesky_ex(torch.tril(matrix, -1) + torch.diag(lowered))
    finite = bool(torch.isfinite(factor).all()) and bool((factor.diagonal() > 0).all())
    return int(info) == 0 and finite


def largest_eigenvalue_upper(matrix: Tensor, error: float = 0.0) -> float:
    """Proven t ≥ λ_max(M + E) for every symmetric E with |E|_F ≤ error; +inf if M is not finite.

    Args:
        matrix: M, symmetric (n, n) float64.
        error: bound on the Frobenius norm of the rounding error of M.
    """
    if matrix.shape[0] == 0:
        return 0.0
    if not bool(torch.isfinite(matrix).all()) or not math.isfinite(error):
        return math.inf
    guess = float(torch.linalg.eigvalsh(matrix)[-1])
    size = float(matrix.abs().max()) * matrix.shape[0]
    margin = FIRST_MARGIN
    while margin < 1:
        t = guess + margin * size + 2 * error
        # Forming t I − M rounds each diagonal entry once.
        rounding = math.sqrt(matrix.shape[0]) * gamma(2) * (abs(t) + size)
        identity = torch.eye(matrix.shape[0], dtype=matrix.dtype, device=matrix.device)
        if is_positive_semidefinite(t * identity - matrix, error + rounding):
            return t
        margin *= 2
    return math.nextafter(size + 2 * error, math.inf) * SLACK


def largest_singular_value_upper(matrix: Tensor, error: float = 0.0) -> float:
    """Proven t ≥ σ_max(G + E) for |E|_F ≤ error, as the top eigenvalue of [[0, G], [Gᵀ, 0]]; G is (m, k)."""
    m, k = matrix.shape
    if m == 0 or k == 0:
        return error
    block = matrix.new_zeros(m + k, m + k)
    block[:m, m:] = matrix
    block[m:, :m] = matrix.T
    return largest_eigenvalue_upper(block, error * math.sqrt(2) * SLACK)


def gram_norm_upper(matrix: Tensor, guess: float, error: float = 0.0) -> float:
    """Proven t ≥ σ_max(G + E) for |E|_F ≤ error from a guess of σ_max(G), as t² I − GᵀG ⪰ 0; G is (m, k).

    Forming GᵀG halves the number of digits, in exchange for a matrix of the smaller dimension of G only.
    """
    matrix = matrix if matrix.shape[1] <= matrix.shape[0] else matrix.T
    m, k = matrix.shape
    size = norm_upper(matrix)
    gram = matrix.T @ matrix
    identity = torch.eye(k, dtype=matrix.dtype, device=matrix.device)
    margin = FIRST_MARGIN * k
    while math.isfinite(size) and margin < 1:
        t = guess * (1 + margin)
        rounding = gamma(m + 2) * size * size + math.sqrt(k) * gamma(3) * (t * t + size * size)
        if is_positive_semidefinite(t * t * identity - gram, rounding * SLACK):
            return (t + error) * (1 + 2.0**-50)
        margin *= 4
    return (size + error) * (1 + 2.0**-50)
