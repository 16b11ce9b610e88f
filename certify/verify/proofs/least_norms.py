"""Least w with w·v_k ≥ val_k for all generators of a cone, so that val_k at the generators bounds |w| on the cone.

w = Σ a_k v_k comes from a guess at max a·val − |Σ a_k v_k|²/2 over a ≥ 0: coordinate ascent (Hildreth 1957), then
principal pivoting (Murty 1974) for cones that need it. `_feasible_norms` scales any guess until it is proven.
"""

from __future__ import annotations

import numpy as np

from certify.verify.enclosure import ROUNDOFF, TINY, gamma
from certify.verify.reals import Array, Mask

# Sweeps of coordinate ascent, and exchanges after it, toward the least w; exchanges are in blocks at first.
SWEEPS = 3
PIVOTS = 100
BLOCK_PIVOTS = 8
# Keeps the linear systems of guesses regular; guesses are proven afterwards.
RIDGE = 1e-15
AIM_MARGIN = 2.0**-44


def least_norms(directions: Array, values: Array, threshold: float) -> tuple[Array, Array]:
    """For each cone |w| of some w with w·v_k ≥ val_k, and a guess at a ≥ 0 such that w is a multiple of Σ a_k v_k.

    Args:
        directions: v, (B, k, coordinate), |v|₁ ≤ 1; w is 0 where all are.
        values: val, (B, k).
        threshold: a norm at which the search may end.

    Returns:
        Proven norms (B,), +inf where none is, and guesses (B, k).
    """
    gram = directions @ directions.transpose(0, 2, 1)
    # Aimed at a little more, so that rounding leaves w feasible for small val too.
    aims = values + AIM_MARGIN * np.abs(values).max(1, keepdims=True)
    guess = _ascent(gram, aims)
    bounds, best = _feasible_norms(directions, values, guess), guess
    left = np.flatnonzero(~(bounds <= threshold))
    live: Mask = np.any(directions[left], axis=2)
    active: Mask = np.greater(guess[left], 0) & live
    for step in range(PIVOTS):
        if not len(left):
            break
        guess = _solved(gram[left], aims[left], active)
        found = _feasible_norms(directions[left], values[left], np.maximum(guess, 0.0))
        better = found < bounds[left]
        best[left[better]] = np.maximum(guess[better], 0.0)
        bounds[left] = np.minimum(bounds[left], found)
        wanting = live & ~active & ((gram[left] @ guess[:, :, None])[:, :, 0] < values[left])
        wrong: Mask = (active & ~(guess >= 0)) | wanting
        if step >= BLOCK_PIVOTS:  # one exchange at a time, the last index first, cannot cycle
            wrong &= np.cumsum(wrong[:, ::-1], axis=1)[:, ::-1] == 1
        again = ~(bounds[left] <= threshold) & wrong.any(1)
        left, live, active = left[again], live[again], (active ^ wrong)[again]
    return bounds, best


def _ascent(gram: Array, values: Array) -> Array:
    by_pair = np.ascontiguousarray(gram.transpose(1, 2, 0))
    a, slack = np.zeros_like(values.T), values.T.copy()
    for _ in range(SWEEPS):
        for k in range(len(by_pair)):
            step = np.maximum(slack[k] / np.maximum(by_pair[k, k], TINY), -a[k])
            step[by_pair[k, k] == 0] = 0.0
            a[k] += step
            slack -= by_pair[k] * step
    return np.ascontiguousarray(np.maximum(a, 0.0).T)


def _solved(gram: Array, values: Array, active: Mask) -> Array:
    """A with w·v_k = val_k for active k and a_k = 0 for the others."""
    system = gram * (active[:, :, None] & active[:, None, :])
    diagonal = np.einsum("bkk->bk", system)
    diagonal += np.where(active, RIDGE * diagonal + TINY, 1.0)
    try:
        return np.asarray(np.linalg.solve(system, np.where(active, values, 0.0)[:, :, None])[:, :, 0], np.float64)
    except np.linalg.LinAlgError:
        return np.zeros_like(values)


def _feasible_norms(directions: Array, values: Array, coefficients: Array) -> Array:
    """|t w| with t least such that t w·v_k ≥ val_k for all k despite rounding; +inf if there is none."""
    k = values.shape[1]
    w = (coefficients[:, None] @ directions)[:, 0]
    w = w / np.maximum(np.abs(w).max(1, initial=0.0), TINY)[:, None]
    # |v|₁ ≤ 1 and |w|_∞ ≤ 1: a product errs by at most γ_k.
    reach = (directions @ w[:, :, None])[:, :, 0] - 2 * gamma(k + 4)
    reach = np.where(directions.any(2), reach, 0.0)
    needs = values > 0
    with np.errstate(all="ignore"):
        scale = np.where(needs, values / reach, 0.0).max(1) * (1 + 8 * ROUNDOFF)
        slacks = (reach >= 0) | (scale[:, None] * reach * (1 + 8 * ROUNDOFF) >= values)
        norms = scale * np.linalg.norm(w, axis=1) * (1 + gamma(2 * k + 20))
        proven = np.where(needs, reach > 0, slacks).all(1) & (norms < np.inf)
    return np.where((values <= 0).all(1), 0.0, np.where(proven, norms, np.inf))
