"""The dual problem of ReLU networks with one input and a free hidden bias, as one sparse convex program.

    maximize −l*(A) − Σ_{μ_j>0} |E_jᵀA|²/(2μ_j)   subject to   E_jᵀA = 0 where μ_j = 0,
    S_{k+1} = S_k + A_{k+1},  r_{k+1} = r_k + S_k (x_{k+1} − x_k),  S_n = 0,  |r_k| ≤ λ,  |r_k − r_n| ≤ λ

over samples in ascending order, r_1 = 0, S_1 = A_1. By `sorting` these constraints say Ω°(−A) ≤ λ (r is r−, and
r+ = r− − r_n), so that the value is the global optimum itself. Each constraint touches neighbors only, and an
interior-point step costs O(n). The solver only guesses A, which goes through `feasible_dual` and `sorting`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from certify.bounds.polar import PolarBound, PolarTask
from certify.bounds.rows.relaxations.surrogate import CONJUGATE_ATOMS, Array, Expression, convex_part, solved
from certify.bounds.rows.sorting import sorting_applies, sorting_bound
from certify.problem import Objective
from certify.problem.dual import InfeasibleDualError, feasible_dual

# Most entries of A for which the program is set up; the solver takes some 10 s for as many.
LARGEST_PROGRAM = 100_000
# Share of the time that the solver may take.
SOLVER_SHARE = 0.9


def sorted_program_applies(task: PolarTask) -> bool:
    """Whether the program is of a size that the solver finishes."""
    loss = task.objective.loss
    known = loss.name in CONJUGATE_ATOMS or loss.couples_row
    return sorting_applies(task) and known and task.objective.samples * task.objective.outputs <= LARGEST_PROGRAM


def sorted_program(task: PolarTask) -> list[tuple[Tensor, PolarBound]]:
    """The program's dual point; empty if the solver failed."""
    candidate = _solve(task.objective, SOLVER_SHARE * task.seconds_left)
    if candidate is None:
        return []
    try:
        dual = feasible_dual(task.objective, torch.as_tensor(candidate).to(task.dual))
    except InfeasibleDualError:
        return []
    return [(dual, sorting_bound(task, dual))]


def _solve(objective: Objective, seconds: float) -> Array | None:
    """A guess of A (n, c), None if no solver returns finite numbers."""
    import cvxpy

    cp: Any = cvxpy
    loss, order = objective.loss, objective.inputs[:, 0].argsort()
    values = (objective.inputs[:, 0], loss.weights, loss.targets)
    positions, weights, targets = (value[order].cpu().numpy() for value in values)
    n, c = targets.shape
    alpha, sums, response = cp.Variable((n, c)), cp.Variable((n, c)), cp.Variable((n, c))
    dual = cp.multiply(weights, alpha)
    conjugate, constraints = _conjugate(cp, objective, alpha, targets)
    steps = cp.multiply(np.diff(positions)[:, None] / objective.strength, sums[:-1])
    sizes = cp.abs if c == 1 else lambda rows: cp.norm(rows, axis=1)
    constraints += [
        sums[:1] == dual[:1],
        sums[1:] == sums[:-1] + dual[1:],
        sums[n - 1 :] == 0,
        response[:1] == 0,
        response[1:] == response[:-1] + steps,
        sizes(response) <= 1,
        sizes(response - np.ones((n, 1)) @ response[n - 1 :]) <= 1,
    ]
    scale = float(weights.sum())
    moments, bound = convex_part(cp, objective, order, dual)
    total = cp.sum(cp.multiply(weights / scale, conjugate))
    problem = cp.Problem(cp.Minimize(total + moments / scale), constraints + bound)
    if not solved(cp, problem, seconds) or not np.isfinite(alpha.value).all():
        return None
    found = np.zeros((n, c))
    found[order.cpu().numpy()] = weights * alpha.value
    return found


def _conjugate(cp: Any, objective: Objective, alpha: Expression, targets: Array) -> tuple[Expression, list[Any]]:  # noqa: ANN401
    if not objective.loss.couples_row:
        return CONJUGATE_ATOMS[objective.loss.name](cp, alpha, targets)
    # C Σ_k e((a_k + y_k)/C), e(t) = t log t, on rows that sum to C.
    shares = alpha + targets
    logs = np.log(np.maximum(targets.sum(1, keepdims=True), np.finfo(float).tiny)) * np.ones_like(targets)
    return -cp.entr(shares) - cp.multiply(logs, shares), [cp.sum(alpha, axis=1) == 0]
