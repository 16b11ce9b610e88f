"""Polar of a kink by cones: every direction lies in a leaf of the tree, and every leaf proves a bound.

The step `project` comes first: rows G (N, k) and scores S~ in floats. With a free column the last coordinate of a is
outside the norm, and multiplies a constant κ > 0.

Leaf: for a = Σ a_k v_k, a_k ≥ 0, relu(g·a) lies below Σ a_k relu(g·v_k) and above b g·a, for any b ∈ {0, 1}.
So output j of Wᵀrelu(G a), W = (above − below) Q, lies between Σ a_k below_kj and Σ a_k above_kj; both gain what is
exact, the linear part below (GᵀQ)_j·v_k. So |·| ≤ Σ a_k val_k ≤ |w| for any w with w·v_k ≥ val_k, where val_k = above_k
for one output and sign, |above_k + below_k|/2 + |above_k − below_k|/2 for several. A diagonal D adds
|√D ∘ σ(G v_k)|, since |σ(t)| is convex and homogeneous, and with it |√D ∘ σ(G a)|.

Rounding: after scaling by powers of two, |v|₁ = 1, so that every val_k errs by at most
ε = 8 γ_{2(N+k+m+b)+40} L Σ (|Q_i|₂ + Σ_b √D_bi) |g_i|_∞ + 2⁻⁵⁰⁰, L = max(1, |above − below| + 2 |below|).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import final

import numpy as np

from certify.verify.enclosure import SQUARES_UNDERFLOW, Enclosure, gamma
from certify.verify.forms.form import Form
from certify.verify.forms.projection import Projection, project
from certify.verify.proofs.cone_walk import Cones, Integers, leaves
from certify.verify.proofs.least_norms import least_norms
from certify.verify.proofs.proof import Proof
from certify.verify.reals import Array, Mask, Reals
from certify.verify.rejection import require
from certify.verify.statement.activations import Kink

# Entries of the largest array that is evaluated at once.
LARGEST_BLOCK = 1 << 19
# A little less than a leaf needs to prove, so that rounding does not matter.
THRESHOLD_MARGIN = 1 - 2.0**-45


@final
@dataclass(frozen=True, slots=True)
class Sum:
    """Qᵀ σ(G a) = Wᵀ relu(G a) + below (GᵀQ)ᵀ a, Q = −S~, W = (above − below) Q, in units in which |G|, |Q| ≤ 1.

    Attributes:
        rows: G with the free column, (N, k).
        weights: W⁺ and W⁻, (N, 2m).
        linear: below GᵀQ, (k, m).
        error: ε.
        free: whether the last coordinate is outside the norm.
        sizes: √D of every diagonal, (b, N); above and below are the slopes of σ.
    """

    rows: Array
    weights: Array
    linear: Array
    error: float
    free: bool
    sizes: Array
    activation: Kink

    @property
    def signs(self) -> int:
        """Number of signs of the output that have trees of their own."""
        return 2 if self.weights.shape[1] == 2 and not len(self.sizes) else 1

    def interpolated(self, points: Array) -> Array:
        """Σ_i weights_i relu(g_i·v) at points v (P, k), (P, 2c), then the norms in the diagonals."""
        step = max(1, LARGEST_BLOCK // len(self.rows))
        parts = [points[at : at + step] for at in range(0, len(points), step)]
        return np.concatenate([self._interpolated(part @ self.rows.T) for part in parts])

    def _interpolated(self, products: Array) -> Array:
        sums = np.maximum(products, 0.0) @ self.weights
        if not len(self.sizes):
            return sums
        values = self.activation.above * np.maximum(products, 0.0) + self.activation.below * np.minimum(products, 0.0)
        norms = [np.linalg.norm(values * sizes, axis=1) for sizes in self.sizes]
        return np.column_stack([sums, *norms])

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


def cone_tree_upper(form: Form, proof: Proof) -> float:
    """Upper bound on the polar that a tree proves; +inf if it proves none.

    Raises:
        Rejection: the tree is malformed.
    """
    splits, tangents = proof.arrays["splits"], proof.arrays["tangents"]
    ranks = require_leaves(proof)
    projection = project(form, proof)
    own, unit = _normalized_sum(projection)
    threshold = threshold_of(proof, projection, unit)
    largest = 0.0
    for sign, cones in leaves(splits, own.rows.shape[1], own.interpolated, own.signs):
        weights = tangents[ranks[cones.nodes]].astype(np.float64)
        bounds, _ = least_norms(within(cones.vertices, own.free), _values(own, cones, sign, weights), threshold)
        largest = max(largest, float(bounds.max())) if bool((bounds < np.inf).all()) else math.inf
    return float((unit * largest + projection.rest).high)


def threshold_of(proof: Proof, projection: Projection, unit: Reals) -> float:
    """The norm at which a leaf proves the claim, in the units of the tree, or a little less; no rule rests on it."""
    return float(((unit.of(proof.upper) - projection.rest) / unit).near) * THRESHOLD_MARGIN


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


def require_leaves(proof: Proof) -> Integers:
    """Row of `tangents` that belongs to each node.

    Raises:
        Rejection: there are more or fewer rows than leaves.
    """
    splits, tangents = proof.arrays["splits"], proof.arrays["tangents"]
    count = int((splits == 0).sum())
    require(count == len(tangents), "cone-tree-shape", f"{count} leaves, {len(tangents)} tangent directions")
    ranks: Integers = np.cumsum(splits == 0) - 1
    return ranks


def normalized(projection: Projection) -> tuple[Array, Array, Array, Reals]:
    """Rows, Q = −S~ and √D~ over powers of two so that no entry exceeds 1, and φ times the unit of their products.

    Raises:
        Rejection: the free column is not positive.
    """
    sizes = projection.sizes
    units = [_power_of_two(projection.rows), _power_of_two(np.concatenate([projection.scores, sizes.T], 1))]
    rows, scores = projection.rows / units[0], -projection.scores / units[1]
    if projection.free:
        # Were it to vanish in these units, no sample would count as active on the positive free axis.
        positive, found = bool((rows[:, -1] > 0).all()), float(projection.rows[0, -1])
        require(positive, "cone-tree-column", f"the free column is {found!r}, needs to be positive beside the rows")
    return rows, scores, sizes / units[1], projection.gain * units[0] * units[1]


def _normalized_sum(projection: Projection) -> tuple[Sum, Reals]:
    """The sum that the tree bounds, and the unit in which it does, times φ."""
    rows, scores, sizes, unit = normalized(projection)
    activation = projection.activation
    terms = 2 * (sum(rows.shape) + scores.shape[1] + len(sizes)) + 40
    # A diagonal errs by no more than as many score columns, one for each row.
    magnitude = ((Enclosure(scores).row_norms() + Enclosure(sizes).sum(0)) * np.abs(rows).max(1)).sum()
    gap = activation.above - activation.below
    slopes = (Enclosure(gap).absolute() + Enclosure(activation.below).absolute() * 2.0).maximum(1.0)
    error = float((slopes * magnitude * (8 * gamma(terms)) + SQUARES_UNDERFLOW).high)
    bent = scores * gap
    weights = np.concatenate([np.maximum(bent, 0.0), np.maximum(-bent, 0.0)], 1)
    linear = activation.below * (rows.T @ scores)
    return Sum(rows, weights, linear, error, projection.free, sizes, activation), unit


def _power_of_two(values: Array) -> float:
    """Power of two above the largest entry."""
    return math.ldexp(1.0, math.frexp(float(np.abs(values).max(initial=0.0)))[1])


def _values(own: Sum, cones: Cones, sign: int, weights: Array) -> Array:
    """Values val (B, k) with rounding counted."""
    vertices, sums = cones.vertices, cones.sums
    directions = directions_of(cones, weights, own.free)
    c = own.weights.shape[1] // 2
    columns = slice(1 - sign, 2 - sign) if own.signs == 2 else slice(0, 2 * c)
    linear = vertices @ own.tangents(directions, columns).transpose(0, 2, 1)
    exact = vertices @ own.linear
    if own.signs == 2:
        values = sums[:, :, sign] - linear[:, :, 0] + (1 - 2 * sign) * exact[:, :, 0]
    else:
        above = sums[:, :, :c] - linear[:, :, c:] + exact
        below = linear[:, :, :c] - sums[:, :, c : 2 * c] + exact
        values = (np.linalg.norm(above + below, axis=2) + np.linalg.norm(above - below, axis=2)) / 2
        values = values + sums[:, :, 2 * c :].sum(2)
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
