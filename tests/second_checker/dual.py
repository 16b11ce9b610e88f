"""Sections 4 and 5: the objective, the dual point and the dual value."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from .exact import Matrix, norms_above, product, root_above, solve, square_norms, total, zeros
from .losses import Real, conjugate, loss
from .rejection import Rejected, require
from .statement import Branch, Statement


def objective_of(name: str, problem: Statement) -> Real:
    """The objective of the network in the file; roots in its penalty from above."""
    penalty = Fraction(0)
    for branch in problem.branches:
        biases = branch.biases if branch.bias == "penalized" else None
        penalty += branch.penalty.above(branch.first, biases, branch.second)
    for _, _, weights, decay in problem.outside:
        penalty += decay / 2 * total(square_norms(weights))
    return loss(name, problem.outputs(), problem.targets, problem.weights).plus(penalty)


@dataclass(frozen=True)
class DualPoint:
    """s A'.

    Attributes:
        scale: s.
        given: A.
        point: A'; A itself unless inputs outside are free.
    """

    scale: Fraction
    given: Matrix
    point: Matrix

    def check_polar(self, branch: Branch, upper: Fraction, projected: bool) -> None:
        """Rule 24, for the claimed bound U on the polar at −A."""
        if not projected:
            require((self.scale * upper) ** 2 <= branch.penalty.square_strength, "polar-scale")
            return
        reach = reaches(branch)
        moved = norms_above(branch.scores(self.point - self.given))
        changed = total(move * far for move, far in zip(moved, reach, strict=True))
        require((self.scale * (upper + changed)) ** 2 <= branch.penalty.square_strength, "polar-scale")


def reaches(branch: Branch) -> list[Fraction]:
    """ρ_i: what a unit with |u| ≤ 1 has at most in row i."""
    squares = square_norms(branch.columns)
    if branch.geometry.square:
        return squares
    sizes = [root_above(square) for square in squares]
    more = max(sizes) if branch.is_free else Fraction(0)
    return [branch.geometry.lipschitz * (size + more) for size in sizes]


def dual_point(name: str, scale: Fraction, given: Matrix, problem: Statement) -> DualPoint:
    """Rules 18, 20 and 21."""
    require(scale >= 0, "dual-scale")
    if name == "cross-entropy":
        require(not any(total(row) for row in given), "dual-row-sums")
    if problem.has_free_ones:
        require(not any(total(column) for column in given.T), "dual-column-sums")
    point = project(name, given, problem) if problem.has_free_inputs else given
    return DualPoint(scale, given, point)


def project(name: str, given: Matrix, problem: Statement) -> Matrix:
    """A', orthogonal to free inputs outside."""
    features = problem.inputs
    if problem.has_free_ones:
        features = np.hstack([features, zeros(len(features), 1) + 1])
    point = given.copy()
    for output in range(given.shape[1]):
        active = (given != 0).any(1) if name == "cross-entropy" else given[:, output] != 0
        used = features[active]
        used = used[:, (used != 0).any(0)]
        right = product(used.T, given[active][:, output : output + 1])
        solved = solve(product(used.T, used), right)
        if solved is None:
            raise Rejected("free-skip-rank")
        point[active, output] = given[active, output] - product(used, solved)[:, 0]
    return point


def dual_value(name: str, problem: Statement, dual: DualPoint) -> Real:
    """−l*(sA') + <sA', offset> − Σ |E_jᵀ sA'|²/(2μ_j), and rule 19."""
    require(not any(dual.point[problem.weights == 0]), "dual-domain")
    point = dual.point * dual.scale
    value = Fraction(0) if problem.offset is None else total((point * problem.offset).ravel())
    for _, features, _, decay in problem.outside:
        if decay:
            value -= total(square_norms(product(features.T, point))) / (2 * decay)
    return (-conjugate(name, point, problem.targets, problem.weights)).plus(value)
