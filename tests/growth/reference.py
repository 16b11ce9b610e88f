"""Small problems of several branches with one output weight, and their optimum over all widths by another solver.

    min over x, C   l(Σ M_k x_k + E C) + Σ λ_b |x_k| + ridge,   walls of the cell of x_k

over all activation cells k of every branch of one kink, with both signs (Pilanci and Ergen 2020); the one cell of a
linear branch has no walls; a quadratic branch is its symmetric matrix in nuclear norm (Haeffele and Vidal 2017).
"""

from __future__ import annotations

import cvxpy
import numpy as np
import torch
from torch import Tensor

from certify.problem import Bilinear, Branch, ConvexPart, LossSpec, Objective, Readout, Rows, Squares, View
from tests.soundness.cells import all_patterns

# What the solver may be off by, relative to the optimum.
SOLVER_ERROR = 5e-7
PRECISE = {"tol_gap_abs": 1e-9, "tol_gap_rel": 1e-9, "tol_feas": 1e-9}


def drawn(*shape: int, seed: int = 0) -> Tensor:
    """Standard normal float64 entries."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def objective_of(
    *branches: Branch, targets: Tensor, offset: Tensor | None = None, ridge: float | None = None, loss: str = "mse"
) -> Objective:
    """A mean loss; with a ridge, an output bias that has it (0 for a free one)."""
    features = targets.new_ones(len(targets), 0 if ridge is None else 1)
    convex = ConvexPart(features, torch.full((features.shape[1],), ridge or 0.0, dtype=torch.float64))
    return Objective(branches, convex, LossSpec(loss).bind(targets, targets.shape[1]), offset)


def view_of(inputs: Tensor, hidden: str = "absent", readout: Readout | None = None) -> View:
    """A view with an absent, penalized or free hidden bias."""
    rows = inputs if hidden == "absent" else torch.cat([inputs, torch.ones_like(inputs[:, :1])], 1)
    return View(rows, int(hidden == "free"), readout or Readout())


def optimum(objective: Objective) -> float:
    """The least mean squared error plus penalties over all widths."""
    targets, features = objective.loss.targets.numpy()[:, 0], objective.convex.features.numpy()
    coefficients = cvxpy.Variable(features.shape[1])
    outputs = features @ coefficients + (0 if objective.offset is None else objective.offset.numpy()[:, 0])
    cost = cvxpy.sum(cvxpy.multiply(objective.convex.ridge.numpy() / 2, coefficients**2))
    walls: list[cvxpy.Constraint] = []
    for branch in objective.branches:
        part, penalty, limits = _branch(branch)
        outputs, cost, walls = outputs + part, cost + branch.strength * penalty, walls + limits
    asked = cvxpy.Problem(cvxpy.Minimize(cvxpy.sum_squares(outputs - targets) / len(targets) + cost), walls)
    return float(asked.solve(solver="CLARABEL", **PRECISE))


def _branch(branch: Branch) -> tuple[cvxpy.Expression, cvxpy.Expression, list[cvxpy.Constraint]]:
    """Outputs (n,), sum of norms, and walls."""
    rows = branch.view.rows
    penalized = branch.view.penalized.shape[1]
    match branch.form:
        case Rows(_, slopes):
            parts, costs, walls = [], [], []
            for signs in torch.from_numpy(2 * all_patterns(rows.numpy()) - 1):
                slope = slopes.at(signs)
                pair = cvxpy.Variable((2, rows.shape[1]))
                parts.append(_map(branch, slope[:, None] * rows) @ (pair[0] - pair[1]))
                costs.append(cvxpy.sum(cvxpy.norm(pair[:, :penalized], axis=1)))
                walls.append(cvxpy.multiply(signs.expand(2, -1).numpy(), pair @ rows.numpy().T) >= 0)
            return sum(parts), sum(costs), walls
        case Bilinear():
            weights = cvxpy.Variable(rows.shape[1])
            return _map(branch, rows) @ weights, cvxpy.norm(weights), []
        case Squares():
            size = rows.shape[1]
            matrix = cvxpy.Variable((size, size), symmetric=True)
            products = torch.einsum("ni,nj->nij", rows, rows).flatten(1)
            return _map(branch, products) @ cvxpy.vec(matrix, order="C"), cvxpy.normNuc(matrix), []


def _map(branch: Branch, responses: Tensor) -> np.ndarray:
    """Outputs (n, k) of hidden responses (n P, k) with output weight 1."""
    return branch.view.readout.each(responses, responses.new_ones(responses.shape[1], 1))[:, :, 0].T.numpy()
