"""The rule for `randomized` proofs: a test of the claim with the checker's own random numbers (see `power_test`)."""

from __future__ import annotations

import numpy as np

from certify.verify.enclosure import GROW, SQUARES_UNDERFLOW, gamma
from certify.verify.forms.form import Form
from certify.verify.proofs.power_test import plan_test, random_starts
from certify.verify.proofs.proof import Proof
from certify.verify.proofs.spectral import moments_of
from certify.verify.reals import Arithmetic
from certify.verify.rejection import refuse_proof

# A check may be repeated at this many precisions; the probabilities that it errs add up.
MOST_RUNS = 3


def power_test_holds(form: Form, proof: Proof, arithmetic: Arithmetic) -> bool:  # noqa: ARG001
    """Whether a test accepts σ_max(G) ≤ U, G = HᵀS; if that is false, with at most the claimed probability.

    Only the distance of G from floats is taken from U.

    Raises:
        Rejection: no test is that certain.
    """
    moments = moments_of(form)
    matrix = moments.near
    radii = np.maximum(moments.high - matrix, matrix - moments.low) * GROW
    radius = float(np.linalg.norm(radii)) * (1 + gamma(radii.size + 16)) + SQUARES_UNDERFLOW
    upper = (proof.upper - radius) / GROW
    edge, probability = float(proof.arrays["edge"][0]), proof.failure_probability or 0.0
    test = plan_test(matrix, upper, edge, probability / MOST_RUNS)
    if isinstance(test, str):
        refuse_proof("randomized-test", f"no test of failure probability {probability!r}: {test}")
    return test.passes(random_starts(test.matrix.shape[1]))
