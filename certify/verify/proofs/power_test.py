"""A randomized test that the largest singular value of a matrix is at most a bound, rounding accounted for.

Let M = GᵀG (N, N), c > 0, B = (c/2) M − I, and t_0 = g ~ N(0, I), t_1 = B g, t_{j+1} = 2 B t_j − t_{j−1}, which is
t_j = T_j(B) g: Chebyshev's polynomials, which stay within [−1, 1] on [−1, 1] and grow beyond it. If σ_max(G)² ≤ 4/c
no t_j is longer than g. If σ_max(G) > U, let v be its singular vector, β = (c/2) σ_max² − 1 > b = (c/2) U² − 1 > 1. In
the computed recurrence each step adds an error of norm at most ηR as long as |t_j| ≤ R, so that x_j = <v, t_j> obeys

    x_k = T_k(β) x_0 + Σ_{j<k} U_{k−1−j}(β) e_j,  |e_j| ≤ ηR.

With β = cosh a', b = cosh a: U_{i−1}(β)/T_k(β) = sinh(i a')/(sinh a' cosh(k a')) ≤ e^{−(k−i)a'}/sinh a'. So |t_j| ≤ R
for all j ≤ k implies

    |x_0| ≤ δ = R/cosh(k a) + ηR/(sinh a (1 − e^{−a})),

and x_0 ~ N(0, 1) whatever v is, of probability at most δ √(2/π). STARTS independent g give its STARTS-th power. The
Krylov argument is that of Kuczynski and Wozniakowski 1992, here without orthogonalization.
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from typing import Any, final

import numpy as np

from certify.verify.enclosure import GROW, SQUARES_UNDERFLOW, TINY, gamma
from certify.verify.forms.form import Form
from certify.verify.forms.sparse_floats import SparseFloats
from certify.verify.proofs.proof import Proof
from certify.verify.proofs.spectral import moments_of
from certify.verify.reals import Arithmetic, Array, Reals
from certify.verify.rejection import refuse_proof

# Independent starting vectors, multiplied together as columns of one matrix.
STARTS = 8
# Largest degree k that the test runs.
LARGEST_DEGREE = 20_000
# Room in R beyond √N: a start is longer with probability e^-50, and then the test fails, not the proof.
LENGTH_ROOM = 10.0
# Covers the rounding of all scalar formulas here, each of a few units in the last place.
_SLACK = 1 + 2.0**-20
# Least edge and inverse of the largest bound, for entries of size 1; keeps all numbers here within range.
_SMALLEST = 2.0**-100
# Least b − 1: its own rounding stays far below.
_LEAST_EXCESS = 2.0**-30
# A check may be repeated at this many precisions; the probabilities that it errs add up.
MOST_RUNS = 3


@final
@dataclass(frozen=True, slots=True)
class PowerTest:
    """What a test of one matrix will do, by G, c, R and k; fixed before any random number is drawn.

    G (m, N) has N ≤ m, and its largest entry is in [1/2, 1).
    """

    matrix: Array | SparseFloats
    factor: float
    length: float
    degree: int

    def passes(self, starts: Array) -> bool:
        """Whether no t_j is longer than R, for starts g (N, s)."""
        before, now = starts, starts
        for step in range(self.degree):
            image = self.factor * (self.matrix.T @ (self.matrix @ now)) - 2 * now
            before, now = now, image / 2 if step == 0 else image - before
            if not bool((np.linalg.norm(now, axis=0) <= self.length).all()):
                return False
        return bool((np.linalg.norm(starts, axis=0) <= self.length).all())


def power_test_holds(form: Form, proof: Proof, arithmetic: Arithmetic) -> bool:  # noqa: ARG001
    """Whether a test accepts σ_max(G) ≤ U, G = HᵀS; if that is false, with at most the claimed probability.

    Raises:
        Rejection: no test is that certain.
    """
    moments = moments_of(form)
    return is_accepted(moments.near, moments, proof)


def is_accepted(matrix: Array | SparseFloats, moments: Reals, proof: Proof) -> bool:
    """The same of any G: floats near it, and enclosures of all its entries that need not be 0.

    Only the distance of G from floats is taken from U.

    Raises:
        Rejection: no test is that certain.
    """
    near = moments.near
    radii = np.maximum(moments.high - near, near - moments.low) * GROW
    radius = float(np.linalg.norm(radii)) * (1 + gamma(radii.size + 16)) + SQUARES_UNDERFLOW
    upper = (proof.upper - radius) / GROW
    edge, probability = float(proof.arrays["edge"][0]), proof.failure_probability or 0.0
    test = plan_test(matrix, upper, edge, probability / MOST_RUNS)
    if isinstance(test, str):
        refuse_proof("randomized-test", f"no test of failure probability {probability!r}: {test}")
    return test.passes(random_starts(test.matrix.shape[1]))


def plan_test(matrix: Array | SparseFloats, upper: float, edge: float, probability: float) -> PowerTest | str:
    """The test of σ_max(G) ≤ U that a false bound passes with at most the given probability; or why there is none.

    Args:
        matrix: G, (m, N) with N ≤ m.
        upper: U.
        edge: a number below U and, if the test is to pass, not below σ_max(G).
        probability: of accepting a false bound, in (0, 1).
    """
    sizes: Any = abs(matrix)
    largest = float(sizes.max(initial=0.0))
    if not (0 < edge < upper and largest > TINY):
        return f"the edge {edge!r} is not between 0 and {upper!r}, or the matrix is 0"
    power = 2.0 ** -math.frexp(largest)[1]
    matrix, upper, edge = matrix * power, upper * power, edge * power
    if not _SMALLEST <= edge < upper <= 1 / _SMALLEST:
        return f"the edge {edge!r} or the bound {upper!r} is far from the entries of the matrix, at most 1"
    factor, size = 4 / edge**2, matrix.shape[1]
    excess = (factor / 2 * upper**2 - 1) * (1 - 2.0**-40) - 1
    if not _LEAST_EXCESS <= excess < math.inf:
        return f"U is {upper / edge!r} times the edge"
    length = math.sqrt(size) + LENGTH_ROOM
    rate = math.acosh(1 + excess) / _SLACK
    step_error = _step_error(matrix, factor)
    floor = step_error / (math.sinh(rate) * -math.expm1(-rate)) * _SLACK
    aim = probability ** (1 / STARTS) * math.sqrt(math.pi / 2) / (length * 1.001) / _SLACK - floor
    if not aim > 0:
        return f"rounding alone leaves {(floor * length * math.sqrt(2 / math.pi)) ** STARTS!r}"
    degree = max(1, math.ceil(math.acosh(max(1 / aim, 1.0)) / rate * _SLACK))
    if degree > LARGEST_DEGREE:
        return f"it would take {degree} steps, the limit is {LARGEST_DEGREE}"
    return PowerTest(matrix, factor, length, degree)


def _step_error(matrix: Array | SparseFloats, factor: float) -> float:
    """η: the rounding error of one step relative to R (the factor 1.001 of R covers computed norms).

    Of sums with entries that are 0 only the others round.
    """
    sizes: Any = abs(matrix)
    sparse = isinstance(matrix, SparseFloats)
    terms = matrix.longest_products if isinstance(matrix, SparseFloats) else sum(matrix.shape)
    squares = sizes.squares if sparse else (sizes * sizes).sum()
    absolute = min(float(sizes.sum(0).max() * sizes.sum(1).max()), float(squares)) * _SLACK
    products = gamma(terms + 8) * absolute + TINY
    return 1.01 * (factor * products + 8 * 2.0**-53 * (factor * absolute + 1))


def random_starts(size: int) -> Array:
    """Independent normal variates (size, STARTS) from randomness of the machine that nobody can foresee or repeat."""
    generator = np.random.default_rng(int.from_bytes(os.urandom(32), "little"))
    return generator.standard_normal((size, STARTS))
