"""Local descent at fixed width: limited-memory BFGS in float64 on the balanced form of the objective.

The matched penalty λ t equals the least value of λ Σ_k (d_k/D) n_k^D over rescalings with Π n_k^{d_k} = t (weighted
inequality of arithmetic and geometric means), a smooth function of the weights; for two factors of degree 1 it
is weight decay itself.
"""

from __future__ import annotations

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


class _OutOfTimeError(Exception):
    """Raised inside the optimizer to stop it."""


def descend(objective: Objective, network: ParallelNetwork, deadline: float, iterations: int = 2000) -> ParallelNetwork:
    """A network of the same width whose objective is not higher than that of `network`.

    Args:
        objective: the function to minimize; degrees of penalty and subnetwork must match.
        network: where to start.
        deadline: `time.perf_counter()` value at which to stop.
        iterations: most quasi-Newton steps.
    """
    start = balanced(objective, network)
    layout = _Layout(start)
    value_and_gradient = _balanced_form(objective, layout)
    best = [layout.flatten(start), np.inf]

    def tracked(flat: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        if time.perf_counter() > deadline:
            raise _OutOfTimeError
        value, gradient = value_and_gradient(flat)
        if value < best[1]:
            best[0], best[1] = flat.copy(), value
        return value, gradient

    if layout.size:
        try:
            minimize(
                tracked,
                best[0],
                jac=True,
                method="L-BFGS-B",
                options={"maxiter": iterations, "maxfun": 2 * iterations, "maxcor": MEMORY, "ftol": 0.0, "gtol": 1e-13},
            )
        except _OutOfTimeError:
            pass
    found = balanced(objective, layout.unflatten(best[0]))
    candidates = [network, start, found]
    return min(candidates, key=lambda candidate: objective.evaluate(candidate).objective)


class _Layout:
    """Maps a network to a flat float64 vector and back."""

    def __init__(self, network: ParallelNetwork) -> None:
        tensors = (*network.factors, network.coefficients)
        self.shapes = [t.shape for t in tensors]
        self.device = network.coefficients.device
        self.size = sum(t.numel() for t in tensors)

    def flatten(self, network: ParallelNetwork) -> NDArray[np.float64]:
        """Network to vector."""
        flat = torch.cat([t.flatten() for t in (*network.factors, network.coefficients)])
        array: NDArray[np.float64] = flat.detach().cpu().numpy().astype(np.float64)
        return array

    def tensors(self, flat: Tensor) -> list[Tensor]:
        """Vector to factors and coefficients."""
        pieces = torch.split(flat, [s.numel() for s in self.shapes])
        return [piece.reshape(shape) for piece, shape in zip(pieces, self.shapes, strict=True)]

    def unflatten(self, flat: NDArray[np.float64]) -> ParallelNetwork:
        """Vector to network."""
        *factors, coefficients = self.tensors(torch.from_numpy(flat.copy()).to(self.device))
        return ParallelNetwork(tuple(factors), coefficients)


def _balanced_form(
    objective: Objective, layout: _Layout
) -> Callable[[NDArray[np.float64]], tuple[float, NDArray[np.float64]]]:
    degrees, degree, strength = objective.kind.degrees, objective.kind.degree, objective.strength
    ridge = objective.convex.ridge[:, None] / 2

    def value_and_gradient(flat: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        point = torch.from_numpy(flat).to(layout.device).requires_grad_()
        *factors, coefficients = layout.tensors(point)
        network = ParallelNetwork(tuple(factors), coefficients)
        value = objective.loss.value_terms(objective.forward(network)).sum()
        value = value + (ridge * coefficients**2).sum()
        for squared, d in zip(_squared_norms(objective, network), degrees, strict=True):
            value = value + strength * d / degree * (squared ** (degree / 2)).sum()
        (gradient,) = torch.autograd.grad(value, point)
        return float(value), gradient.cpu().numpy()

    return value_and_gradient


def _squared_norms(objective: Objective, network: ParallelNetwork) -> list[Tensor]:
    first = network.factors[0]
    penalized = first[:, : first.shape[1] - objective.free_inputs]
    return [(f.flatten(1) ** 2).sum(1) for f in (penalized, *network.factors[1:])]
