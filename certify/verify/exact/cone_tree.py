"""Polar of a kink by cones, in balls: the walk and the guesses of floats, and every leaf proven anew.

Generators are exact dyadic numbers, and tangents may be any 0 or 1; so floats choose, and balls prove w·v ≥ val.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import final

import numpy as np
from flint import arb

from certify.verify.enclosure import TINY
from certify.verify.exact.balls import ZERO, Balls, Objects, balls
from certify.verify.forms.form import Form
from certify.verify.forms.projection import Projection, project
from certify.verify.proofs.cone_tree import directions_of, normalized, on_axis, require_leaves, threshold_of, within
from certify.verify.proofs.cone_walk import Cones, leaves
from certify.verify.proofs.least_norms import least_norms
from certify.verify.proofs.proof import Proof
from certify.verify.reals import Array
from certify.verify.rejection import refuse
from certify.verify.statement.activations import Kink

# Samples times nodes; some 10⁶ a second.
LARGEST_TREE = 2**28
BLOCK = 2**18


@final
@dataclass(frozen=True, slots=True)
class Sum:
    """The sum of `proofs.cone_tree` in its own units: G (N, k); W⁺, W⁻ (N, 2m), below GᵀQ (k, m), √D (b, N): balls."""

    rows: Array
    weights: Balls
    linear: Balls
    free: bool
    sizes: Balls
    activation: Kink

    @property
    def signs(self) -> int:
        """Number of signs of the output that have trees of their own."""
        return 2 if self.weights.shape[1] == 2 and not self.sizes.shape[0] else 1

    def interpolated(self, points: Array) -> Objects:
        """Σ_i weights_i relu(g_i·v) at points v (P, k), (P, 2m), then the norms in the diagonals."""
        rows = Balls.of(self.rows.T)
        step = max(1, BLOCK // len(self.rows))
        parts = [Balls.of(points[at : at + step]) for at in range(0, len(points), step)]
        return np.concatenate([self._interpolated(part @ rows).values for part in parts])

    def _interpolated(self, products: Balls) -> Balls:
        sums = products.maximum(0.0) @ self.weights
        values = self.activation(products)
        norms = [(values * sizes).row_norms()[:, None] for sizes in (self.sizes[b] for b in range(self.sizes.shape[0]))]
        return Balls.joined([sums, *norms], 1)

    def tangents(self, directions: Array, column: slice) -> Balls:
        """Σ_i b_i weights_i g_i of some columns, with b_i = 1 where g_i·direction > 0; (P, columns, k)."""
        weights = self.weights[:, column]
        maps = (weights[:, :, None] * self.rows[:, None, :]).reshape(len(self.rows), -1)
        step = max(1, BLOCK // len(self.rows))
        blocks = [directions[at : at + step] @ self.rows.T > 0 for at in range(0, len(directions), step)]
        found = [(Balls.of(block.astype(np.float64)) @ maps) for block in blocks]
        return Balls.joined(found, 0).reshape(len(directions), weights.shape[1], self.rows.shape[1])


def cone_tree_upper(form: Form, proof: Proof) -> float:
    """Upper bound on the polar that a tree proves; +inf if it proves none.

    Raises:
        Rejection: the tree is malformed, or too large for balls.
    """
    splits, tangents = proof.arrays["splits"], proof.arrays["tangents"]
    ranks = require_leaves(proof)
    projection = project(form, proof)
    if len(splits) * len(projection.rows) > LARGEST_TREE:
        sizes = f"{len(splits)} cones times {len(projection.rows)} rows"
        refuse("too-large-for-exact", f"{sizes}, at most {LARGEST_TREE}; check without --exact")
    own, unit = _sum(projection), normalized(projection)[3]
    threshold = threshold_of(proof, projection, unit)
    largest = ZERO
    for sign, cones in leaves(splits, own.rows.shape[1], own.interpolated, own.signs):
        values = _values(own, cones, sign, tangents[ranks[cones.nodes]].astype(np.float64))
        guesses = least_norms(within(cones.vertices, own.free), (values / unit * projection.gain).high, threshold)[1]
        bound = _proven_norm(within(cones.vertices, own.free), values, guesses)
        if not bound.is_finite():
            return math.inf
        largest = largest.max(bound)
    return float((projection.gain * Balls(largest) + projection.rest).high)


def _sum(projection: Projection) -> Sum:
    scores, activation = Balls.of(-projection.scores), projection.activation
    bent = activation.gap(scores)
    weights = Balls.joined([bent.maximum(0.0), (-bent).maximum(0.0)], 1)
    linear = Balls.of(projection.rows.T) @ scores * activation.below
    sizes = Balls.of(projection.sizes)
    return Sum(projection.rows, weights, linear, projection.free, sizes, activation)


def _values(own: Sum, cones: Cones, sign: int, weights: Array) -> Balls:
    """Values val (B, k)."""
    directions = directions_of(cones, weights, own.free)
    c = own.weights.shape[1] // 2
    columns = slice(1 - sign, 2 - sign) if own.signs == 2 else slice(0, 2 * c)
    vertices, sums = Balls.of(cones.vertices), Balls(cones.sums)
    slopes = own.tangents(directions, columns)
    linear = (vertices[:, :, None] * slopes[:, None]).sum(3)
    exact = (vertices.reshape(-1, vertices.shape[2]) @ own.linear).reshape(*vertices.shape[:2], c)
    if own.signs == 2:
        values = balls(sums[:, :, sign] - linear[:, :, 0] + exact[:, :, 0] * (1.0 - 2 * sign))
    else:
        above = sums[:, :, :c] - linear[:, :, c:] + exact
        below = linear[:, :, :c] - sums[:, :, c : 2 * c] + exact
        halves = (above + below).row_norms() + (above - below).row_norms()
        values = balls(halves * 0.5 + sums[:, :, 2 * c :].sum(2))
    return values.only(~on_axis(cones.vertices)) if own.free else values


def _proven_norm(directions: Array, values: Balls, guesses: Array) -> arb:
    """The largest |t w| over all cones, t least such that t w·v_k ≥ val_k for all k; +inf if one has none."""
    w = (guesses[:, None] @ directions)[:, 0]
    w = w / np.maximum(np.abs(w).max(1, initial=0.0), TINY)[:, None]
    reach = (Balls.of(directions) * w[:, None, :]).sum(2)
    lengths = balls(Balls.of(w).row_norms())
    largest = ZERO
    for needed, reached, length in zip(values.values, reach.values, lengths.values, strict=True):
        largest = largest.max(_least_factor(needed, reached) * length)
    return largest


def _least_factor(values: Objects, reach: Objects) -> arb:
    """Least t ≥ 0 with t reach_k ≥ val_k for all k, rounded up; +inf if that is not shown."""
    factor, pairs = ZERO, list(zip(values, reach, strict=True))
    for value, reached in pairs:
        if value <= 0:
            continue
        if not reached > 0:
            return arb.pos_inf()
        factor = factor.max(value / reached)
    factor = factor.upper()
    slack = all(value > 0 or reached >= 0 or factor * reached >= value for value, reached in pairs)
    return factor if slack else arb.pos_inf()
