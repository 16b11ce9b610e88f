"""Hubs of a quadratic majorant: products of z± = (|t| ± t)/2 of every row with |h·u| ± h·u of a few directions h.

With s = |H u|, z = Z (u, s) ≥ 0, Z = [[H, I], [−H, I]], holds for the hubs, and for a row z⁺α ≥ 0 and z⁻β ≥ 0 with
    α = (b − g − w·u + V·u)/2 + A⁺z,   β = (b + g + w·u + V·u)/2 + A⁻z,   A ≥ 0, b ≥ |V − w| + g, |V + w| − g.
So q relu(t) ≤ (q + α − β) t/2 + l|t|/2 ≤ (q + α − β) t/2 + p t² + l²/(16 p), l = q + α + β = a + V·u + (A⁺ + A⁻) z.
Of hubs alone, 0 ≤ zᵀN z + Σ z_j (|ω_j| + ω_j·u), where N ≥ 0 but for z⁺_k z⁻_k = 0.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from certify.verify.proofs.proof import Proof
from certify.verify.reals import Array, Mask, Real, Reals
from certify.verify.rejection import require


class Hubs(NamedTuple):
    """Of one sign.

    Attributes:
        parts: Z (2J, D + J).
        links: A⁺ and A⁻, (2, N, 2J).
        lifts: V = C B, C (N, K).
        products: N (2J, 2J).
        tilts: ω (2J, D).
    """

    parts: Reals
    links: Array
    lifts: Array
    products: Array
    tilts: Reals


def hubs_of(proof: Proof, index: int, free: bool, real: Real) -> Hubs | None:
    """The hubs of the sign of an index, None where there are none."""
    if "hubs" not in proof.arrays:
        return None
    directions, lifts, products, tilts = (
        proof.arrays[name][index] for name in ("hubs", "lifts", "hub-products", "hub-tilts")
    )
    links = proof.arrays["links"][4 * index : 4 * index + 4]
    count = len(directions)
    paired = np.eye(2 * count, k=count, dtype=bool) | np.eye(2 * count, k=-count, dtype=bool)
    symmetric = np.tril(products) + np.tril(products, -1).T
    require(bool((links >= 0).all()), "hub-links", "products of rows with hubs must be nonnegative")
    require(bool(((symmetric >= 0) | paired).all()), "hub-products", "products of hubs must be nonnegative")
    parts = np.block([[directions, np.eye(count)], [-directions, np.eye(count)]])
    joined = np.stack([np.concatenate([links[0], links[1]], 1), np.concatenate([links[2], links[3]], 1)])
    return Hubs(real(parts), joined, lifts, symmetric, real(np.pad(tilts, ((0, 0), (0, int(free))))))


def hub_sides(hubs: Hubs, bent: Reals, slopes: Array, tilted: Reals, tilts: Reals, axes: Reals) -> Reals:
    """L as coefficients of (1, u, s), (N, 1 + D + J), for scores q and W = `tilted`, of coefficients `tilts`."""
    real = bent.of
    lifted: Mask = np.asarray(hubs.lifts.any(1))
    linked: Mask = np.asarray(hubs.links.any((0, 2)))
    moved: Mask = lifted | ~tilts.is_zero.all(1)
    lift = (real(hubs.lifts) @ axes).only(np.broadcast_to(lifted[:, None], tilted.shape))
    after, before = ((lift + side).row_norms().only(moved) for side in (tilted, -tilted))
    level = bent + (before + slopes).maximum(after - slopes)
    # Rows without hubs may have any larger b.
    level = level.only(linked) + level.maximum(0.0).only(~linked)
    sums = real(hubs.links[0]) + hubs.links[1]
    rest = (sums @ hubs.parts).only(np.broadcast_to(linked[:, None], (len(linked), hubs.parts.shape[1])))
    width = tilted.shape[1]
    return bent.joined([level[:, None], rest[:, :width] + lift, rest[:, width:]], 1)


def hub_terms(hubs: Hubs, inputs: Reals) -> tuple[Reals, Reals]:
    """Half the linear coefficients of (u, s), a column, and all quadratic ones, of t (A⁺ − A⁻) z/2 and hubs alone."""
    real, parts = inputs.of, hubs.parts
    count, width = parts.shape[0] // 2, inputs.shape[1]
    turned: Reals = inputs.T @ (real(hubs.links[0]) - hubs.links[1])
    turns = turned * 0.25 + hubs.tilts.T * 0.5
    pull = padded(turns @ parts, width + count)
    half = (parts.T @ hubs.tilts.row_norms()[:, None]) * 0.5
    return half, pull + pull.T + parts.T @ (real(hubs.products) @ parts)


def padded(rows: Reals, size: int) -> Reals:
    """Rows with zeros below them, so many in all."""
    return rows.joined([rows, rows.of(np.zeros((size - rows.shape[0], rows.shape[1])))], 0)
