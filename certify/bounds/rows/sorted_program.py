"""The dual problem of rows with one input and a free hidden bias, as one sparse convex program.

    maximize −l*(A) + <A, Z_0> − Σ_{μ_j>0} |E_jᵀA|²/(2μ_j)   subject to   E_jᵀA = 0 where μ_j = 0,
    C_{k+1} = C_k + A_{k+1},  r_{k+1} = r_k + C_k (x_{k+1} − x_k),  C_n = 0,
    |(s₊ − s₋) r_k + s₋ r_n| ≤ λ,  |(s₊ − s₋) r_k − s₊ r_n| ≤ λ

over samples in ascending order, r_1 = 0, C_1 = A_1. By `sorting` these constraints say Ω°(−A) ≤ λ (r is r−, r+ = r− −
r_n and Σ_j A_j x_j = −r_n), so that the value is the global optimum itself. Each constraint touches neighbors only, and
an interior-point step costs O(n). The solver only guesses A, which goes through `feasible_dual` and `sorting`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from certify.bounds.polar import PolarBound, PolarTask
from certify.bounds.rows.relaxations.convex_program import CONJUGATE_ATOMS, Expression, linear_part, solved
from certify.bounds.rows.rows_form import rows_form
from certify.bounds.rows.sorting import sorting_applies, sorting_bound
from certify.bounds.stated_arrays import Array, array_of
from certify.problem import Rows
from certify.problem.dual import InfeasibleDualError, feasible_dual

# Most entries of A for which the program is set up; the solver takes some 10 s for as many.
LARGEST_PROGRAM = 100_000
# Share of the time that the solver may take.
SOLVER_SHARE = 0.9


def sorted_program_applies(task: PolarTask) -> bool:
    """Whether the program is of a size that the solver finishes."""
    loss = task.objective.loss
    known = loss.name in CONJUGATE_ATOMS
    small = task.objective.samples * task.objective.outputs <= LARGEST_PROGRAM
    return sorting_applies(task) and task.branch.table.readout.weights is None and known and small


def sorted_program(task: PolarTask) -> list[tuple[Tensor, PolarBound]]:
    """The program's dual point; empty if the solver failed."""
    candidate = _solve(task, rows_form(task))
    if candidate is None:
        return []
    try:
        dual = feasible_dual(task.objective, torch.as_tensor(candidate).to(task.dual))
    except InfeasibleDualError:
        return []
    return [(dual, sorting_bound(task, dual))]


@np.errstate(all="ignore")
def _solve(task: PolarTask, form: Rows) -> Array | None:
    """A guess of A (n, c), None if no solver returns finite numbers."""
    import cvxpy

    cp: Any = cvxpy
    objective = task.objective
    loss, order = objective.loss, form.view.rows[:, 0].argsort()
    positions, weights, targets = (array_of(v[order]) for v in (form.view.rows[:, 0], loss.weights, loss.targets))
    alpha = cp.Variable(targets.shape)
    dual = cp.multiply(weights, alpha)
    conjugate, constraints = CONJUGATE_ATOMS[objective.loss.name](cp, alpha, targets)
    constraints += _polar_constraints(cp, form, dual, np.diff(positions) / task.branch.strength)
    scale = float(weights.sum())
    moments, bound = linear_part(cp, objective, order, dual)
    total = cp.sum(cp.multiply(weights / scale, conjugate))
    problem = cp.Problem(cp.Minimize(total + moments / scale), constraints + bound)
    if not solved(cp, problem, SOLVER_SHARE * task.seconds_left) or not np.isfinite(alpha.value).all():
        return None
    found = np.zeros(targets.shape)
    found[order.cpu().numpy()] = weights * alpha.value
    return found


def _polar_constraints(cp: Any, form: Rows, scores: Expression, gaps: Array) -> list[Any]:  # noqa: ANN401
    """Ω° ≤ λ for scores (n, c) in ascending order of the samples, and the gaps between these in units of 1/λ."""
    n, c = scores.shape
    sums, response = cp.Variable((n, c)), cp.Variable((n, c))
    sizes = cp.abs if c == 1 else lambda rows: cp.norm(rows, axis=1)
    slopes, last = form.slopes, np.ones((n, 1)) @ response[n - 1 :]
    bent = slopes.bend * response
    return [
        sums[:1] == scores[:1],
        sums[1:] == sums[:-1] + scores[1:],
        sums[n - 1 :] == 0,
        response[:1] == 0,
        response[1:] == response[:-1] + cp.multiply(gaps[:, None], sums[:-1]),
        sizes(bent + slopes.negative * last if slopes.negative else bent) <= 1,
        sizes(bent - slopes.positive * last) <= 1,
    ]
