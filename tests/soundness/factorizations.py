"""Random problems under norms of two factors whose optimum over all widths is known in closed form, with its weights.

X is orthogonal, so that (1/2)|Z − Y|² + λ Ω is least at Z = X W for the W nearest to T = XᵀY in this sense.

* Norm l1 of u: each row of W on its own, w the proximal point of t for the gauge of its v: the norm itself, over w ≥ 0
  where both factors are nonnegative; where v alone is, |w₊| + |w₋|, of two subnetworks ±e_i (u, −u both serve).
* Norm l1 of v: the same of columns.
* T = σ p qᵀ with p, q where N°(p) = |p|²/N(p): one entry, or for l2 any, for l∞ and mixtures equal magnitudes. Then
  W = (σ − c)₊ p qᵀ, c = λ N(p) N'(q)/(|p|²|q|²), since G = min(c, σ) p qᵀ has a polar of at most λ.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.random import Generator

from certify.models.loading import Problem

from .planted import Array, _rotation

NORMS = {"l1": (1.0, 0.0, 0.0), "l2": (0.0, 1.0, 0.0), "linf": (0.0, 0.0, 1.0), "mixture": (0.3, 0.7, 0.0)}
CONES = ((), ("left",), ("right",), ("left", "right"))
VERTEX_PAIRS = [(a, b) for a in NORMS for b in NORMS if "l1" in (a, b)]


def norm_of(name: str, vectors: Array) -> Array:
    """Norms of the last axis."""
    one, two, most = NORMS[name]
    sizes = np.abs(vectors)
    return one * sizes.sum(-1) + two * np.sqrt((sizes**2).sum(-1)) + most * sizes.max(-1)


@dataclass(frozen=True)
class Factorization:
    """A problem with its optimum and weights u (r, d), v (r, c) that attain it."""

    norms: tuple[str, str]
    cones: tuple[str, ...]
    inputs: Array
    targets: Array
    strength: float
    first: Array
    second: Array

    def objective(self, first: Array, second: Array) -> float:
        """By numpy alone."""
        residual = self.inputs @ first.T @ second - self.targets
        sizes = norm_of(self.norms[0], first) * norm_of(self.norms[1], second)
        return float((residual**2).sum() / 2 + self.strength * sizes.sum())

    @property
    def optimum(self) -> float:
        """Over all widths."""
        return self.objective(self.first, self.second)

    def problem(self, first: Array, second: Array, gap: float = 1e-8, seconds: float = 20.0) -> Problem:
        """The certify problem at given weights."""
        layers = [_layer(first), _layer(second.T)]
        sides = {
            side: {"l1": 0.3, "l2": 0.7} if name == "mixture" else name
            for side, name in zip(("left", "right"), self.norms, strict=True)
        }
        penalty = {"factor_norms": {"strength": self.strength, **sides, "nonnegative": list(self.cones)}}
        return Problem.from_torch(
            torch.nn.Sequential(*layers),
            self.inputs,
            self.targets,
            loss="mse",
            reduction="sum",
            scale=0.5,
            penalty=penalty,
            layers=[{"linear": "0"}, {"linear": "1"}],
            relative_gap=gap,
            budget_seconds=seconds,
        )


def _layer(weight: Array) -> torch.nn.Linear:
    """Without torch's own initialization, which warns where there is nothing to initialize."""
    layer = torch.nn.Linear(1, 1, bias=False)
    layer.weight = torch.nn.Parameter(torch.from_numpy(weight.copy()))
    layer.out_features, layer.in_features = weight.shape
    return layer


def vertex_instance(rng: Generator, norms: tuple[str, str], cones: tuple[str, ...]) -> Factorization:
    """With the norm l1 of a factor, and any targets."""
    d, c = (int(size) for size in rng.integers(2, 6, size=2))
    target = rng.standard_normal((d, c))
    strength = float(rng.uniform(0.1, 0.6) * np.abs(target).max())
    if norms[0] == "l1":
        first, second = _rows(target, norms[1], ("left" in cones, "right" in cones), strength)
    else:
        second, first = _rows(target.T, norms[0], ("right" in cones, "left" in cones), strength)
    turn = _rotation(rng, d)
    return Factorization(norms, cones, turn, turn @ target, strength, first, second)


def rank_one_instance(rng: Generator, norms: tuple[str, str], cones: tuple[str, ...]) -> Factorization:
    """Targets σ p qᵀ, in their own coordinates."""
    sizes = (int(size) for size in rng.integers(2, 6, size=2))
    sides = zip(norms, ("left", "right"), sizes, strict=True)
    p, q = (_aligned(rng, name, size, side in cones) for name, side, size in sides)
    size = float(norm_of(norms[0], p) * norm_of(norms[1], q))
    top, strength = float(rng.uniform(1, 2)), float(rng.uniform(0.1, 0.6))
    share = strength * size / float((p @ p) * (q @ q))
    kept = max(top - share, 0.0)
    turn = np.eye(len(p))[rng.permutation(len(p))]
    return Factorization(norms, cones, turn, turn @ (top * np.outer(p, q)), strength, kept * p[None], q[None])


def _aligned(rng: Generator, name: str, size: int, cone: bool) -> Array:
    if name == "l2":
        found = rng.standard_normal(size)
    elif name == "linf" or (name == "mixture" and rng.random() < 0.5):
        found = rng.choice([-1.0, 1.0], size) * rng.uniform(0.5, 1.5)
    else:
        found = rng.choice([-1.0, 1.0]) * np.eye(size)[rng.integers(size)]
    return np.abs(found) if cone else found


def _rows(target: Array, name: str, cones: tuple[bool, bool], strength: float) -> tuple[Array, Array]:
    """Units ±e_i and v of the rows of the optimal W."""
    units, rows = [], []
    for place, row in enumerate(target):
        parts = [(1.0, row)]
        if cones[1]:
            parts = [(1.0, np.maximum(row, 0))] + ([] if cones[0] else [(-1.0, np.maximum(-row, 0))])
        for sign, part in parts:
            found = proximal(name, part, strength)
            if found.any():
                units.append(sign * np.eye(len(target))[place])
                rows.append(found)
    return np.array(units).reshape(-1, target.shape[0]), np.array(rows).reshape(-1, target.shape[1])


def proximal(name: str, vector: Array, strength: float) -> Array:
    """The minimizer of |w − t|²/2 + λ N(w)."""
    one, two, most = NORMS[name]
    if most:
        return vector - _onto_l1_ball(vector, strength)
    soft = np.sign(vector) * np.maximum(np.abs(vector) - strength * one, 0)
    length = np.linalg.norm(soft)
    return soft * max(0.0, 1 - strength * two / length) if length else soft


def _onto_l1_ball(vector: Array, radius: float) -> Array:
    """By bisection on the threshold."""
    sizes = np.abs(vector)
    if sizes.sum() <= radius:
        return vector
    low, high = 0.0, float(sizes.max())
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if np.maximum(sizes - middle, 0).sum() > radius else (low, middle)
    return np.sign(vector) * np.maximum(sizes - high, 0)
