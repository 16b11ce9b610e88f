"""Sections 4 and 5: the objective, the dual point s A' and the dual value."""

from fractions import Fraction

import numpy as np
from flint import arb

from .exact import Matrix, inner, product, solve, square_norms, total
from .losses import ball, conjugate, loss
from .rejection import require
from .statement import Statement


def objective_of(name: str, problem: Statement) -> arb:
    """The objective of the network in the file; roots in its penalty from above."""
    penalty = Fraction(0)
    for branch in problem.branches:
        penalty += branch.cost
    for part in problem.outside:
        penalty += inner(part.decays, square_norms(part.weights)) / 2
    return loss(name, problem.outputs(), problem.targets, problem.weights) + ball(penalty)


def dual_point(name: str, given: Matrix, problem: Statement) -> Matrix:
    """A', after rules 20 and 21: orthogonal to free inputs outside."""
    if name == "cross-entropy":
        require(not any(map(total, given)), "dual-row-sums")
    if "ones" in problem.free:
        require(not any(map(total, given.T)), "dual-column-sums")
    for part in problem.outside:
        if part.name in problem.free and "axis" in part.name:
            require(not product(part.features.T, given).any(), "dual-group-sums")
    if "inputs" not in problem.free:
        return given
    features, point = problem.inputs, given.copy()
    if "ones" in problem.free:
        features = np.hstack([features, 1 + 0 * features[:, :1]])
    for output in range(given.shape[1]):
        active = given.any(1) if name == "cross-entropy" else given[:, output] != 0
        used, column = features[active], given[active][:, output : output + 1]
        used = used[:, (used != 0).any(0)]
        solved = solve(product(used.T, used), product(used.T, column))
        point[active, output] = (column - product(used, solved))[:, 0]
    return point


def dual_value(name: str, problem: Statement, point: Matrix) -> arb:
    value = total((point * problem.offset).ravel())
    for part in problem.outside:
        costs = square_norms(product(part.features.T, point))
        # Of a place without samples the moment is zero.
        value -= total(cost / (2 * decay) for cost, decay in zip(costs, part.decays, strict=True) if decay)
    return ball(value) - conjugate(name, point, problem.targets, problem.weights)
