"""Two samples on a line, free biases: the optimum over all widths in closed form, for any number of outputs.

A constant is free, so only d = z_2 − z_1 matters. A neuron that turns at the other sample makes |d| = |v| (x_2 − x_1),
and no neuron of the same norms makes more. With the best constant the problem is min |d − D|²/4 + μ |d|, D = y_2 − y_1,
μ = λ/(x_2 − x_1): d is D shrunk by 2μ.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.random import Generator

from certify.models.loading import Problem

from .planted import Array


@dataclass(frozen=True)
class Pair:
    """A problem with its optimum and the weights of one optimal neuron."""

    inputs: Array
    targets: Array
    strength: float
    first: Array
    second: Array

    def problem(self, first: Array, second: Array) -> Problem:
        """The certify problem at given weights; the hidden bias is the second column of `first`."""
        c = self.targets.shape[1]
        model = torch.nn.Sequential(torch.nn.Linear(1, len(first)), torch.nn.ReLU(), torch.nn.Linear(len(first), c))
        model = model.double()
        hidden = np.maximum(self.inputs @ first[:, :1].T + first[:, 1], 0)
        with torch.no_grad():
            model[0].weight.copy_(torch.from_numpy(first[:, :1]))
            model[0].bias.copy_(torch.from_numpy(first[:, 1]))
            model[2].weight.copy_(torch.from_numpy(second.T))
            model[2].bias.copy_(torch.from_numpy((self.targets - hidden @ second).mean(0)))
        return Problem.from_torch(
            model,
            self.inputs,
            self.targets,
            weight_decay=self.strength,
            reduction="sum",
            scale=0.5,
            biases={"hidden": "free", "output": "free"},
        )


def pair_optimum(inputs: Array, targets: Array, strength: float) -> float:
    """Least objective of (1/2)|Z − Y|² + λ Ω(Z) over all widths."""
    distance, mu = float(np.linalg.norm(targets[1] - targets[0])), strength / float(abs(inputs[1, 0] - inputs[0, 0]))
    return distance**2 / 4 if distance <= 2 * mu else mu * distance - mu**2


def pair_instance(rng: Generator) -> Pair:
    """One random problem."""
    inputs = rng.standard_normal((2, 1)) * 10 ** rng.uniform(-1, 1)
    targets = rng.standard_normal((2, int(rng.integers(1, 4)))) * 10 ** rng.uniform(-1, 1)
    gap, difference = float(inputs[1, 0] - inputs[0, 0]), targets[1] - targets[0]
    size = float(np.linalg.norm(difference))
    strength = float(rng.uniform(0.05, 0.9)) * size / 2 * abs(gap)
    kept = (size - 2 * strength / abs(gap)) / abs(gap)
    # relu(sign (x − x_1)) is 0 at the first sample and |gap| at the second.
    sign, root = float(np.sign(gap)), float(np.sqrt(kept))
    first = np.array([[root * sign, -root * sign * float(inputs[0, 0])]])
    return Pair(inputs, targets, strength, first, root * difference[None] / size)
