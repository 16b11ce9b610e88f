"""The rule for `randomized` proofs: a test of the claim with the checker's own random numbers (see `power_test`)."""

from __future__ import annotations

import numpy as np

from certify.verify.statement.certificate import Certificate
from certify.verify.enclosure import GROW, SQUARES_UNDERFLOW, gamma
from certify.verify.proofs.power_test import plan_test, random_starts
from certify.verify.reals import Reals
from certify.verify.rejection import refuse_proof

# A check may be repeated at this many precisions; the probabilities that it errs add up.
MOST_RUNS = 3


def power_test_holds(certificate: Certificate, moments: Reals) -> bool:
    """Whether a test accepts σ_max(G) ≤ U; if that is false, with at most the claimed probability.

    Args:
        certificate: gives U, the edge and the probability.
        moments: G (m, N), N ≤ m; only its distance from floats is taken from U.

    Raises:
        Rejection: no test is that certain.
    """
    matrix = moments.near
    radii = np.maximum(moments.high - matrix, matrix - moments.low) * GROW
    radius = float(np.linalg.norm(radii)) * (1 + gamma(radii.size + 16)) + SQUARES_UNDERFLOW
    upper = (certificate.polar_upper - radius) / GROW
    edge, probability = float(certificate.arrays["edge"][0]), certificate.failure_probability or 0.0
    test = plan_test(matrix, upper, edge, probability / MOST_RUNS)
    if isinstance(test, str):
        refuse_proof("randomized-test", f"no test of failure probability {probability!r}: {test}")
    return test.passes(random_starts(test.matrix.shape[1]))
