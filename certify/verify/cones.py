"""ReLU polar by cones: every direction lies in a leaf of the tree, and every leaf proves a bound.

Reduction: for any rows G (n, k) and frame F, Ω° ≤ |F|₂ max{|Σ Q_i relu(g_i·a)| : |a| ≤ 1} + Σ |Q_i| |h_i − F g_i|.
With a free bias, h_i is x_i − m, and a has one more coordinate, outside the norm, that multiplies a constant κ > 0.

Leaf: for a = Σ a_k v_k, a_k ≥ 0, relu(g·a) lies below Σ a_k relu(g·v_k) and above b g·a, for any b ∈ {0, 1}.
So output j of Qᵀrelu(G a) lies between Σ a_k below_kj and Σ a_k above_kj, and |·| ≤ Σ a_k val_k ≤ |w| for any w with
w·v_k ≥ val_k, where val_k = above_k for one output and sign, |above_k + below_k|/2 + |above_k − below_k|/2 for several.

Rounding: after scaling by powers of two, |v|₁ = 1, so that every val_k errs by at most
ε = 8 γ_{2(n+k+c)+40} Σ |Q_i|₂ |g_i|_∞ + 2⁻⁵⁰⁰.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import final

import numpy as np
import numpy.typing as npt

from certify.verify.certificate import Certificate
from certify.verify.cone_walk import Cones, Integers, leaves
from certify.verify.enclosure import (
    GROW,
    ROUNDOFF,
    SQUARES_UNDERFLOW,
    TINY,
    Array,
    Enclosure,
    absolute,
    gamma,
    row_norms,
    square_root,
)
from certify.verify.rejection import require

# Sweeps of coordinate ascent, and exchanges after it, toward the least w; exchanges are in blocks at first.
SWEEPS = 3
PIVOTS = 100
BLOCK_PIVOTS = 8
LARGEST_BLOCK = 1 << 19
# Keeps the linear systems of guesses regular; guesses are proven afterwards.
RIDGE = 1e-15
AIM_MARGIN = 2.0**-44


Mask = npt.NDArray[np.bool_]


@final
@dataclass(frozen=True, slots=True)
class Sum:
    """Qᵀ relu(G a), Q = −A, in units in which all entries are at most 1.

    Attributes:
        rows: G with the free column, (n, k).
        weights: max(Q, 0) and max(−Q, 0), (n, 2c).
        error: ε.
        free: whether the last coordinate is outside the norm.
    """

    rows: Array
    weights: Array
    error: float
    free: bool

    def interpolated(self, points: Array) -> Array:
        """Σ_i weights_i relu(g_i·v) at points v (P, k), (P, 2c)."""
        step = max(1, LARGEST_BLOCK // len(self.rows))
        parts = [points[at : at + step] for at in range(0, len(points), step)]
        return np.concatenate([np.maximum(part @ self.rows.T, 0.0) @ self.weights for part in parts])

    def tangents(self, directions: Array, column: slice) -> Array:
        """Σ_i b_i weights_i g_i of some columns, with b_i = 1 where g_i·direction > 0; (P, columns, k)."""
        weights = self.weights[:, column]
        used = weights.any(1)
        rows, weights = self.rows[used], weights[used]
        maps = (weights[:, :, None] * rows[:, None, :]).reshape(len(rows), weights.shape[1] * rows.shape[1])
        step = max(1, LARGEST_BLOCK // max(1, len(rows)))
        parts = [directions[at : at + step] for at in range(0, len(directions), step)]
        slopes = np.concatenate([(part @ rows.T > 0).astype(np.float64) @ maps for part in parts])
        return slopes.reshape(len(directions), weights.shape[1], rows.shape[1])


def cone_tree_upper(certificate: Certificate) -> float:
    """Upper bound on the polar that the tree of a certificate proves; +inf if it proves none.

    Raises:
        Rejection: the tree is malformed.
    """
    arrays = certificate.arrays
    splits, tangents, outputs = arrays["splits"], arrays["tangents"], arrays["A"].shape[1]
    count = int((splits == 0).sum())
    require(count == len(tangents), "cone-tree-shape", f"{count} leaves, {len(tangents)} tangent directions")
    rest, frame_norm = _reduction(certificate)
    own, unit = _normalized(certificate)
    threshold = (certificate.polar_upper - rest) / max(frame_norm * unit, TINY) * (1 - 2.0**-45)
    ranks: Integers = np.cumsum(splits == 0) - 1
    largest = 0.0
    for sign, cones in leaves(splits, own.rows.shape[1], own.interpolated, 2 if outputs == 1 else 1):
        weights = tangents[ranks[cones.nodes]].astype(np.float64)
        bounds = _least_norms(own, cones.vertices, _values(own, cones, sign, weights), threshold)
        largest = max(largest, float(bounds.max())) if bool((bounds < np.inf).all()) else math.inf
    return (frame_norm * unit * largest + rest) * (1 + 2.0**-48) + TINY


def _reduction(certificate: Certificate) -> tuple[float, float]:
    """Σ |Q_i| |h_i − F g_i| and |F|₂ ≤ √(largest row sum of |FᵀF|), rounded up."""
    arrays = certificate.arrays
    inputs = Enclosure(arrays["X"])
    if certificate.free_hidden:
        inputs = inputs - arrays["center"]
    elif certificate.hidden_bias == "penalized":
        inputs = Enclosure(np.concatenate([arrays["X"], np.ones((len(arrays["X"]), 1))], 1))
    residuals = row_norms(inputs - Enclosure(arrays["rows"]) @ arrays["frame"].T)
    rest = (row_norms(Enclosure(arrays["A"])) * residuals).sum()
    gram = absolute(Enclosure(arrays["frame"].T) @ arrays["frame"]).sum(1)
    largest = Enclosure(float(gram.high.max(initial=2.0**-60)))
    return float(rest.high), float(square_root(largest).high)


def _normalized(certificate: Certificate) -> tuple[Sum, float]:
    """The sum that the tree bounds, and the unit in which it does."""
    arrays, scores = certificate.arrays, -certificate.arrays["A"]
    rows: Array = arrays["rows"]
    column = float(arrays["column"][0]) if certificate.free_hidden else 0.0
    if certificate.free_hidden:
        rows = np.concatenate([rows, np.full((len(rows), 1), column)], 1)
    units = [_power_of_two(rows), _power_of_two(scores)]
    rows, scores = rows / units[0], scores / units[1]
    if certificate.free_hidden:
        # Were it to vanish in these units, no sample would count as active on the positive free axis.
        positive = bool((rows[:, -1] > 0).all())
        require(positive, "cone-tree-column", f"the free column is {column!r}, needs to be positive beside the rows")
    terms = 2 * (sum(rows.shape) + scores.shape[1]) + 40
    magnitude = float((np.linalg.norm(scores, axis=1) * np.abs(rows).max(1)).sum()) * (1 + gamma(terms))
    weights = np.concatenate([np.maximum(scores, 0.0), np.maximum(-scores, 0.0)], 1)
    error = (8 * gamma(terms) * magnitude + SQUARES_UNDERFLOW) * GROW
    return Sum(rows, weights, error, certificate.free_hidden), units[0] * units[1]


def _power_of_two(values: Array) -> float:
    """Power of two above the largest entry."""
    return math.ldexp(1.0, math.frexp(float(np.abs(values).max(initial=0.0)))[1])


def _values(own: Sum, cones: Cones, sign: int, weights: Array) -> Array:
    """Values val (B, k) with rounding counted; tangents are those at Σ weights_k v_k.

    A cone with a generator ±e on the free axis takes that one as its direction: then b is 1 or 0 throughout, and
    val is exactly 0 there, since the columns of Q sum to zero.
    """
    vertices, sums = cones.vertices, cones.sums
    directions = (weights[:, None] @ vertices)[:, 0]
    if own.free:
        on_axis = _on_axis(vertices)
        own_axis = (on_axis[:, None, :] @ vertices)[:, 0]
        directions = np.where(np.any(on_axis, axis=1, keepdims=True), own_axis, directions)
    c = own.weights.shape[1] // 2
    columns = slice(1 - sign, 2 - sign) if c == 1 else slice(0, 2 * c)
    linear = vertices @ own.tangents(directions, columns).transpose(0, 2, 1)
    if c == 1:
        values = sums[:, :, sign] - linear[:, :, 0]
    else:
        above, below = sums[:, :, :c] - linear[:, :, c:], linear[:, :, :c] - sums[:, :, c:]
        values = (np.linalg.norm(above + below, axis=2) + np.linalg.norm(above - below, axis=2)) / 2
    values = values + own.error
    return np.where(on_axis, 0.0, values) if own.free else values


def _on_axis(vertices: Array) -> Mask:
    """Which generators are exactly ± the last unit vector, (B, k); they have |v|₁ = 1."""
    found: Mask = np.abs(vertices[:, :, -1]) == 1.0
    return found


def _least_norms(own: Sum, vertices: Array, values: Array, threshold: float) -> Array:
    """For each cone |w| of some w, 0 in the free coordinate, with w·v_k ≥ val_k; (B,).

    w = Σ a_k v_k comes from a guess at max a·val − |Σ a_k v_k|²/2 over a ≥ 0: coordinate ascent (Hildreth 1957), then
    principal pivoting (Murty 1974) for cones that need it. `_feasible_norms` scales any guess until it is proven.
    """
    directions = vertices.copy()
    if own.free:
        directions[:, :, -1] = 0.0
    gram = directions @ directions.transpose(0, 2, 1)
    # Aimed at a little more, so that rounding leaves w feasible for small val too.
    aims = values + AIM_MARGIN * np.abs(values).max(1, keepdims=True)
    guess = _ascent(gram, aims)
    bounds = _feasible_norms(directions, values, guess)
    left = np.flatnonzero(~(bounds <= threshold))
    live: Mask = np.any(directions[left], axis=2)
    active: Mask = np.greater(guess[left], 0) & live
    for step in range(PIVOTS):
        if not len(left):
            break
        guess = _solved(gram[left], aims[left], active)
        found = _feasible_norms(directions[left], values[left], np.maximum(guess, 0.0))
        bounds[left] = np.minimum(bounds[left], found)
        wanting = live & ~active & ((gram[left] @ guess[:, :, None])[:, :, 0] < values[left])
        wrong: Mask = (active & ~(guess >= 0)) | wanting
        if step >= BLOCK_PIVOTS:  # one exchange at a time, the last index first, cannot cycle
            wrong &= np.cumsum(wrong[:, ::-1], axis=1)[:, ::-1] == 1
        again = ~(bounds[left] <= threshold) & wrong.any(1)
        left, live, active = left[again], live[again], (active ^ wrong)[again]
    return bounds


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
