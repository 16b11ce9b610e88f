"""Joint convex surrogate for one output: the dual point and its quadratic majorant in one semidefinite program.

    maximize −l*(A) + <A, Z_0> − Σ_{μ_j>0} (E_jᵀA)²/(2μ_j)   subject to   E_jᵀA = 0 where μ_j = 0,
    and for q = S and q = −S, S = −T(A) the scores of A, r = (s₊ − s₋) q
    r = a − b,  |g| + R c ≤ b,  [[T − M, −lin/2], [−linᵀ/2, s]] ⪰ 0,  τ + τ' + s + Σ a_i²/(16 p_i) ≤ λ

with lin and M as in `majorant`, T = τ I but for τ' on the axis of a free hidden bias (r = τ'/τ). The solver only
guesses: A goes through `feasible_dual`, the multipliers through `majorant_upper`. Multipliers are in units of ω_i.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, final

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from certify.bounds.polar import PolarTask
from certify.bounds.proof import ScalarMajorant
from certify.bounds.rows.relaxations.convex_program import CONJUGATE_ATOMS, Expression, linear_part, solved
from certify.bounds.rows.relaxations.direction_region import DirectionRegion, center_of, direction_region
from certify.bounds.rows.relaxations.majorant import majorant_upper
from certify.bounds.rows.relaxations.surrogate_outcome import SurrogateOutcome
from certify.bounds.rows.rows_form import rows_form
from certify.bounds.stated_arrays import Array, array_of
from certify.problem import Rows, View
from certify.problem.dual import InfeasibleDualError, feasible_dual

# Keeps r = τ'/τ a number when both levels vanish.
TINY_LEVEL = 1e-12


@final
@dataclass(frozen=True, slots=True)
class _LiveRows:
    """What the program knows of the rows whose samples count.

    Attributes:
        inputs: X of the region, (N, h).
        reach: R, (N,).
        units: ω_i/λ of the row's sample, (N,).
    """

    inputs: Array
    reach: Array
    units: Array


@final
@dataclass(frozen=True, slots=True)
class _SignVariables:
    """Variables of one sign of q over the live rows: p, g, c (N,), the levels (τ, τ'), and what binds them."""

    multipliers: tuple[Expression, Expression, Expression]
    levels: Expression
    constraints: list[Any]


def joint_surrogate(task: PolarTask, seconds: float) -> SurrogateOutcome | None:
    """Solve the joint program and prove what it returns; None where it does not apply or the solver fails.

    Args:
        task: of an objective with one branch and one output.
        seconds: time limit of the solvers, setting up the program not included.
    """
    objective, form = task.objective, rows_form(task)
    live = objective.loss.weights[:, 0] > 0
    alone = len(objective.branches) == 1 and objective.outputs == 1 and form.view.readout.weights_of(1) == 1
    if not alone or objective.loss.name not in CONJUGATE_ATOMS or not bool(live.any()):
        return None
    center = center_of(form.view, _rows_of(form.view, live))
    region = direction_region(form.view, center, 1.0)
    solution = _solve(task, region, live, seconds)
    if solution is None:
        return None
    candidate, curvatures, slopes, caps, ratios = (torch.as_tensor(v).to(form.view.rows) for v in solution)
    multipliers = ScalarMajorant(curvatures, slopes, caps, center, ratios)
    try:
        dual = feasible_dual(objective, candidate[:, None])
    except InfeasibleDualError:
        return None
    return SurrogateOutcome(dual, majorant_upper(form, task.branch.scores(dual), multipliers), multipliers)


@np.errstate(all="ignore")
def _solve(task: PolarTask, region: DirectionRegion, live: Tensor, seconds: float) -> list[Array] | None:
    """Guesses of A (n,), p, g, c (2, N) and r (2,); None if no solver returns finite numbers."""
    import cvxpy

    cp: Any = cvxpy
    objective, form = task.objective, rows_form(task)
    weights, targets = array_of(objective.loss.weights[live, 0]), array_of(objective.loss.targets[live, 0])
    alpha = cp.Variable(len(weights))
    conjugate, constraints = CONJUGATE_ATOMS[objective.loss.name](cp, alpha, targets)
    rows = _live_rows(task, region, live)
    scores = _scores(form, live, alpha)
    signs = [_sign_variables(cp, form, sign * scores, rows) for sign in (1.0, -1.0)]
    constraints += [bound for variables in signs for bound in variables.constraints]
    scale = float(weights.sum())
    moments, bound = linear_part(cp, objective, live, cp.multiply(weights, alpha)[:, None])
    constraints += bound
    if form.view.free_inputs:
        constraints.append((weights / scale) @ alpha == 0)
    problem = cp.Problem(cp.Minimize((weights / scale) @ conjugate + moments / scale), constraints)
    if not solved(cp, problem, seconds):
        return None
    found = [_spread(weights * np.asarray(alpha.value), live), *_multipliers(task, rows, signs, live)]
    return found if all(np.isfinite(values).all() for values in found) else None


def _rows_of(view: View, samples: Tensor) -> Tensor:
    """Which rows (N,) belong to the marked samples (n,)."""
    return samples.repeat_interleave(view.readout.positions)


def _live_rows(task: PolarTask, region: DirectionRegion, live: Tensor) -> _LiveRows:
    view = task.branch.view
    keep, positions = _rows_of(view, live), view.readout.positions
    units = np.repeat(array_of(task.objective.loss.weights[live, 0]), positions) / task.branch.strength
    return _LiveRows(array_of(region.inputs[keep]), array_of(region.reach[keep]), units)


def _scores(form: Rows, live: Tensor, alpha: Expression) -> Expression:
    """S of the live rows in units of ω, (N,)."""
    weights = form.view.readout.weights
    if weights is None:
        return -alpha
    entries = weights[..., 0, :, 0].expand(len(live), -1)[live]
    count = np.arange(entries.numel())
    places = (count, count // entries.shape[1])
    return -(sparse.csr_array((array_of(entries).ravel(), places), shape=(len(count), len(entries))) @ alpha)


def _multipliers(task: PolarTask, rows: _LiveRows, signs: list[_SignVariables], live: Tensor) -> list[Array]:
    """P, g, c of all rows, (2, N), and r (2,)."""
    keep, units = _rows_of(task.branch.view, live), rows.units * task.branch.strength
    own = np.stack([[variable.value for variable in one.multipliers] for one in signs], axis=1)
    ratios = np.stack([np.divide(*(variables.levels.value[::-1] + TINY_LEVEL)) for variables in signs])
    return [*(_spread(units * values, keep) for values in own), ratios]


def _spread(values: Array, keep: Tensor) -> Array:
    """The values (…, live) put among zeros (…, all)."""
    full = np.zeros((*values.shape[:-1], len(keep)))
    full[..., keep.cpu().numpy()] = values
    return full


def _sign_variables(cp: Any, form: Rows, scores: Expression, live: _LiveRows) -> _SignVariables:  # noqa: ANN401
    """Variables for q = unit · scores, with the bound on its maximum at most 1, in units of λ."""
    rows, units, sigma = live.inputs, live.units, form.slopes
    n, d = rows.shape
    curvatures, caps = cp.Variable(n, nonneg=True), cp.Variable(n, nonneg=True)
    slopes, convex = cp.Variable(n), cp.Variable(n, nonneg=True)
    rectified = scores if sigma.bend == 1 else sigma.bend * scores
    tilt = rectified - slopes
    tilt = tilt + 2 * sigma.negative * scores if sigma.negative else tilt
    levels, excess, costs = cp.Variable(2, nonneg=True), cp.Variable(nonneg=True), cp.Variable(n)
    bias_axis = np.arange(d) >= d - form.view.free_inputs
    diagonal = cp.diag(np.stack([~bias_axis, bias_axis], 1).astype(float) @ levels)
    products = (rows[:, :, None] * rows[:, None, :]).reshape(n, d * d).T * units
    quadratic = cp.reshape(products @ (curvatures - caps / 2), (d, d), order="C")
    corner = cp.reshape((rows.T * (units / 2)) @ tilt / 2, (d, 1), order="C")
    block = cp.bmat([[diagonal - quadratic, -corner], [-corner.T, cp.reshape(excess, (1, 1), order="C")]])
    constraints = [
        # a²/(16 p) ≤ cost as a second-order cone.
        cp.SOC(16 * curvatures + costs, cp.vstack([2 * convex, 16 * curvatures - costs]), axis=0),
        cp.abs(slopes) + cp.multiply(live.reach, caps) <= convex - rectified,
        block >> 0,
        cp.sum(levels) + excess + units @ costs <= 1,
    ]
    return _SignVariables((curvatures, slopes, caps), levels, constraints)
