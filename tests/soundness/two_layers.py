"""ReLU problems with any biases and losses: the certify problem at given weights, and the objective by numpy."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from scipy.special import expit, logsumexp

from certify.models.loading import Problem

from .planted import Array


@dataclass(frozen=True)
class Weights:
    """A network: u (r, d), b1 (r), v (r, c), b2 (c); biases that a problem does not have are 0."""

    first: Array
    hidden: Array
    second: Array
    output: Array

    def scaled(self, inner: float, outer: float) -> Weights:
        """Layers times constants; the output bias stays."""
        return replace(self, first=self.first * inner, hidden=self.hidden * inner, second=self.second * outer)

    def repeated(self, shares: tuple[float, ...]) -> Weights:
        """Every neuron once for each share, with that share of its output."""
        parts = [self.scaled(np.sqrt(share), np.sqrt(share)) for share in shares]
        joined = [np.concatenate([getattr(p, name) for p in parts]) for name in ("first", "hidden", "second")]
        return Weights(*joined, self.output)

    def noisy(self, rng: np.random.Generator, size: float) -> Weights:
        """Relative noise on every weight."""
        values = (self.first, self.hidden, self.second, self.output)
        return Weights(*(v * (1 + size * rng.standard_normal(v.shape)) for v in values))


@dataclass(frozen=True)
class TwoLayers:
    """min Σ_i κ w_i / N l0(z_i, y_i) + (λ/2) Σ |penalized|²; `hidden` and `output` are the policies of the biases."""

    inputs: Array
    targets: Array
    loss: str
    reduction: str
    scale: float
    strength: float
    hidden: str
    output: str
    sample_weights: Array | None = None

    def omega(self) -> Array:
        """Weight of the loss of each sample, (n, 1)."""
        n, c = self.targets.shape
        count = {"sum": 1, "mean": n if self.loss == "cross-entropy" else n * c}[self.reduction]
        weights = np.ones(n) if self.sample_weights is None else self.sample_weights
        return self.scale * weights[:, None] / count

    def outputs(self, weights: Weights) -> Array:
        """Z."""
        return np.maximum(self.inputs @ weights.first.T + weights.hidden, 0) @ weights.second + weights.output

    def objective(self, weights: Weights) -> float:
        """Loss and weight decay."""
        squares = (weights.first**2).sum() + (weights.second**2).sum()
        squares += (weights.hidden**2).sum() if self.hidden == "penalized" else 0.0
        squares += (weights.output**2).sum() if self.output == "penalized" else 0.0
        losses = loss_terms(self.loss, self.outputs(weights), self.targets)
        return float((self.omega() * losses).sum() + self.strength / 2 * squares)

    def problem(self, weights: Weights, tolerance: float = 1e-3, seconds: float = 2.0) -> Problem:
        """The certify problem at given weights."""
        biased = self.hidden != "absent", self.output != "absent"
        hidden = torch.nn.Linear(*weights.first.T.shape, bias=biased[0], dtype=torch.float64)
        last = torch.nn.Linear(*weights.second.shape, bias=biased[1], dtype=torch.float64)
        with torch.no_grad():
            hidden.weight.copy_(torch.from_numpy(weights.first))
            last.weight.copy_(torch.from_numpy(weights.second.T))
            if biased[0]:
                hidden.bias.copy_(torch.from_numpy(weights.hidden))
            if biased[1]:
                last.bias.copy_(torch.from_numpy(weights.output))
        return Problem.from_torch(
            torch.nn.Sequential(hidden, torch.nn.ReLU(), last),
            self.inputs,
            self.targets,
            loss=self.loss,
            reduction=self.reduction,
            scale=self.scale,
            weight_decay=self.strength,
            biases={"hidden": self.hidden, "output": self.output},
            sample_weights=self.sample_weights,
            relative_gap=tolerance,
            budget_seconds=seconds,
        )


def loss_terms(name: str, z: Array, y: Array) -> Array:
    """l0(z, y): entry by entry, or one column for a loss of rows."""
    match name:
        case "mse":
            return (z - y) ** 2
        case "huber":
            size = np.abs(z - y)
            return np.where(size <= 1, size**2 / 2, size - 0.5)
        case "binary-cross-entropy":
            return np.logaddexp(0, z) - y * z
        case "soft-margin":
            return np.logaddexp(0, -y * z)
        case "squared-hinge":
            return np.maximum(1 - y * z, 0) ** 2
        case "poisson":
            return np.exp(z) - y * z
        case _:
            return (y.sum(1) * logsumexp(z, axis=1) - (y * z).sum(1))[:, None]


def targets_with_gradient(name: str, z: Array, slope: Array) -> Array:
    """Targets y with ∂l0/∂z = −slope at z, for losses that let y be chosen freely."""
    match name:
        case "mse":
            return z + slope / 2
        case "huber":
            return z + slope
        case "binary-cross-entropy":
            return expit(z) + slope
        case "poisson":
            return np.exp(z) + slope
        case _:
            return np.exp(z - logsumexp(z, axis=1, keepdims=True)) + slope
