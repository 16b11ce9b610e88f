"""Random problems whose global optimum over all widths is known in closed form, with optimal weights.

* linear, X = I: soft-thresholded singular values (Cai, Candes and Shen 2010);
* ReLU, orthonormal rows of X (n ≤ d), one output: Ω(Z) = |Z_+| + |Z_-|, so each sign block is shrunk as a vector;
* quadratic, X = I, one output: Ω(Z) = Σ|Z_i| (the nuclear norm of M is at least Σ|M_ii|), entrywise soft threshold.

All three are min (1/2)|Z − Y|² κ + λ Ω(Z). Rotating the inputs changes nothing, and is applied to hide the structure.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray

from certify.models.loading import Problem

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Planted:
    """A problem with its optimum.

    Attributes:
        family: linear, relu or quadratic.
        inputs: X (n, d).
        targets: Y (n, c).
        strength: λ.
        optimum: least objective over all widths of (κ/2)|Z − Y|² + λ Ω(Z), κ = 1 (reduction sum, scale 1/2).
        first: optimal u (r, d).
        second: optimal v (r, c).
    """

    family: str
    inputs: Array
    targets: Array
    strength: float
    optimum: float
    first: Array
    second: Array

    def problem(self, first: Array, second: Array, seconds: float = 30.0) -> Problem:
        """The certify problem at given weights."""
        d, r, c = self.inputs.shape[1], first.shape[0], second.shape[1]
        middle = {"linear": [], "relu": [torch.nn.ReLU()], "quadratic": [Square()]}[self.family]
        model = torch.nn.Sequential(
            torch.nn.Linear(d, r, bias=False, dtype=torch.float64),
            *middle,
            torch.nn.Linear(r, c, bias=False, dtype=torch.float64),
        )
        with torch.no_grad():
            model[0].weight.copy_(torch.from_numpy(first))
            model[-1].weight.copy_(torch.from_numpy(second.T))
        penalty = {"product_of_norms": {"strength": self.strength, "norms": [2, 2], "powers": [2, 1]}}
        chosen = {"penalty": penalty} if self.family == "quadratic" else {"weight_decay": self.strength}
        layers = None
        if self.family == "quadratic":
            layers = [{"linear": "0"}, "square", {"linear": "2"}]
        if self.family == "linear":
            layers = [{"linear": "0"}, {"linear": "1"}]
        return Problem.from_torch(
            model,
            self.inputs,
            self.targets,
            loss="mse",
            reduction="sum",
            scale=0.5,
            layers=layers,
            budget_seconds=seconds,
            **chosen,
        )


class Square(torch.nn.Module):
    """σ(t) = t²."""

    def forward(self, t: torch.Tensor) -> torch.Tensor:
        return t * t


def _rotation(rng: Generator, d: int) -> Array:
    return np.linalg.qr(rng.standard_normal((d, d)))[0]


def linear_instance(rng: Generator) -> Planted:
    """A small problem of a random shape."""
    n, c = rng.integers(2, 7, size=2)
    return planted_linear(rng, int(n), int(c))


def planted_linear(rng: Generator, n: int, c: int) -> Planted:
    """Soft-thresholded singular value decomposition of n × c targets."""
    targets = rng.standard_normal((n, c)) * 10 ** rng.uniform(-1, 1)
    left, values, right = np.linalg.svd(targets, full_matrices=False)
    strength = float(rng.uniform(0.05, 0.9) * values[0])
    kept = np.maximum(values - strength, 0)
    optimum = float((np.minimum(values, strength) ** 2).sum() / 2 + strength * kept.sum())
    r = int((kept > 0).sum())
    root = np.sqrt(kept[:r])
    turn = _rotation(rng, n)
    return Planted(
        "linear", turn, targets, strength, optimum, ((left[:, :r] * root).T @ turn), root[:, None] * right[:r]
    )


def relu_instance(rng: Generator) -> Planted:
    """A small problem of a random shape."""
    n = int(rng.integers(2, 6))
    return planted_relu(rng, n, n + int(rng.integers(0, 3)))


def planted_relu(rng: Generator, n: int, d: int) -> Planted:
    """Orthonormal rows, n ≤ d: each sign block of Y shrinks towards zero as one vector."""
    inputs = _rotation(rng, d)[:n]
    targets = rng.standard_normal((n, 1)) * 10 ** rng.uniform(-1, 1)
    blocks = [np.maximum(targets, 0), np.maximum(-targets, 0)]
    sizes = [float(np.linalg.norm(block)) for block in blocks]
    strength = float(rng.uniform(0.05, 0.9) * max(sizes))
    optimum, first, second = 0.0, [], []
    for sign, block, size in zip((1.0, -1.0), blocks, sizes, strict=True):
        kept = max(size - strength, 0.0)
        optimum += min(size, strength) ** 2 / 2 + strength * kept
        if kept > 0:
            first.append(inputs.T @ block[:, 0] / size * np.sqrt(kept))
            second.append([sign * np.sqrt(kept)])
    return Planted("relu", inputs, targets, strength, optimum, np.array(first), np.array(second))


def quadratic_instance(rng: Generator) -> Planted:
    """A small problem of a random size."""
    return planted_quadratic(rng, int(rng.integers(2, 7)))


def planted_quadratic(rng: Generator, n: int) -> Planted:
    """Entrywise soft threshold of n targets."""
    targets = rng.standard_normal((n, 1)) * 10 ** rng.uniform(-1, 1)
    size = np.abs(targets[:, 0])
    strength = float(rng.uniform(0.05, 0.9) * size.max())
    kept = np.maximum(size - strength, 0)
    optimum = float((np.minimum(size, strength) ** 2).sum() / 2 + strength * kept.sum())
    turn = _rotation(rng, n)
    chosen = np.flatnonzero(kept)
    root = kept[chosen] ** (1 / 3)
    first = turn.T[:, :].T[chosen] * root[:, None]
    second = (np.sign(targets[chosen, 0]) * root)[:, None]
    return Planted("quadratic", turn, targets, strength, optimum, first, second)


INSTANCES = {"linear": linear_instance, "relu": relu_instance, "quadratic": quadratic_instance}
