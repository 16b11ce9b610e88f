"""Random linear autoencoders with tied weights, whose optimum over all widths is known in closed form or by descent.

X is orthogonal: (1/2)|X P − Y|² + (s/2) tr P over P ⪰ 0 is least at the eigenvalues of the symmetric part of XᵀY less
s/2, where they are positive; its antisymmetric part costs what it costs.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.random import Generator
from torch.nn import functional

from certify.models.loading import Problem

from .planted import Array, _rotation

STEPS = 400


class Autoencoder(torch.nn.Module):
    """(x Wᵀ + b) W + c."""

    def __init__(self, weight: Array, hidden: bool = False, output: bool = False) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.from_numpy(weight.copy()))
        units, inputs = weight.shape
        self.hidden = torch.nn.Parameter(torch.zeros(units, dtype=torch.float64)) if hidden else None
        self.output = torch.nn.Parameter(torch.zeros(inputs, dtype=torch.float64)) if output else None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return functional.linear(functional.linear(x, self.weight, self.hidden), self.weight.T, self.output)


def thresholded(inputs: Array, targets: Array, threshold: float) -> tuple[float, Array]:
    """The optimum for orthogonal inputs and (1/2)|Z − Y|² + threshold · tr P, with optimal u (r, d)."""
    moments = inputs.T @ targets
    values, vectors = np.linalg.eigh((moments + moments.T) / 2)
    kept = np.maximum(values - threshold, 0)
    skew = (moments - moments.T) / 2
    optimum = ((values - kept) ** 2).sum() / 2 + threshold * kept.sum() + (skew**2).sum() / 2
    return float(optimum), (vectors * np.sqrt(kept))[:, kept > 0].T


def orthogonal(rng: Generator) -> tuple[Array, Array, float]:
    """X, Y and weight decay s."""
    d = int(rng.integers(2, 6))
    inputs, targets = _rotation(rng, d), rng.standard_normal((d, d)) * 10 ** rng.uniform(-1, 1)
    moments = inputs.T @ targets
    top = np.linalg.eigvalsh((moments + moments.T) / 2)[-1]
    # Where no eigenvalue is positive nothing is learned, whatever the decay.
    return inputs, targets, float(rng.uniform(0.1, 1.8) * max(top, 0.5))


def orthogonal_problem(rng: Generator, weight: Array | None = None) -> tuple[Problem, float]:
    """A problem, at its optimum unless other weights are given, and the optimum."""
    inputs, targets, decay = orthogonal(rng)
    optimum, best = thresholded(inputs, targets, decay / 2)
    model = Autoencoder(best if weight is None else weight)
    given = {"reduction": "sum", "scale": 0.5, "weight_decay": decay}
    return Problem.from_torch(model, inputs, targets, **given), optimum


def random_problem(rng: Generator, *, hidden: bool = False, output: bool = False, **settings: object) -> Problem:
    """Any inputs, with biases if they are asked for, at random weights of full width."""
    n, d = int(rng.integers(3, 8)), int(rng.integers(2, 5))
    inputs = rng.standard_normal((n, d))
    targets = inputs @ rng.standard_normal((d, d)) + rng.standard_normal((n, d))
    model = Autoencoder(rng.standard_normal((d + 1, d)) / d, hidden, output)
    return Problem.from_torch(model, inputs, targets, **({"weight_decay": 0.3} | settings))


def fitted_matrix(rows: Array, targets: Array, omega: Array, threshold: float) -> Array:
    """U (h, h) of P = UᵀU that nearly minimizes Σ ω |H P_{·,:c} − Y|² + threshold · tr P, by projected descent."""
    h, c = rows.shape[1], targets.shape[1]
    form = np.zeros((h, h))
    pull = 2 * np.linalg.norm(rows, 2) ** 2 * max(float(omega.max()), 1e-300)
    for _ in range(STEPS):
        slope = np.zeros((h, h))
        slope[:, :c] = rows.T @ (2 * omega * (rows @ form[:, :c] - targets))
        moved = form - ((slope + slope.T) / 2 + threshold * np.eye(h)) / pull
        values, vectors = np.linalg.eigh(moved)
        form = (vectors * np.maximum(values, 0)) @ vectors.T
    values, vectors = np.linalg.eigh(form)
    found: Array = (vectors * np.sqrt(np.maximum(values, 0))).T
    return found
