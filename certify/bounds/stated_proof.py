"""Bounds on a polar as certificates state them: kind, steps, U and arrays, with room for a checker's own rounding."""

from __future__ import annotations

from dataclasses import dataclass
from typing import assert_never, final

import numpy as np
from torch import Tensor

from certify.bounds.bilinear.coupling import norms_of
from certify.bounds.bilinear.stated_forms import stated_forms
from certify.bounds.polar import PolarBound
from certify.bounds.proof import (
    ConeCover,
    DoublyNonnegative,
    FactorForms,
    Peeled,
    PeeledEnd,
    PowerTest,
    Recomputed,
    ScalarMajorant,
    SignTree,
    SymmetricUnfolding,
    Unfolding,
    VectorMajorant,
)
from certify.bounds.rows.relaxations.direction_region import direction_region
from certify.bounds.rows.relaxations.doubly_nonnegative.stated_products import stated_products
from certify.bounds.rows.relaxations.stated_majorant import stated_scalar, stated_vector
from certify.bounds.rows.rows_form import rows_form
from certify.bounds.stated_arrays import Array, array_of
from certify.problem import Branch, Deep, Rows

# A polar of 0 is claimed to be at most this, so that the checker's allowance for underflow has room.
SMALLEST_POLAR = 2.0**-200


@final
@dataclass(frozen=True, slots=True)
class StatedProof:
    """What a certificate holds of a bound on the polar of one branch; nothing has been checked.

    Attributes:
        kind: of the base proof.
        steps: reductions before it, in order.
        upper: U, the claim.
        arrays: of base proof and steps, by name.
    """

    kind: str
    steps: tuple[str, ...]
    upper: float
    arrays: dict[str, Array]


def stated(branch: Branch, dual: Tensor, bound: PolarBound, margin: float) -> StatedProof:
    """The statement of a bound at A (n, c).

    Args:
        branch: whose polar is bounded.
        dual: A.
        bound: the interval with its proof.
        margin: relative room between the bound and the claim.
    """
    if not bool(dual.any()):
        return StatedProof("zero", (), 0.0, {})
    upper = max(bound.upper * (1 + margin), SMALLEST_POLAR)
    match bound.proof:
        case Recomputed(kind):
            return StatedProof(kind, (), upper, {})
        case PowerTest(edge):
            return StatedProof("randomized", (), upper, {"edge": np.array([edge])})
        case FactorForms() as proof:
            own, arrays = stated_forms(norms_of(branch), proof, margin)
            return StatedProof("semidefinite", (), max(own, SMALLEST_POLAR), arrays)
        case ConeCover() as proof:
            return StatedProof("cone-tree", ("project",), upper, _stated_cones(proof))
        case SignTree() as proof:
            return StatedProof("sign-tree", (), upper, _stated_signs(rows_form(branch), proof))
        case ScalarMajorant() as proof:
            own, arrays = stated_scalar(rows_form(branch), branch.scores(dual), bound, proof, margin)
            return StatedProof("scalar-majorant", (), max(own, SMALLEST_POLAR), arrays)
        case VectorMajorant() as proof:
            own, arrays = stated_vector(rows_form(branch), branch.scores(dual), proof, margin)
            return StatedProof("vector-majorant", (), max(own, SMALLEST_POLAR), arrays)
        case DoublyNonnegative() as proof:
            own, arrays = stated_products(rows_form(branch), proof, margin)
            return StatedProof("doubly-nonnegative", (), max(own, SMALLEST_POLAR), arrays)
        case Unfolding(sides):
            return StatedProof("unfolding", (), upper, {"sides": np.array(sides, np.uint8)})
        case SymmetricUnfolding(sides, multipliers):
            found = zip(("row_multipliers", "column_multipliers"), map(array_of, multipliers), strict=False)
            return StatedProof("symmetric-unfolding", (), upper, {"sides": np.array(sides, np.uint8), **dict(found)})
        case Peeled(ends):
            base, arrays = ends[0].base, _stated_ends(branch, ends)
            peels = ("peel",) * (len(branch.kind.degrees) - 2)
            if isinstance(base, Recomputed):
                return StatedProof(base.kind, peels, upper, arrays)
            return StatedProof("cone-tree", (*peels, "project"), upper, arrays)
        case other:
            assert_never(other)


def _stated_cones(proof: ConeCover) -> dict[str, Array]:
    """The arrays of a cone tree; the column of a free bias is told by its constant."""
    tree, frame, rows = proof.tree, proof.frame, proof.rows
    found = {"splits": np.asarray(tree.splits, np.uint8), "tangents": np.asarray(tree.tangents, np.uint8)}
    if tree.free_axis is None:
        return {"frame": array_of(frame), "rows": array_of(rows)} | found
    free = {"center": array_of(proof.center[:-1]), "column": array_of(frame[-1:, -1])}
    return {"frame": array_of(frame[:-1, :-1]), "rows": array_of(rows[:, :-1])} | found | free


def _stated_ends(branch: Branch, ends: tuple[PeeledEnd, ...]) -> dict[str, Array]:
    """The arrays of peeled layers, by their places from the last one, and of the base of every end."""
    if not isinstance(branch.kind, Deep):
        raise TypeError("not of several layers")
    kinked = [place for place, slopes in enumerate(reversed(branch.kind.slopes[1:])) if slopes.bend != 0]
    found: dict[str, Array] = {}
    for name, end in zip(("plus", "minus") if len(ends) == 2 else ("both",), ends, strict=True):
        own: dict[str, Array] = {}
        for place, (curvatures, slopes) in zip(kinked, end.layers, strict=True):
            own |= {f"curvatures-{place}": array_of(curvatures), f"slopes-{place}": array_of(slopes)}
        own |= _stated_cones(end.base) if isinstance(end.base, ConeCover) else {}
        found |= {f"{name}.{key}": array for key, array in own.items()}
    return found


def _stated_signs(form: Rows, proof: SignTree) -> dict[str, Array]:
    """The arrays of trees of signs: row i is decided by i + 1; 0 is a leaf, 255 void."""
    splits = (np.array(proof.splits) + 1).astype(np.uint8)
    column = direction_region(form.view, proof.center, proof.ratio).inputs[:1, -1]
    free = {"center": array_of(proof.center), "column": array_of(column)} if form.view.free_inputs else {}
    return {"splits": splits, "multipliers": array_of(proof.multipliers)} | free
