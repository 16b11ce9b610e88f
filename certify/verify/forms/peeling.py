"""The step `peel`: from the polar of K layers to one of two, one weight after the other, from the last.

In front of a hidden layer t stands V(t) = Σ_i D_i σ(t_i)² + Σ_j (c_j·σ(t))², D = 0 and c = S at the last one, and the
polar squared is at most the largest V. With q = (above − below) c, b = max(−q, |g|), a = q + b, any g and p > 0,

    c·σ(t) ≤ l·t + tᵀdiag(p)t + k,   l = (q − g)/2 + below c,   k = Σ a_i²/(16 p_i),
    (c·σ(t))₊² ≤ (1 + 1/μ) (l·t)² + 4 (1 + μ) k tᵀdiag(p)t   for any μ > 0, since the left side is homogeneous.

For −c the same with −g, whose l is −l, gives (c·σ(t))²; one score column at the last layer has an end for each sign,
where c or −c alone is squared. So V(t) ≤ Σ_i D'_i t_i² + Σ_j (l'_j·t)²; and t = Σ_b w_b·z_b, read through a hop with
|w| ≤ 1, leads to V(z) of the layer before, convex in the channels b, of which one attains the maximum.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from certify.verify.forms.form import Form, with_column
from certify.verify.proofs.proof import Proof
from certify.verify.reals import Array, Real, Reals
from certify.verify.rejection import require
from certify.verify.statement.activations import Kink
from certify.verify.statement.ends import ENDS, SIGNS
from certify.verify.statement.entries import EntryTerm
from certify.verify.statement.neuron import Neuron
from certify.verify.statement.penalties import ProductOfNorms
from certify.verify.statement.problem import Branch


def peeled_forms(branch: Branch, inputs: Array, dual: Reals, proof: Proof, real: Real) -> Iterator[tuple[Form, Proof]]:
    """The forms of two layers that a proof leads to, and the proof of each; the largest polar of theirs bounds.

    Raises:
        Rejection: μ is not positive, or p is negative.
    """
    neuron, _, rows = _read(branch, inputs, real)
    scores = neuron.readout.scores(dual, inputs)
    for end in ENDS[scores.shape[1] == 1]:
        own = {name.removeprefix(f"{end}."): a for name, a in proof.arrays.items() if name.startswith(f"{end}.")}
        columns, diagonal = scores * SIGNS.get(end, 1.0), real(np.zeros(scores.shape[0]))
        for place, hop in enumerate(reversed(neuron.hops)):
            names = () if hop.kink.is_linear else ("curvatures", "slopes", "mixings")
            columns, diagonal = _peeled(columns, diagonal, hop.kink, [own[f"{name}-{place}"] for name in names])
            columns, diagonal = hop.columns_back(columns), hop.squares_back(diagonal)
        yield Form(rows, columns, neuron.activation, False, diagonal=diagonal), Proof(proof.kind, proof.upper, None, own)


def _peeled(
    columns: Reals, diagonal: Reals, kink: Kink, multipliers: list[Array]
) -> tuple[Reals, Reals]:
    """l' (N, m) and D' (N,) from c (N, m) and D (N,); p is (signs, N, m), g (N, m), and μ (signs, m)."""
    real = columns.of
    if kink.is_linear:
        return columns * kink.above, diagonal * real(kink.above) * kink.above
    curvatures, slopes, mixings = multipliers
    fits = bool((mixings > 0).all() and (curvatures >= 0).all())
    require(fits, "peel-multipliers", "μ must be positive, p not negative")
    bent, share, squares = kink.gap(columns), real(np.zeros(columns.shape[1])), real(np.zeros(columns.shape))
    for sign, curved, mixing in zip((1.0, -1.0), curvatures, mixings, strict=False):
        signed = bent * sign
        quadratic, constant = _constants(signed + (-signed).maximum(real(slopes).absolute()), curved)
        squares = squares.maximum(quadratic * (constant * (real(mixing) + 1.0) * 4.0)[None, :])
        share = share.maximum(real(1.0) / real(mixing) + 1.0)
    lines = (bent - slopes) * 0.5 + columns * kink.below
    return lines * share.square_root()[None, :], diagonal * real(kink.steepest) * kink.steepest + squares.sum(1)


def _constants(sides: Reals, curvatures: Array) -> tuple[Reals, Reals]:
    """P (N, m) and k (m,) for a (N, m); where a is not 0 and p is, a p of its own is taken."""
    real = sides.of
    bent = ~sides.is_zero & (np.abs(sides.high) > 0)
    needed = np.abs(sides.high) / 4 + 2.0**-200
    used = np.where(bent, np.where(curvatures > 0, curvatures, needed), 0.0)
    safe = np.where(bent, used, 1.0)
    return real(used), (sides * sides / (real(safe) * 16.0)).sum(0)


def _read(branch: Branch, inputs: Array, real: Real) -> tuple[Neuron, Kink, Reals]:
    """The subnetwork, its first activation, and the rows H, a penalized bias among the columns."""
    neuron, penalty = branch.neuron, branch.penalty
    if isinstance(neuron, EntryTerm) or not isinstance(neuron.activation, Kink):
        raise TypeError("not of several layers")
    rows = real(neuron.rows(inputs))
    if branch.bias == "absent" or not isinstance(penalty, ProductOfNorms):
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
