"""How the second weight of a subnetwork reads the hidden values: R[o, p, k], and both ways through it.

    output (j, o) of sample i = Σ_p Σ_k σ(h_ip·u) R[o, p, k] v[j, k],   R = counts / unit,
    <A, φ> = vᵀ Sᵀ σ(H u),   S[(i, p), (j, k)] = Σ_o A[i, (j, o)] R[o, p, k].

Where the hidden value is multiplied by the inputs, position p is that of input p, and carries the factor x_ip.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np

from certify.verify.reals import Array, Reals


@final
@dataclass(frozen=True, slots=True)
class Readout:
    """R.

    Attributes:
        counts: integers, (O, P, K).
        unit: their common denominator.
        times_inputs: whether position p carries the factor x_ip; then there is one hidden value a sample.
    """

    counts: Array
    unit: int
    times_inputs: bool

    @property
    def is_plain(self) -> bool:
        """Whether there is one position, which counts once: the outputs are σ(h·u) v, and S = A."""
        return self.counts.shape == (1, 1, 1) and self.counts[0, 0, 0] == self.unit and not self.times_inputs

    def scores(self, dual: Reals, inputs: Array) -> Reals:
        """S, (n P, c/O·K), or (n, c/O·K) where positions carry inputs, from A (n, c) and X (n, d)."""
        if self.is_plain:
            return dual
        (o, p, k), (n, c) = self.counts.shape, dual.shape
        if bool(dual.is_zero.all()):
            return dual.of(np.zeros((n * (1 if self.times_inputs else p), c // o * k)))
        found = _contracted(dual.reshape(n * (c // o), o), self.counts.reshape(o, p * k))
        found = _transposed(found, (n, c // o, p, k), (0, 2, 1, 3)).reshape(n * p, c // o * k)
        if self.times_inputs:
            found = (found.reshape(n, p, -1) * dual.of(inputs)[:, :, None]).sum(1)
        return found if self.unit == 1 else found / float(self.unit)

    def outputs(self, hidden: Reals, second: Array, inputs: Array) -> Reals:
        """Z, (n, c), of hidden values (n P, r), or (n, r) where positions carry inputs, and V (r, c/O·K)."""
        if self.is_plain:
            return hidden @ second
        (o, p, k), (r, m), n = self.counts.shape, second.shape, len(inputs)
        entries, counts = second.reshape(r * (m // k), k), self.counts.transpose(2, 1, 0).reshape(k, p * o)
        weights, shape = _contracted(hidden.of(entries), counts), (r, m // k, p, o)
        if self.times_inputs:
            images = hidden @ _transposed(weights, shape, (0, 2, 1, 3)).reshape(r, p * (m // k) * o)
            found = (images.reshape(n, p, m // k * o) * hidden.of(inputs)[:, :, None]).sum(1)
        else:
            found = hidden.reshape(n, p * r) @ _transposed(weights, shape, (2, 0, 1, 3)).reshape(p * r, m // k * o)
        return found if self.unit == 1 else found / float(self.unit)


def _contracted(values: Reals, counts: Array) -> Reals:
    """Values (a, s) times counts (s, t); without rounding where every column counts one entry once."""
    if counts.size and counts.max() <= 1 and counts.sum(0).max() <= 1:
        return values[:, counts.argmax(0)].only(np.greater(counts.sum(0), 0))
    return values @ counts


def _transposed(values: Reals, shape: tuple[int, ...], axes: tuple[int, ...]) -> Reals:
    """The entries, of the given shape, with axes in another order; flat."""
    order = np.arange(np.prod(shape)).reshape(shape).transpose(axes).reshape(-1)
    return values.reshape(-1)[order]
