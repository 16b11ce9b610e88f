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
from certify.bounds.singular_pairs import DENSE_DIMENSION, leading_pairs

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
    return leading_pairs(_moments(task.branch.table.rows, task.scores), task.seed)


def spectral_bound(task: PolarTask) -> PolarBound:
    """Both ends of the polar, the upper one proven by Cholesky, or to be tested at random where that is too dear."""
    rows, scores = task.branch.table.rows, task.scores
    moments, error = _moments(rows, scores), _moments_error(rows, scores)
    found = leading_pairs(moments, task.seed)
    if min(moments.shape) <= DENSE_DIMENSION:
        return _recomputed(found, largest_singular_value_upper(moments, error))
    if task.failure_probability == 0 or cholesky_fits(moments.shape, RIGOROUS_SHARE * task.seconds_left):
        return _recomputed(found, gram_norm_upper(moments, found.value, error))
    return tested_at_random(found, task.target, error)


def tested_at_random(found: PolarEstimate, target: float, error: float) -> PolarBound:
    """What a randomized test is to show: room above the largest singular value as the target allows."""
    edge = (found.value + error) * (1 + GUESS_MARGIN)
    room = USUAL_ROOM if target <= edge else ROOM_SHARE * (target / edge - 1)
    upper = edge * (1 + min(max(room, SMALLEST_ROOM), LARGEST_ROOM)) + 2 * error
    return PolarBound(found.value, found.witness, upper, "randomized", PowerTest(edge))


def _recomputed(found: PolarEstimate, upper: float) -> PolarBound:
    return PolarBound(found.value, found.witness, upper, "spectral", Recomputed("spectral"))


def cholesky_fits(shape: tuple[int, ...], seconds: float) -> bool:
    """Whether proof and check are estimated to take at most this time, and to fit the memory that is free."""
    small, large = min(shape), max(shape)
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
