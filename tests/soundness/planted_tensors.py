"""CP problems with their optimum: a dual point whose polar is known exactly, and terms that attain it.

Where A has the spectral norm λ and −A the value λ at unit terms, every Z = Σ s φ of these with s ≥ 0 is optimal for
targets Y = Z − A/ω and half the squared error: the objective is λ Σ s + Σ A²/(2ω) (Fenchel).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import yaml
from numpy.random import Generator
from scipy.optimize import minimize_scalar

from certify.models.loading import Problem
from certify.models.spec.problem_file import load_problem_file

Array = np.ndarray


@dataclass(frozen=True)
class PlantedTensor:
    """A problem with its optimum.

    Attributes:
        targets: NaN where nothing is observed.
        weights: ω of every entry.
        strength: λ.
        optimum: least objective over all widths.
        factors: optimal u_k, (n_k, r).
    """

    targets: Array
    weights: Array
    strength: float
    optimum: float
    factors: tuple[Array, ...]

    def problem(self, folder: Path, factors: tuple[Array, ...] | None = None, tolerance: float = 1e-6) -> Problem:
        """The problem at given factors, from files in a folder."""
        return load(self.write(folder, factors, tolerance))

    def write(self, folder: Path, factors: tuple[Array, ...] | None = None, tolerance: float = 1e-6) -> Path:
        """The same as files; returns the path of the problem."""
        chosen = self.factors if factors is None else factors
        order = len(chosen)
        np.savez(folder / "entries.npz", y=self.targets, w=self.weights)
        torch.save({f"U{k}": torch.from_numpy(u.copy()) for k, u in enumerate(chosen)}, folder / "model.pt")
        content = {
            "schema": "certify.problem/1",
            "model": {"path": "model.pt", "layers": [{"cp": [f"U{k}" for k in range(order)]}]},
            "data": {"path": "entries.npz", "sample_weights": "w"},
            "loss": {"name": "mse", "reduction": "sum", "scale": 0.5},
            "penalty": {"product_of_norms": {"strength": self.strength, "norms": [2] * order, "powers": [1] * order}},
            "tolerance": {"relative_gap": tolerance},
            "budget": {"seconds": 20.0},
        }
        path = folder / "model.problem.yaml"
        path.write_text(yaml.safe_dump(content))
        return path


def load(path: Path) -> Problem:
    return Problem.from_files(load_problem_file(path))


def product(factors: tuple[Array, ...], sizes: Array | float = 1.0) -> Array:
    """Σ_i s_i u_i ⊗ v_i ⊗ …"""
    total = factors[0] * sizes
    for factor in factors[1:]:
        total = total[..., None, :] * factor
    return total.sum(-1)


def planted(rng: Generator, pull: Array, terms: tuple[Array, ...], sizes: Array, seen: Array) -> PlantedTensor:
    """From −A with spectral norm λ and unit terms that attain it."""
    strength = float(np.sum(pull * product(terms)) / terms[0].shape[1])
    weights = rng.uniform(0.5, 2.0, pull.shape)
    targets = np.where(seen, product(terms, sizes) + pull / weights, np.nan)
    optimum = strength * sizes.sum() + (pull**2 / (2 * weights))[seen].sum()
    factors = tuple(term * sizes ** (1 / len(terms)) for term in terms)
    return PlantedTensor(targets, weights, strength, float(optimum), factors)


def orthogonal(rng: Generator, order: int | None = None) -> PlantedTensor:
    """A sum of terms that are orthogonal along every axis: its norm is its largest coefficient."""
    order = order or int(rng.integers(3, 5))
    shape = rng.integers(2, 8 if order == 3 else 5, order)
    rank = int(rng.integers(1, min(shape) + 1))
    terms = tuple(np.linalg.qr(rng.standard_normal((n, n)))[0][:, :rank] for n in shape)
    active = int(rng.integers(1, rank + 1))
    coefficients = np.concatenate([np.ones(active), rng.uniform(0, 0.95, rank - active)]) * rng.uniform(0.1, 2)
    best = tuple(term[:, :active] for term in terms)
    pull = product(terms, coefficients)
    return planted(rng, pull, best, rng.exponential(size=active) + 0.01, np.ones(pull.shape, bool))


def determinant(rng: Generator) -> PlantedTensor:
    """That of three vectors, in other bases: 1 at orthonormal ones; unfoldings have norm √2."""
    bases = [np.linalg.qr(rng.standard_normal((3, 3)))[0] for _ in range(3)]
    signs = np.array([[[np.linalg.det(np.eye(3)[[i, j, k]]) for k in range(3)] for j in range(3)] for i in range(3)])
    pull = np.einsum("ijk,ai,bj,ck->abc", signs, *bases) * rng.uniform(0.1, 2)
    count = int(rng.integers(1, 4))
    frames = [np.linalg.qr(rng.standard_normal((3, 3)))[0] for _ in range(count)]
    triples = [frame * [1, 1, np.linalg.det(frame)] for frame in frames]
    terms = tuple(np.stack([basis @ frame[:, at] for frame in triples], 1) for at, basis in enumerate(bases))
    return planted(rng, pull, terms, rng.exponential(size=count) + 0.01, np.ones(pull.shape, bool))


def two_slices(rng: Generator) -> PlantedTensor:
    """2 × n × m: the norm is the largest of those of cos t M + sin t N, over angles t; entries may be missing."""
    shape = (2, int(rng.integers(2, 6)), int(rng.integers(2, 6)))
    seen = rng.random(shape) < rng.choice([0.6, 1.0])
    seen.flat[0] = True
    pull = np.where(seen, rng.standard_normal(shape), 0.0)

    def slice_at(angle: float) -> Array:
        return np.cos(angle) * pull[0] + np.sin(angle) * pull[1]

    grid = np.linspace(0, np.pi, 2001)
    first = grid[np.argmax([np.linalg.norm(slice_at(angle), 2) for angle in grid])]
    near = (first - 0.002, first + 0.002)
    angle = minimize_scalar(lambda t: -np.linalg.norm(slice_at(t), 2), bounds=near, options={"xatol": 1e-12}).x
    left, _, right = np.linalg.svd(slice_at(angle))
    terms = (np.array([[np.cos(angle)], [np.sin(angle)]]), left[:, :1], right[:1].T)
    # As unit terms of the best pair the value is stationary, so that the angle need not be exact.
    return planted(rng, pull, terms, rng.exponential(size=1) + 0.01, seen)


FAMILIES: dict[str, Callable[[Generator], PlantedTensor]] = {
    "orthogonal": orthogonal,
    "four axes": lambda rng: orthogonal(rng, 4),
    "determinant": determinant,
    "two slices": two_slices,
}
