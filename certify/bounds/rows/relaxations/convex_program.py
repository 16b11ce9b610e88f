"""Parts of the convex programs in the dual point: conjugate losses, the convex part, and the solvers.

Variables are scaled so that A_i = ω_i α_i. Solvers only guess; what they return is repaired and proven elsewhere.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from torch import Tensor

from certify.bounds.stated_arrays import Array, array_of
from certify.problem import Objective

# cvxpy is untyped; its expressions and constraints pass through as Any.
Expression = Any
# (cvxpy, α, y) → Σ-able atoms l0*(α, y) and the constraints of their domain.
ConjugateAtom = Callable[[Any, Expression, Array], tuple[Expression, list[Any]]]


def _cross_entropy(cp: Any, a: Expression, y: Array) -> tuple[Expression, list[Any]]:  # noqa: ANN401
    """C Σ_k e((a_k + y_k)/C), e(t) = t log t, on rows that sum to C."""
    shares = a + y
    logs = np.log(np.maximum(y.sum(1, keepdims=True), np.finfo(float).tiny)) * np.ones_like(y)
    return -cp.entr(shares) - cp.multiply(logs, shares), [cp.sum(a, axis=1) == 0]


CONJUGATE_ATOMS: dict[str, ConjugateAtom] = {
    "mse": lambda cp, a, y: (cp.square(a) / 4 + cp.multiply(a, y), []),
    "binary-cross-entropy": lambda cp, a, y: (-cp.entr(a + y) - cp.entr(1 - y - a), []),
    "soft-margin": lambda cp, a, y: (-cp.entr(cp.multiply(-y, a)) - cp.entr(1 - cp.multiply(-y, a)), []),
    "huber": lambda cp, a, y: (cp.square(a) / 2 + cp.multiply(a, y), [cp.abs(a) <= 1]),
    "squared-hinge": lambda cp, a, y: (
        cp.square(cp.multiply(-y, a)) / 4 - cp.multiply(-y, a),
        [cp.multiply(-y, a) >= 0],
    ),
    "cross-entropy": _cross_entropy,
    "poisson": lambda cp, a, y: (-cp.entr(a + y) - (a + y), []),
}

# Seconds given to a fallback solver when the time is already spent.
SHORTEST_ATTEMPT = 0.1


def linear_part(cp: Any, objective: Objective, rows: Tensor, dual: Expression) -> tuple[Expression, list[Any]]:  # noqa: ANN401
    """What convex part and offset cost the dual value, and constraints of the free rows, at the chosen rows of A."""
    features = array_of(objective.convex.features[rows])
    ridge, free = array_of(objective.convex.ridge), array_of(objective.convex.free) > 0
    size = np.abs(features).T @ array_of(objective.loss.weights[rows]).max(1) + np.finfo(float).tiny
    cost, bound = 0.0, []
    if (~free).any():
        cost = cp.sum_squares((features[:, ~free] / np.sqrt(2 * ridge[~free])).T @ dual)
    if objective.offset is not None:
        cost = cost - cp.sum(cp.multiply(array_of(objective.offset[rows]), dual))
    if free.any():
        bound = [(features[:, free] / size[free]).T @ dual == 0]
    return cost, bound


def solved(cp: Any, problem: Any, seconds: float, *, semidefinite: bool = False) -> bool:  # noqa: ANN401
    """Try Clarabel with its supernodal and its plain factorization, then SCS; True once one left values.

    SCS is left out of semidefinite programs: numbers that overflow keep its eigenvalues going beyond any limit of time.
    """
    deadline = time.perf_counter() + seconds
    plain: dict[str, str] = {}
    faer = {"direct_solve_method": "faer"}
    attempts = (
        (cp.CLARABEL, "time_limit", faer),
        (cp.CLARABEL, "time_limit", plain),
        *(() if semidefinite else ((cp.SCS, "time_limit_secs", plain),)),
    )
    for solver, limit, options in attempts:
        left = max(deadline - time.perf_counter(), SHORTEST_ATTEMPT)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                problem.solve(solver=solver, **{limit: left}, **options)
            # Of numbers that are none a program is not even convex.
            except (cp.error.SolverError, cp.error.DCPError, ValueError, ArithmeticError):
                continue
            except BaseException as error:
                # What Clarabel, written in Rust, panics with is no Exception.
                if type(error).__name__ != "PanicException":
                    raise
                continue
        if all(variable.value is not None for variable in problem.variables()):
            return True
    return False
