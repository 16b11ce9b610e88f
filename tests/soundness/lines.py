"""Problems on a line, X = t wᵀ: only two hidden patterns exist, so the optimum for any loss is two searches in 1-D.

With g = |w| (g² for the square), relu gives Z = a (t)₊ g + b (−t)₊ g at cost λ(|a| + |b|); no sample is in both.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.random import Generator
from torch.nn import functional

from certify.models.loading import Problem

from .planted import Array, Square

LOSSES = ("mse", "huber", "binary-cross-entropy", "soft-margin", "squared-hinge", "poisson")
_STEPS = 200


@dataclass(frozen=True)
class Line:
    """A problem with its optimum; `first` and `second` are optimal up to the one-dimensional searches."""

    family: str
    loss: str
    inputs: Array
    targets: Array
    strength: float
    optimum: float
    first: Array
    second: Array

    def problem(self, first: Array, second: Array, seconds: float = 2.0) -> Problem:
        """The certify problem at given weights."""
        middle = {"linear": [], "relu": [torch.nn.ReLU()], "quadratic": [Square()]}[self.family]
        r = len(first)
        model = torch.nn.Sequential(
            torch.nn.Linear(self.inputs.shape[1], r, bias=False, dtype=torch.float64),
            *middle,
            torch.nn.Linear(r, 1, bias=False, dtype=torch.float64),
        )
        with torch.no_grad():
            model[0].weight.copy_(torch.from_numpy(first))
            model[-1].weight.copy_(torch.from_numpy(second.T))
        square = {"product_of_norms": {"strength": self.strength, "norms": [2, 2], "powers": [2, 1]}}
        chosen = {"penalty": square} if self.family == "quadratic" else {"weight_decay": self.strength}
        layers = {
            "linear": [{"linear": "0"}, {"linear": "1"}],
            "relu": None,
            "quadratic": [{"linear": "0"}, "square", {"linear": "2"}],
        }[self.family]
        return Problem.from_torch(
            model,
            self.inputs,
            self.targets,
            loss=self.loss,
            reduction="sum",
            scale=1.0,
            layers=layers,
            budget_seconds=seconds,
            **chosen,
        )


def line_instance(rng: Generator, family: str, loss: str) -> Line:
    """One random problem."""
    n, d = int(rng.integers(1, 7)), int(rng.integers(1, 4))
    t, w = rng.standard_normal(n), rng.standard_normal(d) * 10 ** rng.uniform(-0.5, 0.5)
    y = _targets(rng, loss, n)
    size = float(np.linalg.norm(w))
    values = {"linear": [t * size], "quadratic": [(t * size) ** 2]}
    values["relu"] = [np.maximum(t, 0) * size, np.maximum(-t, 0) * size]
    strength = float(10 ** rng.uniform(-1.5, 0.3))
    if family == "relu":
        groups = [t > 0, t < 0, t == 0]
        patterns = [*values["relu"], np.zeros(n)]
    else:
        groups, patterns = [np.ones(n, bool)], values[family]
    optimum, first, second = 0.0, [], []
    for index, (group, pattern) in enumerate(zip(groups, patterns, strict=True)):
        if not group.any():
            continue
        a, value = _least(lambda a, g=group, p=pattern: _loss(loss, a * p[g], y[g]) + strength * abs(a))
        optimum += value
        direction = (-1.0 if index else 1.0) * w / size
        power = 1 / 3 if family == "quadratic" else 1 / 2
        first.append(direction * abs(a) ** power)
        second.append([np.sign(a) * abs(a) ** power])
    return Line(
        family, loss, np.outer(t, w), y[:, None], strength, optimum, np.array(first), np.array(second, dtype=float)
    )


def _targets(rng: Generator, loss: str, n: int) -> Array:
    match loss:
        case "binary-cross-entropy":
            return rng.uniform(0, 1, n)
        case "soft-margin" | "squared-hinge":
            return np.sign(rng.standard_normal(n))
        case "poisson":
            return rng.poisson(1.5, n).astype(float)
        case _:
            return rng.standard_normal(n) * 2


def _loss(name: str, z: Array, y: Array) -> float:
    prediction, target = torch.from_numpy(np.asarray(z, float)), torch.from_numpy(y)
    return float(
        {
            "mse": lambda: functional.mse_loss(prediction, target, reduction="sum"),
            "huber": lambda: functional.huber_loss(prediction, target, reduction="sum"),
            "binary-cross-entropy": lambda: functional.binary_cross_entropy_with_logits(
                prediction, target, reduction="sum"
            ),
            "soft-margin": lambda: functional.soft_margin_loss(prediction, target, reduction="sum"),
            "squared-hinge": lambda: ((1 - target * prediction).clamp_min(0) ** 2).sum(),
            "poisson": lambda: functional.poisson_nll_loss(prediction, target, reduction="sum"),
        }[name]()
    )


def _least(function: Callable[[float], float]) -> tuple[float, float]:
    """Golden section; the value found is attained, so it is never below the optimum."""
    golden = (np.sqrt(5) - 1) / 2
    low, high = -1.0, 1.0
    while function(low) < function(low / 2):
        low *= 2
    while function(high) < function(high / 2):
        high *= 2
    one, two = high - golden * (high - low), low + golden * (high - low)
    at_one, at_two = function(one), function(two)
    for _ in range(_STEPS):
        if high - low <= 1e-14 * max(1.0, abs(low)):
            break
        if at_one <= at_two:
            high, two, at_two = two, one, at_one
            one = high - golden * (high - low)
            at_one = function(one)
        else:
            low, one, at_one = one, two, at_two
            two = low + golden * (high - low)
            at_two = function(two)
    found = min((0.0, one, two), key=function)
    return float(found), function(found)
