"""Local descent where norms of factors are not smooth: proximal gradient steps on one factor at a time.

With all factors but one of every subnetwork fixed at norm 1, l(Z) + λ Σ N(x_i) is convex in what is left, x_i:
accelerated steps with backtracking (Beck and Teboulle 2009), restarted where they rise (O'Donoghue and Candes 2015).
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from certify.problem import Factors, Objective, ParallelNetwork

# Steps on one factor before it is the other one's turn, and halvings of a step.
STEPS_EACH, BACKTRACKS = 20, 60
# Share of the objective below which a turn of both factors gains nothing.
STOP_SHARE = 1e-14
# A step grows by this before each trial.
GROWTH = 1.5


def descend_by_factors(
    objective: Objective, network: ParallelNetwork, deadline: float, iterations: int
) -> ParallelNetwork:
    """A network of the same width whose objective is not higher, after at most so many proximal steps."""
    best, value = network, objective.evaluate(network).objective
    order = max((len(stack) for stack in network.stacks), default=0)
    for _ in range(max(1, iterations // (2 * STEPS_EACH))):
        before = value
        for moving in reversed(range(order)):
            found = _Block(objective, best, moving).minimized(deadline)
            reached = objective.evaluate(found).objective
            if reached < value:
                best, value = found, reached
        if not before - value > STOP_SHARE * abs(before) or time.perf_counter() > deadline:
            break
    return best


@final
@dataclass(frozen=True, slots=True)
class _Point:
    """The moving factor of every branch, and C."""

    factors: Factors
    coefficients: Tensor

    def moved(self, other: _Point, share: float) -> _Point:
        """This point and a share of the way to another one."""
        pairs = zip(self.factors, other.factors, strict=True)
        coefficients = self.coefficients + share * (other.coefficients - self.coefficients)
        return _Point(tuple(one + share * (two - one) for one, two in pairs), coefficients)

    def distances(self, other: _Point) -> tuple[Tensor, ...]:
        """What leads from another point to this one."""
        pairs = zip(self.factors, other.factors, strict=True)
        return *(one - two for one, two in pairs), self.coefficients - other.coefficients


class _Block:
    """The convex problem in one factor of every subnetwork, the others fixed, and in C."""

    def __init__(self, objective: Objective, network: ParallelNetwork, moving: int) -> None:
        self.objective, self.moving = objective, moving
        self.fixed, starts = [], []
        for branch, stack in zip(objective.branches, network.stacks, strict=True):
            sizes = torch.stack(branch.norms(stack))[:, :, None]
            units = [torch.where(size > 0, f / size, 0.0) for f, size in zip(stack, sizes, strict=True)]
            self.fixed.append(units)
            starts.append(units[moving] * sizes.prod(0))
        self.start = _Point(tuple(starts), network.coefficients)

    def minimized(self, deadline: float) -> ParallelNetwork:
        """The network after some steps."""
        point = ahead = self.start
        value, step, momentum = self.value(point), 1.0, 1.0
        for _ in range(STEPS_EACH):
            found, step = self._step(ahead, GROWTH * step)
            reached = self.value(found)
            if not reached <= value:
                found, step = self._step(point, step)
                reached, momentum = self.value(found), 1.0
            if not reached < value or time.perf_counter() > deadline:
                break
            following = (1 + (1 + 4 * momentum**2) ** 0.5) / 2
            ahead = point.moved(found, 1 + (momentum - 1) / following)
            point, value, momentum = found, reached, following
        return self.network(point)

    def network(self, point: _Point) -> ParallelNetwork:
        """The network at a point."""
        stacks = []
        for factor, units in zip(point.factors, self.fixed, strict=True):
            stacks.append((*units[: self.moving], factor, *units[self.moving + 1 :]))
        return ParallelNetwork(tuple(stacks), point.coefficients)

    def value(self, point: _Point) -> float:
        """The objective at a point."""
        return self.objective.evaluate(self.network(point)).objective

    def _smooth(self, point: _Point) -> tuple[float, _Point]:
        """Loss and ridge with their gradient."""
        leaves = [tensor.detach().requires_grad_() for tensor in (*point.factors, point.coefficients)]
        network = self.network(_Point(tuple(leaves[:-1]), leaves[-1]))
        value = self.objective.loss.value_terms(self.objective.forward(network)).sum()
        value = value + (self.objective.convex.ridge[:, None] / 2 * leaves[-1] ** 2).sum()
        *factors, coefficients = torch.autograd.grad(value, leaves)
        return float(value.detach()), _Point(tuple(factors), coefficients)

    def _step(self, point: _Point, step: float) -> tuple[_Point, float]:
        """The proximal point of the longest of step, step/2, … that the smooth part bears out."""
        value, gradient = self._smooth(point)
        slopes = *gradient.factors, gradient.coefficients
        for _ in range(BACKTRACKS):
            found = self._proximal(point, gradient, step)
            ways = found.distances(point)
            linear = sum(float((slope * way).sum()) for slope, way in zip(slopes, ways, strict=True))
            square = sum(float((way**2).sum()) for way in ways)
            if self._smooth_value(found) <= value + linear + square / (2 * step) + 1e-15 * abs(value):
                break
            step /= 2
        return found, step

    def _smooth_value(self, point: _Point) -> float:
        network = self.network(point)
        ridge = (self.objective.convex.ridge[:, None] / 2 * point.coefficients**2).sum()
        return float(self.objective.loss.value_terms(self.objective.forward(network)).sum() + ridge)

    def _proximal(self, point: _Point, gradient: _Point, step: float) -> _Point:
        factors = []
        for branch, x, slope in zip(self.objective.branches, point.factors, gradient.factors, strict=True):
            steps = x.new_full((len(x),), step * branch.strength)
            factors.append(branch.sides[self.moving].shrunk(x - step * slope, steps))
        return _Point(tuple(factors), point.coefficients - step * gradient.coefficients)
