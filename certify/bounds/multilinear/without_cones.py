"""The dual point of a nonnegative factorization of a matrix with its cones left out, where others are too large.

    min l(Z) + λ |Z|₊   over Z,   |Z|₊ the sum of singular values,

bounds the problem from below, and closely where its optimum is nearly nonnegative. Accelerated proximal gradient steps
with backtracking (Toh and Yun 2010; Beck and Teboulle 2009) on a dense Z, one of which is enough where every entry is
observed with the squared error. ∇l there has a spectral norm of about λ.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from certify.bounds.bilinear.coupling import coupling_of, extents_of, outputs_of
from certify.bounds.multilinear.sparse_spectral import DENSE_ENTRIES, matrix_applies, sparse_spectral
from certify.bounds.polar import PolarBound, PolarTask
from certify.problem.dual import InfeasibleDualError, feasible_dual

# Largest smaller side of Z, most steps, and the share of the loss by which a step ends it.
LARGEST_SIDE, MOST_STEPS, LEAST_FALL = 1000, 400, 1e-9
# Doublings of the bend of a parabola, and the share of the loss by which it counts as borne out.
DOUBLINGS, ROUNDING = 60, 1e-14


def without_cones_apply(task: PolarTask) -> bool:
    """Whether norms are Euclidean with a cone, Z fits, and nothing else is trained."""
    sides, convex = task.branch.sides, task.objective.convex
    if not matrix_applies(task) or len(convex.ridge) or not all(side.is_l2 for side in sides):
        return False
    h, m = extents_of(task)
    return any(side.nonnegative for side in sides) and min(h, m) <= LARGEST_SIDE and h * m <= DENSE_ENTRIES


def without_cones(task: PolarTask) -> list[tuple[Tensor, PolarBound]]:
    """The dual point, with its bound."""
    problem = _Problem(task)
    gradient = task.objective.loss.gradient(problem.outputs(problem.minimized()))
    try:
        dual = feasible_dual(task.objective, gradient)
    except InfeasibleDualError:
        return []
    return [(dual, sparse_spectral(replace(task, dual=dual)))]


class _Problem:
    """The relaxation."""

    def __init__(self, task: PolarTask) -> None:
        self.task, self.objective, self.branch = task, task.objective, task.branch

    def outputs(self, weights: Tensor) -> Tensor:
        """Z on the entries."""
        found = outputs_of(self.branch, weights)
        return found if self.objective.offset is None else found + self.objective.offset

    def minimized(self) -> Tensor:
        """Z by the deadline."""
        weights = ahead = self.task.dual.new_zeros(*extents_of(self.task))
        value, bend, momentum = self._value(weights, 0.0), 1e-6, 1.0
        for _ in range(MOST_STEPS):
            found, size, bend = self._step(ahead, bend / 2)
            reached = self._value(found, size)
            rises = not reached < value
            momentum, previous = (1.0, momentum) if rises else ((1 + (1 + 4 * momentum**2) ** 0.5) / 2, momentum)
            if self.task.seconds_left == 0 or abs(value - reached) <= LEAST_FALL * abs(value):
                return weights if rises else found
            ahead = weights if rises else found + (previous - 1) / momentum * (found - weights)
            weights, value = (weights, value) if rises else (found, reached)
        return weights

    def _value(self, weights: Tensor, size: float) -> float:
        return self._loss(weights) + self.branch.strength * size

    def _loss(self, weights: Tensor) -> float:
        return float(self.objective.loss.value_terms(self.outputs(weights)).sum())

    def _step(self, weights: Tensor, bend: float) -> tuple[Tensor, float, float]:
        """The proximal point of a parabola of the least bend that bears the loss out, |·|₊ of it, and the bend."""
        outputs = self.outputs(weights)
        slope = -coupling_of(self.branch, self.branch.scores(self.objective.loss.gradient(outputs)))
        value = float(self.objective.loss.value_terms(outputs).sum())
        for _ in range(DOUBLINGS):
            left, sizes, right = torch.linalg.svd(weights - slope / bend, full_matrices=False)
            sizes = (sizes - self.branch.strength / bend).clamp_min(0)
            found = (left * sizes) @ right
            way = found - weights
            most = value + float((slope * way).sum()) + bend / 2 * float((way**2).sum()) + ROUNDING * abs(value)
            if self._loss(found) <= most:
                break
            bend *= 2
        return found, float(sizes.sum()), bend
