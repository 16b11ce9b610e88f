"""Proofs of upper bounds on a polar: what the checker needs besides the claim, one class a kind of proof."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, final

import torch
from torch import Tensor

from certify.bounds.rows.cones.cone_tree import ConeTree
from certify.bounds.rows.relaxations.tilts import Tilts

# Proofs that the checker computes from data and dual point alone.
PlainKind = Literal["zero", "spectral", "vertices", "quadratic-form", "eigenvalue", "norm-products", "sorting"]


@final
@dataclass(frozen=True, slots=True)
class Recomputed:
    """Nothing but the kind of the rule: the checker repeats the computation."""

    kind: PlainKind


@final
@dataclass(frozen=True, slots=True)
class PowerTest:
    """A randomized test of σ_max(HᵀS) ≤ U.

    Attributes:
        edge: estimate of σ_max, not below it if the test is to pass.
    """

    edge: float


@final
@dataclass(frozen=True, slots=True)
class FactorForms:
    """Quadratic forms uᵀA u + vᵀB v ≥ uᵀ(G + E) v of the two factors of a bilinear form.

    Attributes:
        left: A, (h, h).
        right: B, (m, m).
        levels: τ ≥ 0 of A and of B, from which their entries are counted; 0 for the norm l∞.
        cross: E ≥ 0, (h, m), where both factors are nonnegative; else None, for 0.
    """

    left: Tensor
    right: Tensor
    levels: tuple[float, float]
    cross: Tensor | None


@final
@dataclass(frozen=True, slots=True)
class ConeCover:
    """A cone tree over reduced rows.

    Attributes:
        tree: bounds the polar of the reduced rows.
        frame: F, (h, k); the rows are recomputed from the inputs and it.
        rows: H F as used, (N, k).
        center: subtracted from the rows where a bias is free, (h,).
    """

    tree: ConeTree
    frame: Tensor
    rows: Tensor
    center: Tensor


@final
@dataclass(frozen=True, slots=True)
class SignTree:
    """Trees of decided signs of rows for scores S and then −S of one column, in preorder, the positive child first.

    Attributes:
        splits: rows that nodes decide, −1 for leaves and −2 for void nodes; of these two kinds together there are K.
        negated: which of them are of the tree for −S, (K,).
        signs: of each row, 0 where undecided, (K, N).
        multipliers: α ≥ 0 of decided rows, s in [0, 1] of the others, (K, N).
        voids: which of the K is the void node that shows the sign of a row, −1 where none is, (K, N).
        center: m of the region, (h − 1,) with a free hidden bias, else (0,).
        ratio: r of the region.
    """

    splits: tuple[int, ...]
    negated: Tensor
    signs: Tensor
    multipliers: Tensor
    voids: Tensor
    center: Tensor
    ratio: float


@final
@dataclass(frozen=True, slots=True)
class Hubs:
    """Products with z = (|Hu| + Hu, |Hu| − Hu) of a few directions; index 0 of the first axis serves S, index 1 −S.

    Attributes:
        directions: H, (2, J, h).
        links: A ≥ 0 of z₊ with the halves of z, then of z₋, (2, 4, N, J), for z± of every row.
        lifts: C, (2, N, K); V = C B with the axes of the tilts.
        products: N ≥ 0 but for the pairs of a hub, (2, 2J, 2J), symmetric.
        tilts: ω, (2, 2J, D).
    """

    directions: Tensor
    links: Tensor
    lifts: Tensor
    products: Tensor
    tilts: Tensor


@final
@dataclass(frozen=True, slots=True)
class ScalarMajorant:
    """Multipliers of a quadratic majorant for one score column; index 0 serves q = S, index 1 serves q = −S.

    Attributes:
        curvatures: p, (2, N).
        slopes: g, (2, N).
        tilts: C, (2, N, K); w_i = C_i B.
        axes: B, (2, K, D), D without the free coordinate.
        center: m of the region, (h − 1,) with a free hidden bias, else (0,).
        offsets: τ' − τ for each sign, (2,), used with a free hidden bias only.
        hubs: products with hubs, if there are any.
    """

    curvatures: Tensor
    slopes: Tensor
    tilts: Tensor
    axes: Tensor
    center: Tensor
    offsets: Tensor
    hubs: Hubs | None = None

    def tilts_of(self, index: int, size: int) -> Tilts:
        """The tilts of one sign in a region of so many coordinates."""
        axes = self.axes[index]
        return Tilts(self.tilts[index], torch.cat([axes, axes.new_zeros(len(axes), size - axes.shape[1])], 1))


@final
@dataclass(frozen=True, slots=True)
class VectorMajorant:
    """Multipliers for m score columns; index 0 of the first axis serves S, index 1 serves −S.

    Attributes:
        curvatures: p, (2, N, m).
        slopes: g, (2, N, m).
        mixings: κ, (2, m).
        envelopes: N_j, (m, h, h).
        center: m of the region, (h − 1,) with a free hidden bias, else (0,).
        ratio: r of the region.
    """

    curvatures: Tensor
    slopes: Tensor
    mixings: Tensor
    envelopes: Tensor
    center: Tensor
    ratio: float


@final
@dataclass(frozen=True, slots=True)
class ProductMultipliers:
    """Multipliers of products of z = (z₊, z₋), the positive and negative parts of t = X u, for one pattern of signs.

    Attributes:
        both: P ≥ 0 of z₊ with z₊, (N, N), symmetric.
        cross: C of z₊ with z₋, (N, N), ≥ 0 off its diagonal.
        none: M ≥ 0 of z₋ with z₋, (N, N), symmetric.
        heights: h ≥ 0 of z₊ and z₋ with the entries of v that have a sign, (2, N, j).
        tilts: W of z₊ and z₋ with u, (2, N, D), |W| ≤ h in each row, for one score column; else None.
        levels: α of |v|² and β of |u|²; found by the proof.
        ratio: r of the region; found by the proof.
    """

    both: Tensor
    cross: Tensor
    none: Tensor
    heights: Tensor
    tilts: Tensor | None
    levels: tuple[float, float] = (0.0, 0.0)
    ratio: float = 1.0


@final
@dataclass(frozen=True, slots=True)
class DoublyNonnegative:
    """Products for every pattern of signs of the first j entries of v, j = 1 for one score column.

    Attributes:
        signs: one entry for each of 2ʲ patterns; bit l of its index is 1 where the entry l of v is negative.
        center: m of the region, (h − 1,) with a free hidden bias, else (0,).
    """

    signs: tuple[ProductMultipliers, ...]
    center: Tensor


QuadraticMajorant = ScalarMajorant | VectorMajorant


@final
@dataclass(frozen=True, slots=True)
class Unfolding:
    """A tensor as a matrix.

    Attributes:
        sides: whether each axis is one of rows.
    """

    sides: tuple[bool, ...]


@final
@dataclass(frozen=True, slots=True)
class SymmetricUnfolding:
    """A tensor as a matrix whose rows belong to two axes, and columns to one or two others.

    Attributes:
        sides: whether each axis is one of rows.
        multipliers: for rows and then, where they have two axes, columns: (n(n − 1)/2, m(m − 1)/2) for extents n, m.
    """

    sides: tuple[bool, ...]
    multipliers: tuple[Tensor, ...]


@final
@dataclass(frozen=True, slots=True)
class PeeledEnd:
    """Multipliers of the peeled layers, the last hidden one first, and a bound on what is left.

    Attributes:
        layers: p (signs, N, m) and g (N, m) of each.
        base: of the rows of the first weight.
    """

    layers: tuple[tuple[Tensor, Tensor], ...]
    base: ConeCover | Recomputed


@final
@dataclass(frozen=True, slots=True)
class Peeled:
    """Ends for S and for −S of one score column, or one for both signs of several."""

    ends: tuple[PeeledEnd, ...]


Proof = (
    Recomputed
    | Peeled
    | PowerTest
    | FactorForms
    | ConeCover
    | SignTree
    | ScalarMajorant
    | VectorMajorant
    | DoublyNonnegative
    | Unfolding
    | SymmetricUnfolding
)
