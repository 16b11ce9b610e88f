"""The dual point and the multipliers of products in one semidefinite program, for few rows.

    maximize −l*(A) + <A, Z_0> − Σ_{μ_j>0} |E_jᵀA|²/(2μ_j)   subject to   E_jᵀA = 0 where μ_j = 0,
    and for every pattern of signs K ⪰ 0 and α + β + γ ≤ λ

with K of `products`, written with Π = [[P, C], [Cᵀ, M]], and γ the level of a free bias. The solver only guesses: A
goes through `feasible_dual`, the multipliers through `doubly_nonnegative_upper`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, final

import numpy as np
import torch
from torch import Tensor

from certify.bounds.polar import PolarTask
from certify.bounds.proof import ProductMultipliers
from certify.bounds.rows.relaxations.convex_program import CONJUGATE_ATOMS, Expression, linear_part, solved
from certify.bounds.rows.relaxations.doubly_nonnegative.lift import unit_of
from certify.bounds.rows.relaxations.doubly_nonnegative.products import sign_patterns
from certify.bounds.rows.rows_form import rows_form
from certify.bounds.stated_arrays import Array, array_of
from certify.problem import Slopes


@final
@dataclass(frozen=True, slots=True)
class _Rows:
    """What the program knows of rows: c X (N, D), how many of the last columns are free, and σ."""

    inputs: Array
    free: int
    slopes: Slopes


@final
@dataclass(frozen=True, slots=True)
class _Block:
    """Variables of one pattern of signs, Π (2N, 2N), h (2N, j) and W (2N, D) or None, and what binds them."""

    products: Expression
    heights: Expression
    tilts: Expression | None
    constraints: list[Any]


@np.errstate(all="ignore")
def product_program(
    task: PolarTask, inputs: Tensor, split: int, seconds: float
) -> tuple[Tensor, tuple[ProductMultipliers, ...]] | None:
    """Guesses of A (n, m) and of the multipliers; None for some losses, and where no solver returns finite numbers.

    Args:
        task: of an objective with one branch, one row a sample.
        inputs: X, (N, D); with a free bias centered, its last column the largest norm of the others.
        split: how many of the outputs have a sign of their own.
        seconds: time limit of the solvers, setting up the program not included.
    """
    import cvxpy

    cp: Any = cvxpy
    objective, strength = task.objective, task.branch.strength
    if objective.loss.name not in CONJUGATE_ATOMS:
        return None
    weights, targets = array_of(objective.loss.weights), array_of(objective.loss.targets)
    alpha, (n, m) = cp.Variable(targets.shape), targets.shape
    conjugate, constraints = CONJUGATE_ATOMS[objective.loss.name](cp, alpha, targets)
    unit, free, scale = unit_of(inputs), task.branch.table.free_inputs, float(weights.sum())
    rows = _Rows(unit * array_of(inputs), free, rows_form(task).slopes)
    scores = -cp.multiply(weights / (strength * unit), alpha)
    blocks = [_block(cp, rows, scores @ np.diag(pattern), split) for pattern in array_of(sign_patterns(m, split))]
    constraints += [bound for block in blocks for bound in block.constraints]
    everything = torch.ones(n, dtype=torch.bool)
    moments, bound = linear_part(cp, objective, everything, cp.multiply(weights, alpha))
    constraints += [*bound, *([cp.sum(scores, axis=0) == 0] if free else [])]
    cost = cp.sum(cp.multiply(weights / scale, conjugate)) + moments / scale
    if not solved(cp, cp.Problem(cp.Minimize(cost), constraints), seconds, semidefinite=True):
        return None
    found = tuple(_multipliers(block, strength * unit, unit, inputs) for block in blocks)
    dual = weights * np.asarray(alpha.value)
    finite = np.isfinite(dual).all() and all(torch.isfinite(one.both + one.cross + one.none).all() for one in found)
    return (torch.as_tensor(dual).to(inputs), found) if finite else None


def _block(cp: Any, rows: _Rows, scores: Expression, split: int) -> _Block:  # noqa: ANN401
    """K ⪰ 0 in units of λ, z scaled by c."""
    (n, d), m = rows.inputs.shape, scores.shape[1]
    products, heights = cp.Variable((2 * n, 2 * n), symmetric=True), cp.Variable((2 * n, split), nonneg=True)
    levels = cp.Variable(3, nonneg=True)
    parts = np.block([[rows.inputs / 2, np.eye(n)], [-rows.inputs / 2, np.eye(n)]])
    values = cp.vstack([rows.slopes.positive * scores, -rows.slopes.negative * scores])
    values = values + heights @ np.eye(split, m)
    constraints, tilts = [], None
    rest = parts.T @ products @ parts
    if m == 1:
        tilts = cp.Variable((2 * n, d - rows.free))
        constraints.append(cp.SOC(heights[:, 0], tilts, axis=1))
        tilted = parts.T @ tilts @ np.eye(d - rows.free, d + n)
        rest = rest + (tilted + tilted.T) / 2
    of_v, of_u = np.arange(m + d + n) < m, np.arange(m + d + n) < m + d - rows.free
    of_bias = np.arange(m + d + n) < m + d
    places = np.stack([of_v, of_u & ~of_v, of_bias & ~of_u], 1).astype(float)
    edge = parts.T @ values / 2
    whole = cp.diag(places @ levels) - cp.bmat([[np.zeros((m, m)), edge.T], [edge, rest]])
    apart = np.triu(np.ones((2 * n, 2 * n))) - np.eye(2 * n, k=n)
    constraints += [cp.multiply(apart, products) >= 0, whole >> 0, cp.sum(levels) <= 1]
    return _Block(products, heights, tilts, constraints)


def _multipliers(block: _Block, scale: float, unit: float, inputs: Tensor) -> ProductMultipliers:
    """In units of z itself, where the inputs are."""
    n = len(inputs)
    products = torch.as_tensor(block.products.value * (scale * unit)).to(inputs)
    heights = torch.as_tensor(block.heights.value * scale).to(inputs).reshape(2, n, -1)
    tilts = None if block.tilts is None else torch.as_tensor(block.tilts.value * scale).to(inputs).reshape(2, n, -1)
    return ProductMultipliers(products[:n, :n], products[:n, n:], products[n:, n:], heights, tilts)
