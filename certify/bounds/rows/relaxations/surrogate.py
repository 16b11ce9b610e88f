"""Joint convex surrogate for one output: the dual point and its quadratic majorant in one semidefinite program.

    maximize −l*(A) − Σ_{μ_j>0} (E_jᵀA)²/(2μ_j)   subject to   E_jᵀA = 0 where μ_j = 0,   and for q = −A and q = A
    q = a − b,  |g| + R c ≤ b,  [[T − M, −lin/2], [−linᵀ/2, s]] ⪰ 0,  τ + τ' + s + Σ a_i²/(16 p_i) ≤ λ

with lin and M as in `majorant`, T = τ I but for τ' on the axis of a free hidden bias (r = τ'/τ). The solver only
guesses: A goes through `feasible_dual`, the multipliers through `majorant_upper`. Variables are scaled so that
A_i = ω_i α_i, and multipliers are in units of ω_i.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, final

import numpy as np
import torch
from numpy.typing import NDArray

from certify.bounds.rows.relaxations.direction_region import DirectionRegion, direction_region
from certify.bounds.rows.relaxations.majorant import ScalarMajorant, majorant_upper
from certify.bounds.rows.relaxations.surrogate_outcome import SurrogateOutcome
from certify.problem import Objective
from certify.problem.dual import InfeasibleDualError, feasible_dual

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
# Keeps r = τ'/τ a number when both levels vanish.
TINY_LEVEL = 1e-12


@final
@dataclass(frozen=True, slots=True)
class _SignVariables:
    """Variables of one sign of q over the live rows: p, g, c (n,), the levels (τ, τ'), and what binds them."""

    curvatures: Expression
    slopes: Expression
    caps: Expression
    levels: Expression
    constraints: list[Any]


def joint_surrogate(objective: Objective, seconds: float) -> SurrogateOutcome | None:
    """Solve the joint program and prove what it returns; None where it does not apply or the solver fails.

    Args:
        objective: a ReLU network with one output.
        seconds: time limit of the solvers, setting up the program not included.
    """
    start = time.perf_counter()
    atoms = CONJUGATE_ATOMS.get(objective.loss.name)
    live = objective.loss.weights[:, 0] > 0
    if objective.kind.name != "relu" or objective.outputs != 1 or atoms is None or not bool(live.any()):
        return None
    inputs, free = objective.inputs, objective.free_inputs
    center = inputs[live, :-1].mean(0) if free else inputs.new_zeros(0)
    region = direction_region(inputs, free, center, 1.0)
    solution = _solve(objective, region, live, atoms, seconds)
    if solution is None:
        return None
    candidate, curvatures, slopes, caps, ratios = (torch.as_tensor(v).to(inputs) for v in solution)
    multipliers = ScalarMajorant(curvatures, slopes, caps, center, ratios)
    try:
        dual = feasible_dual(objective, candidate[:, None])
    except InfeasibleDualError:
        return None
    upper = majorant_upper(inputs, -dual, multipliers, free)
    return SurrogateOutcome(dual, upper, multipliers, time.perf_counter() - start)


def _solve(
    objective: Objective, region: DirectionRegion, live: torch.Tensor, atoms: ConjugateAtom, seconds: float
) -> list[Array] | None:
    """Guesses of A (n,), p, g, c (2, n) and r (2,); None if no solver returns finite numbers."""
    import cvxpy

    cp: Any = cvxpy

    weights = _array(objective.loss.weights[live, 0])
    targets = _array(objective.loss.targets[live, 0])
    strength = objective.strength
    alpha = cp.Variable(len(weights))
    conjugate, constraints = atoms(cp, alpha, targets)
    rows, reach = _array(region.inputs[live]), _array(region.reach[live])
    data = (rows, reach, weights / strength)
    signs = [_sign_variables(cp, sign * alpha, data, objective.free_inputs) for sign in (-1.0, 1.0)]
    constraints += [bound for variables in signs for bound in variables.constraints]
    scale = float(weights.sum())
    moments, bound = convex_part(cp, objective, live, cp.multiply(weights, alpha)[:, None])
    constraints += bound
    if objective.free_inputs:
        constraints.append((weights / scale) @ alpha == 0)
    problem = cp.Problem(cp.Minimize((weights / scale) @ conjugate + moments / scale), constraints)
    if not solved(cp, problem, seconds):
        return None
    keep = live.cpu().numpy()
    found = [_spread(weights * np.asarray(alpha.value), keep)]
    found += [
        _spread(weights * np.stack([getattr(v, name).value for v in signs]), keep)
        for name in ("curvatures", "slopes", "caps")
    ]
    found.append(np.stack([np.divide(*(v.levels.value[::-1] + TINY_LEVEL)) for v in signs]))
    return found if all(np.isfinite(values).all() for values in found) else None


def _spread(values: Array, keep: NDArray[np.bool_]) -> Array:
    """The values (…, live rows) put among zeros (…, n)."""
    full = np.zeros((*values.shape[:-1], len(keep)))
    full[..., keep] = values
    return full


def _sign_variables(
    cp: Any,  # noqa: ANN401
    scores: Expression,
    data: tuple[Array, Array, Array],
    free_inputs: int,
) -> _SignVariables:
    """Variables for q = unit · scores, with the bound on its maximum at most 1, in units of λ."""
    rows, reach, unit = data
    n, d = rows.shape
    curvatures, caps = cp.Variable(n, nonneg=True), cp.Variable(n, nonneg=True)
    slopes, convex = cp.Variable(n), cp.Variable(n, nonneg=True)
    concave = convex - scores
    levels, excess, costs = cp.Variable(2, nonneg=True), cp.Variable(nonneg=True), cp.Variable(n)
    bias_axis = np.arange(d) >= d - free_inputs
    diagonal = cp.diag(np.stack([~bias_axis, bias_axis], 1).astype(float) @ levels)
    products = (rows[:, :, None] * rows[:, None, :]).reshape(n, d * d).T * unit
    quadratic = cp.reshape(products @ (curvatures - caps / 2), (d, d), order="C")
    linear = (rows.T * (unit / 2)) @ (scores - slopes)
    corner = cp.reshape(linear / 2, (d, 1), order="C")
    block = cp.bmat([[diagonal - quadratic, -corner], [-corner.T, cp.reshape(excess, (1, 1), order="C")]])
    constraints = [
        # a²/(16 p) ≤ cost as a second-order cone.
        cp.SOC(16 * curvatures + costs, cp.vstack([2 * convex, 16 * curvatures - costs]), axis=0),
        cp.abs(slopes) + cp.multiply(reach, caps) <= concave,
        block >> 0,
        cp.sum(levels) + excess + unit @ costs <= 1,
    ]
    return _SignVariables(curvatures, slopes, caps, levels, constraints)


def convex_part(
    cp: Any,  # noqa: ANN401
    objective: Objective,
    rows: torch.Tensor,
    dual: Expression,
) -> tuple[Expression, list[Any]]:
    """Cost of the penalized rows and constraints of the free rows of the convex part, at the chosen rows of A."""
    features = _array(objective.convex.features[rows])
    ridge, free = _array(objective.convex.ridge), _array(objective.convex.free) > 0
    size = np.abs(features).T @ _array(objective.loss.weights[rows]).max(1) + np.finfo(float).tiny
    cost, bound = 0.0, []
    if (~free).any():
        cost = cp.sum_squares((features[:, ~free] / np.sqrt(2 * ridge[~free])).T @ dual)
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


def _array(values: torch.Tensor) -> Array:
    return values.detach().cpu().double().numpy()
