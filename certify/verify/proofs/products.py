"""Polar of a kink by products: what z₊ = max(t, 0), z₋ = max(−t, 0) and |u| = |v| make nonnegative, t = X̃ u.

Let |v| = |u| = 1, and the first j of m entries of v nonnegative, for all patterns of their signs in turn, which the
columns of Q take; for one output v = 1. Then z ≥ 0, z₊ᵢ z₋ᵢ = 0, and z (h·v + W·u) ≥ 0 where h ≥ 0 for these entries,
else 0, and |W| ≤ h for one output, else 0, so that vᵀQᵀσ(t) ≤ α + ρβ wherever, with P, M ≥ 0, C ≥ 0 off its diagonal,
    α|v|² + β|u|² − vᵀQᵀσ(t) − z₊ᵀP z₊ − 2 z₊ᵀC z₋ − z₋ᵀM z₋ − Σ z± (h±·v + W±·u) ≥ 0   for all (v, u, g), z± = g ± t/2,
which is K ⪰ 0. Region and ρ are those of the quadratic majorants; what W meets leaves a free column out.
"""

from __future__ import annotations

import numpy as np

from certify.verify.forms.form import Form
from certify.verify.proofs.majorants import Region, bordered, region_of
from certify.verify.proofs.proof import Proof
from certify.verify.reals import Arithmetic, Array, Arrays, Reals
from certify.verify.rejection import require


def products_hold(form: Form, proof: Proof, arithmetic: Arithmetic) -> bool:
    """For each pattern of signs: K ⪰ 0 and α + ρβ ≤ U."""
    arrays, outputs = proof.arrays, form.scores.shape[1]
    require(bool((arrays["levels"][:, 1] >= 0).all()), "product-levels", "β must be nonnegative")
    for index in range(len(arrays["levels"])):
        # Bit l of the index: whether the entry l of v is negative.
        scores = form.scores * np.where(index >> np.arange(outputs) & 1, 1.0, -1.0)
        region = region_of(form, proof, index)
        both, cross, none = (_products(arrays, name, index) for name in ("both", "cross", "none"))
        heights, tilts = _tilts(arrays, index, region.inputs, outputs)
        alpha, beta = (arithmetic.real(level) for level in arrays["levels"][index])
        core, rim, square = _quadratic(region, scores, (both, cross, none), (heights, tilts))
        core = core + _diagonal(alpha, beta, outputs, region.inputs.shape[1])
        whole = bordered(core, rim, square)
        claimed = alpha + region.radius * beta
        if not (bool((claimed.high <= proof.upper).all()) and arithmetic.proves_semidefinite(whole)):
            return False
    return True


def _products(arrays: Arrays, name: str, index: int) -> Array:
    """P or M, whose lower triangle is read, or C."""
    values: Array = arrays[name][index]
    entries = values[~np.eye(len(values), dtype=bool)] if name == "cross" else values[np.tri(len(values), dtype=bool)]
    require(bool((entries >= 0).all()), "product-signs", f"'{name}' must be nonnegative")
    return values if name == "cross" else np.tril(values) + np.tril(values, -1).T


def _tilts(arrays: Arrays, index: int, inputs: Reals, outputs: int) -> tuple[Array, Reals]:
    """H± (2, N, m), zero for entries without a sign, and W± (2, N, D), zero at a free column or for several outputs."""
    n, d = inputs.shape
    heights = arrays["heights"][2 * index : 2 * index + 2]
    require(bool((heights >= 0).all()), "product-tilts", "needs h ≥ 0")
    if outputs > 1:
        pad = (0, 0), (0, 0), (0, outputs - heights.shape[2])
        return np.pad(heights, pad), inputs.of(np.zeros((2, n, d)))
    tilts = arrays["tilts"][2 * index : 2 * index + 2]
    short = ~tilts.any(2) | (inputs.of(tilts).row_norms().high <= heights[..., 0])
    require(bool(short.all()), "product-tilts", "needs |W| ≤ h in every row")
    return heights, inputs.of(np.pad(tilts, ((0, 0), (0, 0), (0, d - tilts.shape[2]))))


def _quadratic(
    region: Region, scores: Reals, products: tuple[Array, Array, Array], slacks: tuple[Array, Reals]
) -> tuple[Reals, Reals, Reals]:
    """K over (v, u) without its levels, over g and (v, u), and over g."""
    (both, cross, none), (heights, tilts), inputs = products, slacks, region.inputs
    real, m = inputs.of, scores.shape[1]
    bent, straight = region.activation.gap(scores), scores * 2.0 * region.activation.below
    total, twist = real(both) + none, real(cross) + cross.T
    up, down = real(heights[0]), real(heights[1])
    tilted = inputs.T @ (tilts[0] - tilts[1])
    spread = inputs.T @ ((total - twist) @ inputs)
    uu = -(spread + tilted + tilted.T) * 0.25
    vu = (bent + straight + (up - down)).T @ inputs * -0.25
    gv: Reals = (bent + (up + down)) * -0.5
    gu = ((real(both) - none + cross.T - cross) @ inputs + tilts[0] + tilts[1]) * -0.5
    core = bordered(real(np.zeros((m, m))), vu.T, uu)
    return core, gv.joined([gv, gu], 1), -(total + twist)


def _diagonal(alpha: Reals, beta: Reals, outputs: int, inputs: int) -> Reals:
    ones = np.arange(outputs + inputs) < outputs
    return alpha * np.diag(1.0 * ones) + beta * np.diag(1.0 * ~ones)
