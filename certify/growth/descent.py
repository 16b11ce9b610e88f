"""Local descent at fixed width: limited-memory BFGS in float64 on the balanced form of the objective.

The matched penalty λ t equals the least value of λ Σ_k (d_k/D) n_k^D over rescalings with Π n_k^{d_k} = t (weighted
inequality of arithmetic and geometric means), a smooth function of the weights; for two factors of degree 1 it
is weight decay itself.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize
from torch import Tensor

from certify.growth.balance import balanced
from certify.problem import Objective, ParallelNetwork

MEMORY = 30

Vector = NDArray[np.float64]
ValueAndGradient = Callable[[Vector], tuple[float, Vector]]


class _OutOfTimeError(Exception):
    """Raised inside the optimizer to stop it."""


def descend(objective: Objective, network: ParallelNetwork, deadline: float, iterations: int = 300) -> ParallelNetwork:
    """A network of the same width whose objective is not higher than that of `network`.

    Args:
        objective: the function to minimize; degrees of penalty and subnetwork must match.
        network: where to start.
        deadline: `time.perf_counter()` value at which to stop.
        iterations: most quasi-Newton steps.
    """
    start = balanced(objective, network)
    layout = _Layout(start)
    search = _Search(_balanced_form(objective, layout), layout.flatten(start), deadline)
    if layout.size:
        search.run(iterations)
    found = balanced(objective, layout.unflatten(search.best_point))
    return min((network, start, found), key=lambda candidate: objective.evaluate(candidate).objective)


class _Search:
    """One run of the optimizer, remembering the best point that it evaluated."""

    def __init__(self, function: ValueAndGradient, start: Vector, deadline: float) -> None:
        self.function, self.deadline = function, deadline
        self.best_point, self.best_value = start, np.inf

    def run(self, iterations: int) -> None:
        """Minimize until stationary, out of iterations or out of time."""
        options = {"maxiter": iterations, "maxfun": 2 * iterations, "maxcor": MEMORY, "ftol": 0.0, "gtol": 1e-13}
        with contextlib.suppress(_OutOfTimeError):
            minimize(self, self.best_point, jac=True, method="L-BFGS-B", options=options)

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
        tensors = (*network.factors, network.coefficients)
        self.shapes = [t.shape for t in tensors]
        self.device = network.coefficients.device
        self.size = sum(t.numel() for t in tensors)

    def flatten(self, network: ParallelNetwork) -> Vector:
        """Network to vector."""
        flat = torch.cat([t.flatten() for t in (*network.factors, network.coefficients)])
        array: Vector = flat.detach().cpu().numpy().astype(np.float64)
        return array

    def tensors(self, flat: Tensor) -> list[Tensor]:
        """Vector to factors and coefficients."""
        pieces = torch.split(flat, [s.numel() for s in self.shapes])
        return [piece.reshape(shape) for piece, shape in zip(pieces, self.shapes, strict=True)]

    def unflatten(self, flat: Vector) -> ParallelNetwork:
        """Vector to network."""
        *factors, coefficients = self.tensors(torch.from_numpy(flat.copy()).to(self.device))
        return ParallelNetwork(tuple(factors), coefficients)


def _balanced_form(objective: Objective, layout: _Layout) -> ValueAndGradient:
    degrees, degree, strength = objective.kind.degrees, objective.kind.degree, objective.strength
    ridge = objective.convex.ridge[:, None] / 2

    def value_and_gradient(flat: Vector) -> tuple[float, Vector]:
        point = torch.from_numpy(flat).to(layout.device).requires_grad_()
        *factors, coefficients = layout.tensors(point)
        network = ParallelNetwork(tuple(factors), coefficients)
        value = objective.loss.value_terms(objective.forward(network)).sum()
        value = value + (ridge * coefficients**2).sum()
        for squared, d in zip(_squared_norms(objective, network), degrees, strict=True):
            value = value + strength * d / degree * (squared ** (degree / 2)).sum()
        (gradient,) = torch.autograd.grad(value, point)
        return float(value.detach()), gradient.cpu().numpy()

    return value_and_gradient


def _squared_norms(objective: Objective, network: ParallelNetwork) -> list[Tensor]:
    first = network.factors[0]
    penalized = first[:, : first.shape[1] - objective.free_inputs]
    return [(f.flatten(1) ** 2).sum(1) for f in (penalized, *network.factors[1:])]
