"""Parts of the convex programs in the dual point: conjugate losses, the convex part, and the solvers.

Variables are scaled so that A_i = ω_i α_i. Solvers only guess; what they return is repaired and proven elsewhere.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from certify.problem import Objective

Array = NDArray[np.float64]
# cvxpy is untyped; its expressions and constraints pass through as Any.
Expression = Any
# (cvxpy, α, y) → Σ-able atoms l0*(α, y) and the constraints of their domain.
ConjugateAtom = Callable[[Any, Expression, Array], tuple[Expression, list[Any]]]


def _mse(cp: Any, a: Expression, y: Array) -> tuple[Expression, list[Any]]:  # noqa: ANN401
    return cp.square(a) / 4 + cp.multiply(a, y), []


def _bernoulli(cp: Any, a: Expression, y: Array) -> tuple[Expression, list[Any]]:  # noqa: ANN401
    return -cp.entr(a + y) - cp.entr(1 - y - a), []


def _soft_margin(cp: Any, a: Expression, y: Array) -> tuple[Expression, list[Any]]:  # noqa: ANN401
    t = cp.multiply(-y, a)
    return -cp.entr(t) - cp.entr(1 - t), []


def _huber(cp: Any, a: Expression, y: Array) -> tuple[Expression, list[Any]]:  # noqa: ANN401
    return cp.square(a) / 2 + cp.multiply(a, y), [cp.abs(a) <= 1]


def _squared_hinge(cp: Any, a: Expression, y: Array) -> tuple[Expression, list[Any]]:  # noqa: ANN401
    t = cp.multiply(-y, a)
    return cp.square(t) / 4 - t, [t >= 0]


def _poisson(cp: Any, a: Expression, y: Array) -> tuple[Expression, list[Any]]:  # noqa: ANN401
    return -cp.entr(a + y) - (a + y), []


# Losses of one output; cross-entropy has at least two outputs and is served by `first_order`.
CONJUGATE_ATOMS: dict[str, ConjugateAtom] = {
    "mse": _mse,
    "binary-cross-entropy": _bernoulli,
    "soft-margin": _soft_margin,
    "huber": _huber,
    "squared-hinge": _squared_hinge,
    "poisson": _poisson,
}

# Seconds given to a fallback solver when the time is already spent.
SHORTEST_ATTEMPT = 0.1


def linear_part(
    cp: Any,  # noqa: ANN401
    objective: Objective,
    rows: torch.Tensor,
    dual: Expression,
) -> tuple[Expression, list[Any]]:
    """What convex part and offset cost the dual value, and constraints of the free rows, at the chosen rows of A."""
    features = array(objective.convex.features[rows])
    ridge, free = array(objective.convex.ridge), array(objective.convex.free) > 0
    size = np.abs(features).T @ array(objective.loss.weights[rows]).max(1) + np.finfo(float).tiny
    cost, bound = 0.0, []
    if (~free).any():
        cost = cp.sum_squares((features[:, ~free] / np.sqrt(2 * ridge[~free])).T @ dual)
    if objective.offset is not None:
        cost = cost - cp.sum(cp.multiply(array(objective.offset[rows]), dual))
    if free.any():
        bound = [(features[:, free] / size[free]).T @ dual == 0]
    return cost, bound


def solved(cp: Any, problem: Any, seconds: float) -> bool:  # noqa: ANN401
    """Try Clarabel with its supernodal and its plain factorization, then SCS; True once one left values."""
    deadline = time.perf_counter() + seconds
    attempts: tuple[tuple[str, str, dict[str, str]], ...] = (
        (cp.CLARABEL, "time_limit", {"direct_solve_method": "faer"}),
        (cp.CLARABEL, "time_limit", {}),
        (cp.SCS, "time_limit_secs", {}),
    )
    for solver, limit, options in attempts:
        left = max(deadline - time.perf_counter(), SHORTEST_ATTEMPT)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                problem.solve(solver=solver, **{limit: left}, **options)
            except (cp.error.SolverError, ValueError, ArithmeticError):
                continue
        if all(variable.value is not None for variable in problem.variables()):
            return True
    return False


def array(values: torch.Tensor) -> Array:
    """The values as numpy has them."""
    return values.detach().cpu().double().numpy()
