"""The step `project`: rows in fewer dimensions, and floats for scores, at the cost of what they are off by.

For any rows G (N, k), frame F and scores S~, with L the Lipschitz constant of σ, φ ≥ |F|₂, h̃_i = h_i, and |u| ≤ 1:

    P(H, S) ≤ φ P(G, S~) + Σ |S~_i| |h̃_i − F g_i| L + Σ |S_i − S~_i| |h̃_i| L.

A diagonal D becomes D~ likewise, at the cost of L |(√D~_i |h̃_i − F g_i|)_i| + L |((√D_i − √D~_i) |h̃_i|)_i|. With a
free column h̃_i = h_i − m for any m; the constant 1 becomes a constant κ > 0 beside the rows of G.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np

from certify.verify.forms.form import Form
from certify.verify.proofs.proof import Proof
from certify.verify.reals import Array, Reals
from certify.verify.statement.activations import Kink, Square


@final
@dataclass(frozen=True, slots=True)
class Projection:
    """The smaller form, in floats, and what its polar says of the larger one: P ≤ gain · P' + rest, gain = φ.

    Attributes:
        rows: G, (N, k), with the free column κ appended where there is one.
        scores: S~, (N, m).
        sizes: √D~ of every diagonal, (b, N).
        free: whether the last coordinate is outside the norm.
    """

    rows: Array
    scores: Array
    sizes: Array
    activation: Kink
    free: bool
    gain: Reals
    rest: Reals


def project(form: Form, proof: Proof) -> Projection:
    """The form in the coordinates of the frame of a proof."""
    activation = form.activation
    if isinstance(activation, Square):
        raise TypeError("a projection serves kinks")
    frame, rows, scores = proof.arrays["frame"], proof.arrays["rows"], form.scores.near
    real, inputs = form.rows.of, form.rows
    inputs = inputs - proof.arrays["center"] if form.free else inputs
    residuals = (inputs - real(rows) @ frame.T).row_norms()
    changes, sizes = form.scores - scores, np.zeros((0, len(rows)))
    rest = (real(scores).row_norms() * residuals).sum()
    if not bool(changes.is_zero.all()):
        rest = rest + (changes.row_norms() * inputs.row_norms()).sum()
    for weights in form.diagonals or ():
        roots = weights.square_root()
        known = np.maximum(roots.near, 0.0)
        lost = (residuals * known, (roots - known) * inputs.row_norms())
        rest = rest + lost[0].reshape(1, -1).row_norms().sum() + lost[1].reshape(1, -1).row_norms().sum()
        sizes = np.concatenate([sizes, known[None]])
    rest = rest if activation.steepest == 1.0 else rest * activation.steepest
    gram = (real(frame.T) @ frame).absolute().sum(1)
    gain = real(gram.high.max(initial=2.0**-60)).square_root()
    if form.free:
        rows = np.concatenate([rows, np.full((len(rows), 1), proof.arrays["column"][0])], 1)
    return Projection(rows, scores, sizes, activation, form.free, gain, rest)
