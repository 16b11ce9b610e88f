"""The polar of a bilinear form: Ω°(Q) = σ_max(G) with G = HᵀS, exact.

<Q, φ> = uᵀ G v with θ = |u||v| (Recht, Fazel and Parrilo 2010; Haeffele and Vidal 2017). Singular values are guessed
by a decomposition, for large matrices by Krylov iteration, and then proven by Cholesky. Where that does not fit the
time or the memory, the guess goes to a randomized test instead (`certify.verify.power_test`).
"""

from __future__ import annotations

import os
import time
from dataclasses import replace

import torch

from certify.bounds.bilinear.alternating import alternating_search
from certify.bounds.bilinear.bilinear_form import bilinear_form
from certify.bounds.bilinear.moments import moments_error, moments_of
from certify.bounds.eigenvalue import gram_norm_upper, largest_singular_value_upper
from certify.bounds.polar import PolarBound, PolarEstimate, PolarTask
from certify.bounds.proof import PowerTest, Recomputed
from certify.bounds.rounding import norm_upper
from certify.bounds.singular_pairs import DENSE_DIMENSION, leading_pairs
from certify.problem import EUCLIDEAN

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


def spectral_applies(task: PolarTask) -> bool:
    """Whether both norms are Euclidean; a cone makes the polar smaller."""
    form = bilinear_form(task)
    return form.left.is_l2 and form.right.is_l2


def bilinear_search(task: PolarTask) -> PolarEstimate:
    """Witnesses for any norms: singular pairs where both are Euclidean, without cones."""
    form = bilinear_form(task)
    return spectral_search(task) if form.left == form.right == EUCLIDEAN else alternating_search(task)


def spectral_search(task: PolarTask) -> PolarEstimate:
    """Leading singular pairs."""
    return leading_pairs(moments_of(task.branch.table.rows, task.scores), task.seed)


def spectral_bound(task: PolarTask) -> PolarBound:
    """Both ends of the polar, the upper one proven by Cholesky, or to be tested at random where that is too dear."""
    form, rows, scores = bilinear_form(task), task.branch.table.rows, task.scores
    moments, error = moments_of(rows, scores), norm_upper(moments_error(rows, scores))
    found = leading_pairs(moments, task.seed)
    if not (form.left == form.right == EUCLIDEAN):
        best = alternating_search(task)
        return replace(
            _recomputed(found, gram_norm_upper(moments, found.value, error)), lower=best.value, witness=best.witness
        )
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
