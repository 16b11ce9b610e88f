"""Sections 4 and 5: the objective, the dual point s A' and the dual value."""

from fractions import Fraction

import numpy as np
from flint import arb

from .branch import Branch
from .exact import Matrix, inner, norms_above, product, solve, square_norms, total
from .losses import ball, conjugate, loss
from .rejection import require
from .statement import Statement


def objective_of(name: str, problem: Statement) -> arb:
    """The objective of the network in the file; roots in its penalty from above."""
    penalty = Fraction(0)
    for branch in problem.branches:
        biases = branch.first[:, -1:] * (branch.bias == "penalized")
        penalty += branch.penalty.above(branch.first[:, :-1], biases, branch.second)
    for part in problem.outside:
        penalty += part.decay / 2 * total(square_norms(part.weights))
    return loss(name, problem.outputs(), problem.targets, problem.weights) + ball(penalty)


def dual_point(name: str, given: Matrix, problem: Statement) -> Matrix:
    """A', after rules 20 and 21: orthogonal to free inputs outside."""
    if name == "cross-entropy":
        require(not any(map(total, given)), "dual-row-sums")
    if problem.has_free_ones:
        require(not any(map(total, given.T)), "dual-column-sums")
    if not problem.has_free_inputs:
        return given
    features, point = problem.inputs, given.copy()
    if problem.has_free_ones:
        features = np.hstack([features, 1 + 0 * features[:, :1]])
    for output in range(given.shape[1]):
        active = given.any(1) if name == "cross-entropy" else given[:, output] != 0
        used, column = features[active], given[active][:, output : output + 1]
        used = used[:, (used != 0).any(0)]
        solved = solve(product(used.T, used), product(used.T, column))
        point[active, output] = (column - product(used, solved))[:, 0]
    return point


def dual_value(name: str, problem: Statement, point: Matrix) -> arb:
    """−l*(sA') + <sA', offset> − Σ |E_jᵀ sA'|²/(2μ_j)."""
    value = total((point * problem.offset).ravel())
    for part in problem.outside:
        if part.decay:
            value -= total(square_norms(product(part.features.T, point))) / (2 * part.decay)
    return ball(value) - conjugate(name, point, problem.targets, problem.weights)


def polar_above(branch: Branch, upper: Fraction, moved: Matrix) -> Fraction:
    """Bound on the polar at −A' from U at −A, rule 24; `moved` is A' − A."""
    if not moved.any():
        return upper
    return upper + inner(norms_above(branch.scores(moved)), branch.reach)
