"""Small networks of three weights and more, fitted: bases for forgeries, and random instances for campaigns."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from certify.growth.descent import descend
from certify.models.loading import Problem

STEPS = 150


@dataclass(frozen=True)
class Sketch:
    """Sizes of the layers, the function between them, and whether the first one has a bias."""

    sizes: tuple[int, ...]
    function: Callable[[], nn.Module] = nn.ReLU
    bias: bool = False


class Absolute(nn.Module):
    """|x|."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Entry by entry."""
        return x.abs()


def dense(sketch: Sketch) -> nn.Module:
    """A perceptron."""
    pairs = list(zip(sketch.sizes, sketch.sizes[1:], strict=False))
    layers = [nn.Linear(a, b, bias=sketch.bias and at == 0) for at, (a, b) in enumerate(pairs)]
    return nn.Sequential(*(part for layer in layers[:-1] for part in (layer, sketch.function())), layers[-1])


def convolutional() -> nn.Module:
    """Convolution, averages, convolution, and a weight for each position, on four entries."""
    return nn.Sequential(
        *(nn.Conv1d(1, 2, 2, padding=1, bias=False), nn.ReLU(), nn.AvgPool1d(2, stride=1)),
        *(nn.Conv1d(2, 1, 2, stride=2, bias=False), nn.ReLU(), nn.Flatten(), nn.Linear(2, 1, bias=False)),
    )


def problem_of(module: nn.Module, inputs: np.ndarray, targets: np.ndarray, weights: int, strength: float) -> Problem:
    """Half the squared error under a product of norms."""
    penalty = {"product_of_norms": {"strength": strength, "norms": [2] * weights, "powers": [1] * weights}}
    return Problem.from_torch(module.double(), inputs, targets, reduction="sum", scale=0.5, penalty=penalty)


def fitted(seed: int, module: nn.Module, shape: tuple[int, ...], outputs: int, strength: float) -> Problem:
    """Random data, and the network after some steps of descent."""
    rng = np.random.default_rng([51, seed])
    torch.manual_seed(seed)
    for parameter in module.parameters():
        nn.init.normal_(parameter)
    inputs, targets = rng.standard_normal(shape), rng.standard_normal((shape[0], outputs))
    problem = problem_of(module, inputs, targets, sum(p.ndim > 1 for p in module.parameters()), strength)
    return problem.with_network(descend(problem.objective, problem.network, math.inf, STEPS))
