"""The lower end where the penalty has a smaller degree than the subnetworks.

The penalty is at least τ^{2/D} with τ = Σ_i λ t_i, t_i the products Π_k n_k^{d_k} of all subnetworks, since x^{2/D} is
concave and 0 at 0. Every dual point sA of value a shows that loss and convex part are at least a − p τ, where p is at
least s Ω°(−A)/λ of every branch. So no network lies below

    min over τ ≥ 0 of max_j (a_j − p_j τ) + τ^{2/D},

where the maximum is convex and piecewise affine: the sum is concave between its kinks, and if some p_j is 0, the
minimum is at 0 or where two lines meet.
"""

from __future__ import annotations

import math

import numpy as np

from certify.verify.reals import Array, Real


def least_sum(values: Array, slopes: Array, degree: int, real: Real) -> float:
    """Lower bound on the minimum for lines a (J,) and p (J,), p ≥ 0; −inf unless one p is 0."""
    if not bool((slopes == 0).any()):
        return -math.inf
    first, second = np.nonzero((slopes[:, None] > slopes) & (values[:, None] > values))
    places = real(np.zeros(1))
    rises = real(np.zeros(1))
    if len(first):
        kinks = (real(values[first]) - values[second]) / (real(slopes[first]) - slopes[second])
        places = kinks.joined([places, kinks], 0)
        rises = kinks.joined([rises, (kinks.logarithm() * 2.0 / real(degree)).exponential()], 0)
    heights = (real(values)[None, :] - places[:, None] * slopes[None, :]).low.max(1)
    return float((rises + heights).low.min())
