"""The step `peel`: from the polar of K layers to one of two, one weight after the other, from the last.

In front of a hidden layer t stands the seminorm V(t) = |Cᵀσ(t)| + Σ_b |√D_b ∘ σ(t)|, C = S of −A and no D at the last
one, and the polar is at most the largest V. For a column c of C, q = (above − below) c, b = max(−q, |g|), a = q + b,
any g and p > 0,

    c·σ(t) ≤ l·t + tᵀdiag(p)t + k,   l = (q − g)/2 + below c,   k = Σ a_i²/(16 p_i),
    c·σ(t) ≤ l·t + |√w ∘ t|,   w = 4 k p,   since both sides may be scaled: s t for t, s > 0.

For −c the same with −g and a p of its own, whose l is −l, so that |c·σ(t)| ≤ |l·t| + |√max(w, w') ∘ t|; one score
column at the last layer has an end for each sign, where c or −c alone counts. With L = max(|above|, |below|), V(t) is
at most |l_jᵀt|_j + |√(Σ_j w_j) ∘ t| + Σ_b L |√D_b ∘ t| (Minkowski). And t = Σ_b w_b·z_b, read through a hop, |w| ≤ 1,
leads to a seminorm of what the layer before makes, of which one channel attains the maximum (Cauchy-Schwarz).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from certify.verify.forms.form import Form, with_column
from certify.verify.proofs.proof import Proof
from certify.verify.reals import Array, Mask, Real, Reals
from certify.verify.rejection import require
from certify.verify.statement.activations import Kink
from certify.verify.statement.ends import SIGNS
from certify.verify.statement.entries import EntryTerm
from certify.verify.statement.entry_penalties import EntryPenalty
from certify.verify.statement.neuron import Neuron
from certify.verify.statement.problem import Branch


def peeled_forms(branch: Branch, inputs: Array, dual: Reals, proof: Proof, real: Real) -> Iterator[tuple[Form, Proof]]:
    """The forms of two layers that a proof leads to, and the proof of each; the largest polar of theirs bounds.

    Raises:
        Rejection: μ is not positive, or p is negative.
    """
    neuron, _, rows = _read(branch, inputs, real)
    scores = neuron.readout.scores(dual, inputs)
    for end in neuron.ends(scores.shape[1]):
        own = {name.removeprefix(f"{end}."): a for name, a in proof.arrays.items() if name.startswith(f"{end}.")}
        columns, diagonals = scores * -SIGNS.get(end, 1.0), list[Reals]()
        for place, hop in enumerate(reversed(neuron.hops)):
            names = () if hop.kink.is_linear else ("curvatures", "slopes")
            columns, diagonals = _peeled(columns, diagonals, hop.kink, [own[f"{name}-{place}"] for name in names])
            columns, diagonals = hop.columns_back(columns), [hop.squares_back(weights) for weights in diagonals]
        form = Form(rows, columns, neuron.activation, False, diagonals=tuple(diagonals))
        yield form, Proof(proof.kind, proof.upper, None, own)


def _peeled(columns: Reals, diagonals: list[Reals], kink: Kink, multipliers: list[Array]) -> tuple[Reals, list[Reals]]:
    """Columns l (N, m) and diagonals (N,) each, from C (N, m) and D; p is (signs, N, m), g (N, m)."""
    real = columns.of
    kept = [weights * (real(kink.steepest) * kink.steepest) for weights in diagonals]
    if kink.is_linear:
        return columns * kink.above, kept
    curvatures, slopes = multipliers
    require(bool((curvatures >= 0).all()), "peel-curvatures", "p must be nonnegative")
    bent, weights = kink.gap(columns), real(np.zeros(columns.shape))
    for sign, curved in zip((1.0, -1.0), curvatures, strict=False):
        signed = bent * sign
        weights = weights.maximum(_weights(signed + (-signed).maximum(real(slopes).absolute()), curved))
    return (bent - slopes) * 0.5 + columns * kink.below, [*kept, weights.sum(1)]


def _weights(sides: Reals, curvatures: Array) -> Reals:
    """4 k p, (N, m), for a (N, m); where a is not 0 and p is, a p of its own is taken."""
    real = sides.of
    bent: Mask = ~sides.is_zero & (np.abs(sides.high) > 0)
    used = np.where(bent, np.where(curvatures > 0, curvatures, np.abs(sides.high) / 4 + 2.0**-200), 0.0)
    constants = (sides * sides / (real(np.where(bent, used, 1.0)) * 16.0)).sum(0)
    return real(used) * (constants * 4.0)[None, :]


def _read(branch: Branch, inputs: Array, real: Real) -> tuple[Neuron, Kink, Reals]:
    """The subnetwork, its first activation, and the rows H, a penalized bias among the columns."""
    neuron, penalty = branch.neuron, branch.penalty
    if isinstance(neuron, EntryTerm) or isinstance(penalty, EntryPenalty):
        raise TypeError("not of data rows")
    if not isinstance(neuron.activation, Kink):
        raise TypeError("not of several layers")
    rows = real(neuron.rows(inputs))
    if branch.bias == "absent":
        return neuron, neuron.activation, rows
    return neuron, neuron.activation, with_column(rows, penalty.constant(real))


def deep_length(branch: Branch, inputs: Array, dual: Reals, real: Real) -> Reals:
    """An upper bound on the polar at −A: Σ_i |S_i| |z_i|, z_i what the last weight reads of a sample.

    A weight of norm 1 that is read at Q positions takes a norm to at most √Q times it; averages do not enlarge what
    one position reads of them.
    """
    neuron, first, rows = _read(branch, inputs, real)
    lengths = rows.reshape(len(inputs), -1).row_norms()
    for kink, count in [(first, 1), *((hop.kink, hop.places.size) for hop in neuron.hops)]:
        lengths = lengths * (real(float(count)).square_root() * kink.steepest)
    scores = neuron.readout.scores(dual, inputs).row_norms().reshape(len(inputs), -1)
    return (scores.sum(1) * lengths).sum()
