"""The polar of a bilinear form: Ω°(Q) = σ_max(G) with G = HᵀS, exact.

<Q, φ> = uᵀ G v with θ = |u||v| (Recht, Fazel and Parrilo 2010; Haeffele and Vidal 2017). Singular values are guessed
by a decomposition, for large matrices by Krylov iteration, and then proven by Cholesky. Where that does not fit the
time or the memory, the guess goes to a randomized test instead (`certify.verify.power_test`).
"""

from __future__ import annotations

import os
import time

import torch
from torch import Tensor

from certify.bounds.eigenvalue import gram_norm_upper, largest_singular_value_upper
from certify.bounds.polar import PolarBound, PolarEstimate, PolarTask
from certify.bounds.proof import PowerTest, Recomputed
from certify.bounds.rounding import norm_upper, product_error

# Singular pairs returned as witnesses; growth may add several at once.
WITNESSES = 8
# Up to this smaller dimension the full decomposition is fast.
DENSE_DIMENSION = 400
# For larger ones: vectors in a block, steps before a restart, and when the largest value counts as found.
BLOCK, BLOCK_STEPS, LARGEST_RESTARTS = 16, 8, 30
VALUE_ACCURACY = 1e-10
# Share of the time left that proof and check together may be estimated to take.
RIGOROUS_SHARE = 0.5
# Gram products that proof and check cost together, with what the checker spends on radii.
GRAM_PRODUCTS = 4
# Matrices as large as the Gram matrix that proof and check hold at a time.
MATRICES_HELD = 8
# Relative room above the largest singular value in which the randomized test looks: as much as the verdict allows.
SMALLEST_ROOM, USUAL_ROOM, LARGEST_ROOM = 1e-5, 2e-4, 5e-3
ROOM_SHARE = 0.8
# The guess counts as this much larger, relative.
GUESS_MARGIN = 1e-9


def spectral_search(task: PolarTask) -> PolarEstimate:
    """Leading singular pairs."""
    return _leading_pairs(_moments(task.branch.view.rows, task.scores), task.seed)


def spectral_bound(task: PolarTask) -> PolarBound:
    """Both ends of the polar, the upper one proven by Cholesky, or to be tested at random where that is too dear."""
    rows, scores = task.branch.view.rows, task.scores
    moments, error = _moments(rows, scores), _moments_error(rows, scores)
    found = _leading_pairs(moments, task.seed)
    if min(moments.shape) <= DENSE_DIMENSION:
        return _recomputed(found, largest_singular_value_upper(moments, error))
    if task.failure_probability == 0 or cholesky_fits(moments, RIGOROUS_SHARE * task.seconds_left):
        return _recomputed(found, gram_norm_upper(moments, found.value, error))
    edge = (found.value + error) * (1 + GUESS_MARGIN)
    room = USUAL_ROOM if task.target <= edge else ROOM_SHARE * (task.target / edge - 1)
    upper = edge * (1 + min(max(room, SMALLEST_ROOM), LARGEST_ROOM)) + 2 * error
    return PolarBound(found.value, found.witness, upper, "randomized", PowerTest(edge))


def _recomputed(found: PolarEstimate, upper: float) -> PolarBound:
    return PolarBound(found.value, found.witness, upper, "spectral", Recomputed("spectral"))


def cholesky_fits(moments: Tensor, seconds: float) -> bool:
    """Whether proof and check are estimated to take at most this time, and to fit the memory that is free."""
    small, large = min(moments.shape), max(moments.shape)
    if 8 * MATRICES_HELD * small**2 > os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_AVPHYS_PAGES"):
        return False
    return cholesky_seconds_estimate(small, large) <= seconds


def cholesky_seconds_estimate(small: int, large: int) -> float:
    """Time of proof and check, from one small product: their Gram products, which the checker encloses, and factors."""
    trial = torch.ones(512, 512, dtype=torch.float64)
    trial = trial @ trial  # the first product sets up threads
    started = time.perf_counter()
    _ = trial @ trial
    per_operation = (time.perf_counter() - started) / (2 * 512**3)
    return 2 * (GRAM_PRODUCTS * small**2 * large + small**3 / 3) * per_operation


def _moments(rows: Tensor, scores: Tensor) -> Tensor:
    """G = HᵀS, (h, m); H = I in matrix completion."""
    return scores if _is_identity(rows) else rows.T @ scores


def _moments_error(rows: Tensor, scores: Tensor) -> float:
    """Bound on the Frobenius norm of the rounding error of G."""
    return 0.0 if _is_identity(rows) else norm_upper(product_error(rows.T, scores))


def _is_identity(rows: Tensor) -> bool:
    n, d = rows.shape
    return n == d and bool((rows.diagonal() == 1).all()) and int(rows.count_nonzero()) == n


def _leading_pairs(moments: Tensor, seed: int) -> PolarEstimate:
    """Largest singular value and the leading pairs, best first."""
    if min(moments.shape) > DENSE_DIMENSION:
        left, values, right = _by_block_krylov(moments, seed)
    else:
        left, values, right = torch.linalg.svd(moments, full_matrices=False)
    witness = (left.T[:WITNESSES].contiguous(), right[:WITNESSES].contiguous())
    return PolarEstimate(float(values[0]) if values.numel() else 0.0, witness)


def _by_block_krylov(moments: Tensor, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Leading singular triplets by restarted block Krylov iteration, which finds multiple values together."""
    generator = torch.Generator().manual_seed(seed)
    start = torch.randn(moments.shape[1], BLOCK, generator=generator, dtype=torch.float64).to(moments)
    largest = 0.0
    for _ in range(LARGEST_RESTARTS):
        basis = torch.linalg.qr(start).Q
        newest = basis
        for _ in range(BLOCK_STEPS - 1):
            newest = moments.T @ (moments @ newest)
            for _ in range(2):
                newest = newest - basis @ (basis.T @ newest)
            newest = torch.linalg.qr(newest).Q
            basis = torch.cat([basis, newest], 1)
        left, values, right = torch.linalg.svd(moments @ basis, full_matrices=False)
        start = basis @ right[:BLOCK].T
        previous, largest = largest, float(values[0])
        if not largest > previous * (1 + VALUE_ACCURACY):
            break
    return left, values, (basis @ right[:WITNESSES].T).T
