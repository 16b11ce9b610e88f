"""Polars of subnetworks without an activation under any norms: max uᵀGv over N(u), N'(v) ≤ 1 and cones, G = −HᵀS."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from certify.verify.forms.form import Form
from certify.verify.proofs.majorants import bordered
from certify.verify.proofs.proof import Proof
from certify.verify.reals import Arithmetic, Array, Reals
from certify.verify.rejection import require
from certify.verify.statement.side_norms import SideNorm


def vertices_hold(form: Form, proof: Proof, arithmetic: Arithmetic) -> bool:
    """N'°(±g) ≤ U for every row g of G where N is |u|₁, + alone in the cone; or so for columns and N°."""
    moments, side, other = _moments(form), form.left, form.right
    if not side.is_l1:
        moments, side, other = moments.T, other, side
    require(side.is_l1, "vertices-norms", "needs the norm l1 of one factor")
    ends = moments if side.nonnegative else moments.joined([moments, -moments], 0)
    return other.dual_within(ends, arithmetic.real(proof.upper))


def semidefinite_holds(form: Form, proof: Proof, arithmetic: Arithmetic) -> bool:
    """What follows, of G."""
    return forms_hold(_moments(form), (form.left, form.right), proof, arithmetic)


def forms_hold(moments: Reals, sides: Sequence[SideNorm], proof: Proof, arithmetic: Arithmetic) -> bool:
    """K = [[A, −(G + E)/2], [−(G + E)ᵀ/2, B]] ⪰ 0, and uᵀA u + vᵀB v ≤ U on the balls and cones.

    E ≥ 0 where both factors are nonnegative, so that uᵀE v ≥ 0; otherwise 0.
    """
    arrays, real = proof.arrays, arithmetic.real
    require(bool((arrays["levels"] >= 0).all()), "semidefinite-levels", "τ must be nonnegative")
    if "cross" in arrays:
        require(bool((arrays["cross"] >= 0).all()), "semidefinite-cross", "'cross' must be nonnegative")
        moments = moments + arrays["cross"]
    forms = [real(_symmetric(arrays[name])) for name in ("left", "right")]
    given = zip(sides, forms, arrays["levels"], strict=True)
    most = [side.form_upper(matrix, real(level)) for side, matrix, level in given]
    whole = bordered(forms[0], moments.T * -0.5, forms[1])
    return bool((most[0] + most[1]).high <= proof.upper) and arithmetic.proves_semidefinite(whole)


def _moments(form: Form) -> Reals:
    """G; cones tell it from −G."""
    return -(form.rows.T @ form.scores)


def _symmetric(values: Array) -> Array:
    """Of which the lower triangle is read."""
    lower: Array = np.tril(values)
    return lower + np.tril(values, -1).T
