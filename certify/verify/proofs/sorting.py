"""The polar of ReLU networks with one input and a free hidden bias, by sorting.

With 1ᵀA = 0, Ω°(−A) = max over both signs and all samples k of |Σ_j A_j relu(±(x_j − x_k))|: as a function of the
breakpoint the vector inside is affine between neighboring samples and constant beyond them, and a norm is convex, so
that it is largest at a sample. With x ascending and S_k = A_1 + … + A_k the sums of A_j relu(x_k − x_j) are r_1 = 0,
r_{k+1} = r_k + S_k (x_{k+1} − x_k), and the same of −x for the other sign.
"""

from __future__ import annotations

import numpy as np

from certify.verify.statement.certificate import Certificate
from certify.verify.reals import Arithmetic, Array
from certify.verify.rejection import require


def sorting_holds(certificate: Certificate, arithmetic: Arithmetic) -> bool:
    """Whether the polar is shown to be at most the claimed bound.

    Raises:
        Rejection: there is more than one input, or the bias is not free.
    """
    inputs, dual = certificate.arrays["X"], certificate.arrays["A"]
    fits = certificate.free_hidden and inputs.shape[1] == 1
    require(fits, "sorting-inputs", "sorting needs one input and a free hidden bias")
    sides = (inputs[:, 0], -inputs[:, 0])
    return all(_largest(side, dual, arithmetic) <= certificate.polar_upper for side in sides)


def _largest(positions: Array, dual: Array, arithmetic: Arithmetic) -> float:
    """Bound on |Σ_j A_j relu(x_k − x_j)| over all k."""
    if len(positions) == 1:
        return 0.0
    order = np.argsort(positions, kind="stable")
    ascending = positions[order]
    gaps = arithmetic.real(ascending[1:]) - arithmetic.real(ascending[:-1])
    slopes = arithmetic.real(dual[order]).running_sum()[:-1]
    responses = (slopes * gaps.reshape(-1, 1)).running_sum()
    return float(responses.row_norms().high.max())
