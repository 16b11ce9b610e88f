"""The polar of a kink with one input and a free column, by sorting.

With 1ᵀS = 0, P = max over both signs and all samples k of |Σ_j S_j σ(±(x_j − x_k))|: as a function of the breakpoint
the vector inside is affine between neighboring samples and constant beyond them, and a norm is convex, so that it is
largest at a sample. With x ascending and S_1 + … + S_k summed, the sums of S_j relu(x_k − x_j) are r_1 = 0,
r_{k+1} = r_k + (S_1 + … + S_k) (x_{k+1} − x_k), and the same of −x for the other sign. A kink adds a linear part:

    Σ_j S_j σ(x_k − x_j) = (above − below) r_k − below Σ_j S_j x_j.
"""

from __future__ import annotations

import numpy as np

from certify.verify.forms.form import Form
from certify.verify.proofs.proof import Proof
from certify.verify.reals import Arithmetic, Reals
from certify.verify.rejection import require
from certify.verify.statement.activations import Kink, Square


def sorting_holds(form: Form, proof: Proof, arithmetic: Arithmetic) -> bool:  # noqa: ARG001
    """Whether the polar is shown to be at most the claimed bound.

    Raises:
        Rejection: there is more than one input, or no free column.
    """
    activation = form.activation
    fits = form.free and form.rows.shape[1] == 1
    require(fits, "sorting-inputs", "sorting needs one input and a free hidden bias")
    if isinstance(activation, Square):
        return False
    sides = (form.rows[:, 0], -form.rows[:, 0])
    return all(_largest(side, form.scores, activation) <= proof.upper for side in sides)


def _largest(positions: Reals, scores: Reals, activation: Kink) -> float:
    """Bound on |Σ_j S_j σ(x_k − x_j)| over all k."""
    if positions.shape[0] == 1:
        return 0.0
    order = np.argsort(positions.near, kind="stable")
    ascending, ordered = positions[order], scores[order]
    gaps = ascending[1:] - ascending[:-1]
    responses = activation.gap((ordered.running_sum()[:-1] * gaps.reshape(-1, 1)).running_sum())
    if activation.below != 0.0:
        linear = (ordered * ascending.reshape(-1, 1)).sum(0).reshape(1, -1) * activation.below
        responses = scores.joined([responses - linear, -linear], 0)
    return float(responses.row_norms().high.max())
