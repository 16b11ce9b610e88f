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
from collections.abc import Callable
from dataclasses import dataclass
from typing import final

import numpy as np
import numpy.typing as npt

from certify.verify.statement.certificate import Certificate
from certify.verify.proofs.cone_walk import Cones, Integers, leaves
from certify.verify.enclosure import (
    GROW,
    SQUARES_UNDERFLOW,
    TINY,
    Enclosure,
    gamma,
)
from certify.verify.proofs.least_norms import least_norms
from certify.verify.reals import Array, Mask, Reals
from certify.verify.rejection import require

# Entries of the largest array that is evaluated at once.
LARGEST_BLOCK = 1 << 19
# A little less than a leaf needs to prove, so that rounding does not matter.
THRESHOLD_MARGIN = 1 - 2.0**-45


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
    ranks = require_leaves(certificate)
    rest, frame_norm = (float(part.high) for part in reduction(certificate, Enclosure))
    own, unit = normalized(certificate)
    threshold = (certificate.polar_upper - rest) / max(frame_norm * unit, TINY) * THRESHOLD_MARGIN
    largest = 0.0
    for sign, cones in leaves(splits, own.rows.shape[1], own.interpolated, 2 if outputs == 1 else 1):
        weights = tangents[ranks[cones.nodes]].astype(np.float64)
        bounds, _ = least_norms(within(cones.vertices, own.free), _values(own, cones, sign, weights), threshold)
        largest = max(largest, float(bounds.max())) if bool((bounds < np.inf).all()) else math.inf
    return (frame_norm * unit * largest + rest) * (1 + 2.0**-48) + TINY


def reduction(certificate: Certificate, real: Callable[[npt.ArrayLike], Reals]) -> tuple[Reals, Reals]:
    """Σ |Q_i| |h_i − F g_i|, and √(largest row sum of |FᵀF|) ≥ |F|₂."""
    arrays = certificate.arrays
    inputs = real(arrays["X"])
    if certificate.free_hidden:
        inputs = inputs - arrays["center"]
    elif certificate.hidden_bias == "penalized":
        inputs = real(np.concatenate([arrays["X"], np.ones((len(arrays["X"]), 1))], 1))
    residuals = (inputs - real(arrays["rows"]) @ arrays["frame"].T).row_norms()
    rest = (real(arrays["A"]).row_norms() * residuals).sum()
    gram = (real(arrays["frame"].T) @ arrays["frame"]).absolute().sum(1)
    return rest, real(gram.high.max(initial=2.0**-60)).square_root()


def rows_with_column(certificate: Certificate) -> Array:
    """G (n, k), with the free column κ appended where a bias is free."""
    rows: Array = certificate.arrays["rows"]
    if not certificate.free_hidden:
        return rows
    column = float(certificate.arrays["column"][0])
    return np.concatenate([rows, np.full((len(rows), 1), column)], 1)


def directions_of(cones: Cones, weights: Array, free: bool) -> Array:
    """Where the tangents of each cone are taken, (B, k): at Σ weights_k v_k.

    A cone with a generator ±e on the free axis takes that one as its direction: then b is 1 or 0 throughout, and
    val is exactly 0 there, since the columns of Q sum to zero.
    """
    vertices = cones.vertices
    directions: Array = (weights[:, None] @ vertices)[:, 0]
    if not free:
        return directions
    axis = on_axis(vertices)
    return np.where(np.any(axis, axis=1, keepdims=True), (axis[:, None, :] @ vertices)[:, 0], directions)


def require_leaves(certificate: Certificate) -> Integers:
    """Row of `tangents` that belongs to each node.

    Raises:
        Rejection: there are more or fewer rows than leaves.
    """
    splits, tangents = certificate.arrays["splits"], certificate.arrays["tangents"]
    count = int((splits == 0).sum())
    require(count == len(tangents), "cone-tree-shape", f"{count} leaves, {len(tangents)} tangent directions")
    ranks: Integers = np.cumsum(splits == 0) - 1
    return ranks


def normalized(certificate: Certificate) -> tuple[Sum, float]:
    """The sum that the tree bounds, and the unit in which it does.

    Raises:
        Rejection: the free column is not positive.
    """
    rows, scores = rows_with_column(certificate), -certificate.arrays["A"]
    units = [_power_of_two(rows), _power_of_two(scores)]
    rows, scores = rows / units[0], scores / units[1]
    if certificate.free_hidden:
        # Were it to vanish in these units, no sample would count as active on the positive free axis.
        positive = bool((rows[:, -1] > 0).all())
        found = float(certificate.arrays["column"][0])
        require(positive, "cone-tree-column", f"the free column is {found!r}, needs to be positive beside the rows")
    terms = 2 * (sum(rows.shape) + scores.shape[1]) + 40
    magnitude = float((np.linalg.norm(scores, axis=1) * np.abs(rows).max(1)).sum()) * (1 + gamma(terms))
    weights = np.concatenate([np.maximum(scores, 0.0), np.maximum(-scores, 0.0)], 1)
    error = (8 * gamma(terms) * magnitude + SQUARES_UNDERFLOW) * GROW
    return Sum(rows, weights, error, certificate.free_hidden), units[0] * units[1]


def _power_of_two(values: Array) -> float:
    """Power of two above the largest entry."""
    return math.ldexp(1.0, math.frexp(float(np.abs(values).max(initial=0.0)))[1])


def _values(own: Sum, cones: Cones, sign: int, weights: Array) -> Array:
    """Values val (B, k) with rounding counted."""
    vertices, sums = cones.vertices, cones.sums
    directions = directions_of(cones, weights, own.free)
    c = own.weights.shape[1] // 2
    columns = slice(1 - sign, 2 - sign) if c == 1 else slice(0, 2 * c)
    linear = vertices @ own.tangents(directions, columns).transpose(0, 2, 1)
    if c == 1:
        values = sums[:, :, sign] - linear[:, :, 0]
    else:
        above, below = sums[:, :, :c] - linear[:, :, c:], linear[:, :, :c] - sums[:, :, c:]
        values = (np.linalg.norm(above + below, axis=2) + np.linalg.norm(above - below, axis=2)) / 2
    values = values + own.error
    return np.where(on_axis(vertices), 0.0, values) if own.free else values


def within(vertices: Array, free: bool) -> Array:
    """Generators without the free coordinate, (B, k, coordinate)."""
    if not free:
        return vertices
    found = vertices.copy()
    found[:, :, -1] = 0.0
    return found


def on_axis(vertices: Array) -> Mask:
    """Which generators are exactly ± the last unit vector, (B, k); they have |v|₁ = 1."""
    found: Mask = np.abs(vertices[:, :, -1]) == 1.0
    return found
