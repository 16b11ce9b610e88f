"""Rule 57: places of a matrix that are no samples, all of them one by one."""

import math
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np

from .container import Shapes
from .entries import EntryBranch
from .exact import Matrix, product, rational, square_norms, total
from .rejection import afford, require
from .schema import number
from .statement import Statement


class Unobserved(NamedTuple):
    """κ w, and the outputs z and the dual point B over the whole matrix, 0 at samples."""

    weight: Fraction
    outputs: Matrix
    point: Matrix

    @property
    def loss(self) -> Fraction:
        return self.weight * total(square_norms(self.outputs))

    def cost(self, scale: Fraction) -> Fraction:
        return scale**2 * total(square_norms(self.point)) / (4 * self.weight)


def unobserved_of(stated: dict[str, Any], problem: Statement, shapes: Shapes) -> Unobserved | None:
    loss = stated["loss"]
    if "unobserved_weight" not in loss:
        return None
    weight = number(loss["scale"]) * number(loss["unobserved_weight"])
    require(weight > 0 and (loss["name"], loss["reduction"]) == ("mse", "sum"), "unobserved")
    branch = problem.branches[0] if problem.branches else None
    require(isinstance(branch, EntryBranch) and not stated["outside"] and stated["offset"] is None, "unobserved")
    assert isinstance(branch, EntryBranch)
    require(len(branch.shape) == 2 and branch.scale == 1 and not branch.counted, "unobserved")
    left = shapes.take("A.0", None, branch.shape[0])
    right = shapes.take("A.1", len(left), branch.shape[1])
    require(max(len(left), len(branch.factors[0])) <= 2**14, "size-limit")
    require(max(len(left), 1) * max(branch.shape) <= 2**28, "size-limit")
    afford(20 * math.prod(branch.shape) * (len(left) + len(branch.factors[0])))
    seen = tuple(branch.places.T.astype(int))
    found = product(branch.factors[0].T, branch.factors[1]), product(rational(left).T, rational(right))
    for matrix in found:
        matrix[seen] = Fraction(0)
    return Unobserved(weight, *found)


def whole(branch: EntryBranch, given: Matrix, point: Matrix) -> tuple[EntryBranch, Matrix]:
    """The branch with all places as samples, and scores: A at those that were, and B elsewhere."""
    scores = point.copy()
    scores[tuple(branch.places.T.astype(int))] = given[:, 0]
    return branch._replace(places=np.argwhere(np.full(branch.shape, True)).astype(object)), scores.reshape(-1, 1)
