"""Polar of a kink by decided signs of rows, one output: every direction lies in a leaf of each tree, or on an edge.

With r = (above − below) q and l = below q, q = −S or S, Σ q_i σ(t_i) = Σ r_i relu(t_i) + l_i t_i, t = X̃ u, |u|² ≤ ρ and
|t_i| ≤ R_i as for quadratic majorants. Where ε_i t_i ≥ −δ_i for decided rows, α ≥ 0 and 0 ≤ s ≤ 1,
    r_i relu(t_i) ≤ ([ε_i > 0] r_i + ε_i α_i) t_i + (max(r_i, 0) + α_i) δ_i for decided rows,
    r_i relu(t_i) ≤ s_i r_i t_i + max(r_i, 0) max(s_i, 1 − s_i) R_i for the others:
at most √ρ |w| and the constants, w the sum of all that multiplies u. Of the children of a node that decides row j, that
with ε_j = e may be void: for all u of the node, with sums over the rows decided there,
    e t_j ≤ √ρ |e x̃_j + Σ α_i ε_i x̃_i| + Σ α_i δ_i = δ_j,
so that the other child, where −e t_j ≥ −δ_j, has all of them. Elsewhere δ = 0.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, final

import numpy as np
import numpy.typing as npt

from certify.verify.forms.form import Form
from certify.verify.proofs.cone_walk import Integers, are_complete, second_children
from certify.verify.proofs.majorants import Region, region_of
from certify.verify.proofs.proof import Proof
from certify.verify.reals import Arithmetic, Array, Reals
from certify.verify.rejection import require

VOID = 255
# Entries of the rows and the inputs of nodes that are looked at together.
CHUNK = 2**21


@final
@dataclass(frozen=True, slots=True)
class Nodes:
    """B nodes: places in the preorder, tree 0 or 1, and of all rows ε (0 where undecided) and δ, (B, N)."""

    places: Integers
    trees: Integers
    signs: Array
    slacks: Array

    def __getitem__(self, index: Any) -> Nodes:  # noqa: ANN401
        return Nodes(*(getattr(self, field.name)[index] for field in fields(self)))

    def joined(self, other: Nodes) -> Nodes:
        pairs = ((getattr(self, field.name), getattr(other, field.name)) for field in fields(self))
        return Nodes(*(np.concatenate(pair) for pair in pairs))


@final
@dataclass(frozen=True, slots=True)
class Tree:
    """Nodes in preorder, the second child of each, and multipliers of leaves and void nodes, (K, N).

    Raises:
        Rejection: it is malformed.
    """

    splits: npt.NDArray[np.uint8]
    second: Integers
    ranks: Integers
    multipliers: Array

    def given(self, places: Integers) -> Array:
        """The multipliers of leaves and void nodes."""
        found: Array = self.multipliers[self.ranks[places]]
        return found

    def children(self, nodes: Nodes, sums: Sums) -> Nodes:
        """All children but void ones, which give theirs beside them a slack."""
        rows, own = self.splits[nodes.places].astype(np.int64) - 1, np.arange(len(nodes.places))
        fits = bool((rows < nodes.signs.shape[1]).all()) and not nodes.signs[own, rows].any()
        require(fits, "sign-tree-row", "a node decides a row that is not there, or is decided")
        places = (nodes.places + 1, self.second[nodes.places])
        positive, negative = (self.splits[place] == VOID for place in places)
        require(not (positive & negative).any(), "sign-tree-void", "both children of a node are void")
        parts = []
        for sign, place, other, empty in ((1.0, *places, negative), (-1.0, *places[::-1], positive)):
            signs, slacks = nodes.signs.copy(), nodes.slacks.copy()
            signs[own, rows] = sign
            slacks[own[empty], rows[empty]] = sums.edges(nodes[empty], rows[empty], -sign, self.given(other[empty]))
            parts.append(Nodes(place, nodes.trees, signs, slacks)[self.splits[place] != VOID])
        return parts[0].joined(parts[1])


@final
@dataclass(frozen=True, slots=True)
class Sums:
    """X̃, R, ρ and σ, and q of both trees, (2, N)."""

    region: Region
    scores: Reals

    def edges(self, nodes: Nodes, rows: Integers, sign: float, multipliers: Array) -> Array:
        """δ of rows (B,) whose other child, of this sign, is void, rounded up."""
        alpha = self.scores.of(np.where(nodes.signs != 0, multipliers, 0.0))
        chosen = np.where(np.arange(nodes.signs.shape[1]) == rows[:, None], sign, 0.0)
        return (self._lengths(alpha * nodes.signs + chosen) + (alpha * nodes.slacks).sum(1)).high

    def bounds(self, leaves: Nodes, multipliers: Array) -> Reals:
        """What leaves show."""
        decided, real, scores = leaves.signs != 0, self.scores.of, self.scores[leaves.trees]
        bent, alpha = self.region.activation.gap(scores), real(multipliers).only(decided)
        shares = real(np.where(decided, leaves.signs > 0, multipliers))
        weights = bent * shares + alpha * leaves.signs
        if self.region.activation.below != 0.0:
            weights = weights + scores * self.region.activation.below
        convex = bent.maximum(0.0)
        spread = (convex * shares.maximum(-shares + 1.0) * self.region.reach[None, :]).only(~decided)
        return self._lengths(weights) + spread.sum(1) + ((convex + alpha) * leaves.slacks).sum(1)

    def _lengths(self, weights: Reals) -> Reals:
        """√ρ |w| for what multiplies t, (B, N)."""
        return (weights @ self.region.inputs).row_norms() * self.region.radius.square_root()


def sign_tree_holds(form: Form, proof: Proof, arithmetic: Arithmetic) -> bool:  # noqa: ARG001
    """Every leaf shows at most U."""
    require(form.scores.shape[1] == 1, "sign-tree-outputs", "a tree of signs serves one output")
    scores, (tree, roots) = form.scores.T, _tree(proof)
    sums = Sums(region_of(form, proof, 0), scores.joined([-scores, scores], 0))
    blank = np.zeros((2, form.rows.shape[0]))
    waiting = [Nodes(roots, np.arange(2), blank, blank)]
    size = max(1, CHUNK // sum(form.rows.shape))
    while waiting:
        nodes = waiting.pop()
        is_leaf = tree.splits[nodes.places] == 0
        leaves = nodes[is_leaf]
        multipliers = tree.given(leaves.places)
        require(bool((multipliers[leaves.signs == 0] <= 1).all()), "sign-tree-multipliers", "needs s ≤ 1")
        if not bool((sums.bounds(leaves, multipliers).high <= proof.upper).all()):
            return False
        children = tree.children(nodes[~is_leaf], sums)
        waiting.extend(children[at : at + size] for at in range(0, len(children.places), size))
    return True


def _tree(proof: Proof) -> tuple[Tree, Integers]:
    """The tree, and its two roots."""
    splits, multipliers = proof.arrays["splits"], proof.arrays["multipliers"]
    ends = (splits == 0) | (splits == VOID)
    count = int(ends.sum())
    require(count == len(multipliers), "sign-tree-shape", f"{count} leaves and void nodes, {len(multipliers)} rows")
    require(bool((multipliers >= 0).all()), "sign-tree-multipliers", "needs α ≥ 0 and s ≥ 0")
    shape = np.where(ends, 0, splits)
    require(are_complete(shape, 2), "sign-tree-shape", f"{len(splits)} nodes are not two complete trees in preorder")
    roots, second = second_children(shape)
    require(not (splits[roots] == VOID).any(), "sign-tree-void", "a root is void")
    return Tree(splits, second, np.cumsum(ends) - 1, multipliers), roots
