"""Local descent at fixed width: limited-memory BFGS in float64 on the balanced form of the objective.

In each branch the penalty c t^e of balanced factors equals the least value of c Σ_k (d_k/D) n_k^{eD} over rescalings
with Π n_k^{d_k} = t (weighted inequality of arithmetic and geometric means), attained where all norms are equal: a
smooth function of the weights, and for factors of degree 1 and one strength it is weight decay itself.
"""

from __future__ import annotations

import contextlib
import itertools
import time
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import Bounds, minimize
from torch import Tensor

from certify.growth.balance import balanced, rescaled
from certify.growth.proximal import descend_by_factors
from certify.problem import Branch, Factors, Objective, ParallelNetwork

MEMORY = 30

Vector = NDArray[np.float64]
ValueAndGradient = Callable[[Vector], tuple[float, Vector]]


class _OutOfTimeError(Exception):
    """Raised inside the optimizer to stop it."""


def descend(objective: Objective, network: ParallelNetwork, deadline: float, iterations: int = 300) -> ParallelNetwork:
    """A network of the same width whose objective is not higher than that of `network`.

    Takes at most so many quasi-Newton steps, until the deadline in `time.perf_counter()`.
    """
    if not is_smooth(objective):
        return descend_by_factors(objective, network, deadline, iterations)
    even = _even(objective, network)
    layout = _Layout(even)
    least = layout.flatten(_least(objective, even))
    search = _Search(_balanced_form(objective, layout), layout.flatten(even), deadline, least)
    if even.parameters:
        search.run(iterations)
    candidates = (network, balanced(objective, network), balanced(objective, layout.unflatten(search.best_point)))
    return min(candidates, key=lambda candidate: objective.evaluate(candidate).objective)


def is_smooth(objective: Objective) -> bool:
    """Whether all norms are Euclidean; factors may be kept in cones."""
    return all(side.is_l2 for branch in objective.branches for side in branch.sides)


def _least(objective: Objective, network: ParallelNetwork) -> ParallelNetwork:
    """The least that every weight may be: 0 in a cone, else −∞."""
    stacks = []
    for branch, stack in zip(objective.branches, network.stacks, strict=True):
        lows = (0.0 if side.nonnegative else -torch.inf for side in branch.sides)
        stacks.append(tuple(torch.full_like(factor, low) for factor, low in zip(stack, lows, strict=True)))
    return ParallelNetwork(tuple(stacks), torch.full_like(network.coefficients, -torch.inf))


class _Search:
    """One run of the optimizer, remembering the best point that it evaluated."""

    def __init__(self, function: ValueAndGradient, start: Vector, deadline: float, least: Vector) -> None:
        self.function, self.deadline = function, deadline
        self.bounds = Bounds(least, np.inf) if np.isfinite(least).any() else None
        self.best_point, self.best_value = start, np.inf

    def run(self, iterations: int) -> None:
        """Minimize until stationary, out of iterations or out of time."""
        options = {"maxiter": iterations, "maxfun": 2 * iterations, "maxcor": MEMORY, "ftol": 0.0, "gtol": 1e-13}
        with contextlib.suppress(_OutOfTimeError):
            minimize(self, self.best_point, jac=True, bounds=self.bounds, method="L-BFGS-B", options=options)

    def __call__(self, flat: Vector) -> tuple[float, Vector]:
        """Value and gradient at a point."""
        if time.perf_counter() > self.deadline:
            raise _OutOfTimeError
        value, gradient = self.function(flat)
        if value < self.best_value:
            self.best_point, self.best_value = flat.copy(), value
        return value, gradient


class _Layout:
    """Maps a network to a flat float64 vector and back."""

    def __init__(self, network: ParallelNetwork) -> None:
        self.factors = [len(stack) for stack in network.stacks]
        self.shapes = [t.shape for t in _tensors(network)]
        self.device = network.coefficients.device

    def flatten(self, network: ParallelNetwork) -> Vector:
        """Network to vector."""
        flat = torch.cat([t.flatten() for t in _tensors(network)])
        array: Vector = flat.detach().cpu().numpy().astype(np.float64)
        return array

    def network(self, flat: Tensor) -> ParallelNetwork:
        """Vector to network, differentiably."""
        pieces = torch.split(flat, [shape.numel() for shape in self.shapes])
        tensors = iter([piece.reshape(shape) for piece, shape in zip(pieces, self.shapes, strict=True)])
        stacks = tuple(tuple(itertools.islice(tensors, count)) for count in self.factors)
        return ParallelNetwork(stacks, next(tensors))

    def unflatten(self, flat: Vector) -> ParallelNetwork:
        """Vector to network."""
        return self.network(torch.from_numpy(flat.copy()).to(self.device))


def _tensors(network: ParallelNetwork) -> tuple[Tensor, ...]:
    return (*(factor for stack in network.stacks for factor in stack), network.coefficients)


def _even(objective: Objective, network: ParallelNetwork) -> ParallelNetwork:
    """The same function with all norms of a subnetwork equal, where the balanced form is c t^e."""
    pairs = zip(objective.branches, network.stacks, strict=True)
    stacks = (rescaled(branch, stack, (1.0,) * len(stack)) for branch, stack in pairs)
    return ParallelNetwork(tuple(stacks), network.coefficients)


def _balanced_form(objective: Objective, layout: _Layout) -> ValueAndGradient:
    ridge = objective.convex.ridge[:, None] / 2
    gauges = [branch.gauge for branch in objective.branches]

    def value_and_gradient(flat: Vector) -> tuple[float, Vector]:
        point = torch.from_numpy(flat).to(layout.device).requires_grad_()
        network = layout.network(point)
        outputs = objective.forward(network)
        value = objective.loss.value_terms(outputs).sum() + objective.unobserved_loss(network, outputs)
        value = value + (ridge * network.coefficients**2).sum()
        for branch, gauge, stack in zip(objective.branches, gauges, network.stacks, strict=True):
            degree, power = branch.kind.degree, gauge.exponent * branch.kind.degree / 2
            for squared, d in zip(_squared_norms(branch, stack), branch.kind.degrees, strict=True):
                value = value + gauge.coefficient * d / degree * (squared**power).sum()
        (gradient,) = torch.autograd.grad(value, point)
        return float(value.detach()), gradient.cpu().numpy()

    return value_and_gradient


def _squared_norms(branch: Branch, stack: Factors) -> list[Tensor]:
    penalized = stack[0][:, : stack[0].shape[1] - branch.view.free_inputs]
    return [(f**2).sum(1) for f in (penalized, *stack[1:])]
