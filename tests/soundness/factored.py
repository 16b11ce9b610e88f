"""Factorizations of small matrices: the certify problem at given tables, and some whose optimum is known.

With every entry observed, κ/2 |Z − Y|² + λ |Z|₊ (|Z|₊ the sum of singular values) is least at the singular values of Y
less λ/κ (Cai, Candes and Shen 2010); where unobserved entries weigh as much, zeros of Y need not be samples. Free
biases of rows and columns leave the doubly centered Y, as centering makes no singular value larger; decay counted over
all m n entries is decay √(m n) times as large.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml

from certify.models.loading import Problem
from certify.models.spec.problem_file import load_problem_file

from .planted import Array

Tables = dict[str, Array]


@dataclass(frozen=True)
class Factored:
    """min κ Σ_i w_i l0(γ <U_row, V_column> + biases, y_i) + penalty over tables U (m, r) and V (n, r).

    Attributes:
        shape: (m, n).
        places: rows and columns of the entries, (N, 2).
        values: y, (N,).
        weights: w, (N,), or None.
        loss: its name.
        penalty: the section of a problem file.
        biases: which there are, of `row_bias`, `column_bias`, `global_bias`.
        settings: `reduction`, `scale` κ, `factor` γ, `output`, the policy of biases, and `unobserved`, the weight of
            all other entries.
    """

    shape: tuple[int, int]
    places: Array
    values: Array
    penalty: Mapping[str, Any]
    weights: Array | None = None
    loss: str = "mse"
    biases: tuple[str, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)

    def extents(self) -> dict[str, int]:
        """Length of every bias."""
        found = {"row_bias": self.shape[0], "column_bias": self.shape[1], "global_bias": 1}
        return {name: found[name] for name in self.biases}

    def problem(self, tables: Tables, tolerance: float = 1e-6, seconds: float = 5.0) -> Problem:
        """The certify problem at tables `left`, `right` and biases."""
        names = {name: name for name in ("left", "right", *self.biases)}
        terms: dict[str, Any] = names | {"scale": float(self.settings.get("factor", 1.0))}
        arrays = {"places": self.places.astype(float), "y": self.values}
        arrays |= {} if self.weights is None else {"weights": self.weights}
        content = {
            "schema": "certify.problem/1",
            "model": {"path": "model.pt", "layers": [{"factorization": terms}]},
            "data": {"path": "data.npz", "inputs": "places"},
            "loss": {
                "name": self.loss,
                "reduction": self.settings.get("reduction", "sum"),
                "scale": float(self.settings.get("scale", 1.0)),
            },
            "penalty": dict(self.penalty),
            "tolerance": {"relative_gap": tolerance},
            "budget": {"seconds": seconds},
        }
        if self.weights is not None:
            content["data"] |= {"sample_weights": "weights"}
        if "unobserved" in self.settings:
            content["loss"] |= {"unobserved_weight": self.settings["unobserved"]}
        if "output" in self.settings:
            content["biases"] = {"output": self.settings["output"]}
        with tempfile.TemporaryDirectory() as folder:
            torch.save({name: torch.from_numpy(tables[name].copy()) for name in names}, Path(folder) / "model.pt")
            np.savez(Path(folder) / "data.npz", **arrays)
            (Path(folder) / "problem.yaml").write_text(yaml.safe_dump(json.loads(json.dumps(content))))
            return Problem.from_files(load_problem_file(Path(folder) / "problem.yaml"))

    def random_tables(self, rng: np.random.Generator, rank: int, size: float) -> Tables:
        """Normal ones."""
        shapes = {"left": (self.shape[0], rank), "right": (self.shape[1], rank)} | {
            name: (extent,) for name, extent in self.extents().items()
        }
        return {name: size * rng.standard_normal(shape) for name, shape in shapes.items()}


@dataclass(frozen=True)
class Solved:
    """A problem with its optimum and optimal tables."""

    problem: Factored
    optimum: float
    tables: Tables


def full_places(shape: tuple[int, int]) -> Array:
    """Every place of a matrix, in row-major order."""
    return np.stack(np.unravel_index(np.arange(shape[0] * shape[1]), shape), 1)


def centered(values: Array) -> Array:
    """Without means of rows and columns."""
    return values - values.mean(1, keepdims=True) - values.mean(0) + values.mean()


def solved(rng: np.random.Generator, family: str) -> Solved:
    """One of `plain`, `counted`, `centered`, `unequal` decays and a factor γ, or `unobserved`; places in any order."""
    m, n = (int(extent) for extent in rng.integers(2, 8, size=2))
    targets = rng.standard_normal((m, n)) * 10 ** rng.uniform(-1, 1)
    if family == "unobserved":
        targets[1:] *= rng.random((m - 1, n)) < 0.5
    inner = centered(targets) if family == "centered" else targets
    left, values, right = np.linalg.svd(inner, full_matrices=False)
    strength = float(rng.uniform(0.05, 0.9) * values[0])
    kept = np.maximum(values - strength, 0)
    optimum = float((np.minimum(values, strength) ** 2).sum() / 2 + strength * kept.sum())
    factor = float(rng.choice([-1, 1]) * rng.uniform(0.5, 2)) if family == "unequal" else 1.0
    ratio = float(rng.uniform(0.3, 3)) if family == "unequal" else 1.0
    # λ |γ| √(s₀ s₁) with s₀ = ratio² s₁.
    level = strength * abs(factor) / (np.sqrt(m * n) if family == "counted" else 1.0)
    decays = {"left": level * ratio, "right": level / ratio}
    # |u| √s₀ = |v| √s₁, counted √(n s) |u| = √(m s) |v|.
    uneven = np.sqrt(ratio) * ((n / m) ** 0.25 if family == "counted" else 1.0)
    roots = np.sqrt(kept[kept > 0] / abs(factor))
    tables = {
        "left": left[:, kept > 0] * roots / uneven,
        "right": np.sign(factor) * right[kept > 0].T * roots * uneven,
    }
    biases: tuple[str, ...] = ()
    if family == "centered":
        biases = ("row_bias", "column_bias")
        tables |= {"row_bias": targets.mean(1) - targets.mean(), "column_bias": targets.mean(0)}
        decays |= dict.fromkeys(biases, 0.0)
    penalty = {"weight_decay": decays} | ({"entry_counts": True} if family == "counted" else {})
    order = rng.permutation(m * n)
    settings = {"scale": 0.5, "factor": factor}
    if family == "unobserved":
        order, settings = order[targets.ravel()[order] != 0], settings | {"unobserved": 1.0}
    values = targets.ravel()[order]
    made = Factored((m, n), full_places((m, n))[order], values, penalty, biases=biases, settings=settings)
    return Solved(made, optimum, tables)


FAMILIES = ("plain", "counted", "centered", "unequal", "unobserved")


def scattered(
    rng: np.random.Generator, shape: tuple[int, int], share: float, loss: str = "mse", **settings: Any
) -> Factored:
    """Some entries of a matrix of rank two with noise, as targets of a loss."""
    m, n = shape
    every = full_places(shape)
    count = max(2, round(share * m * n))
    places = every[np.sort(rng.choice(m * n, count, replace=False))]
    scores = (rng.standard_normal((m, 2)) @ rng.standard_normal((2, n)))[places[:, 0], places[:, 1]]
    noisy = scores + 0.3 * rng.standard_normal(count)
    targets = {
        "mse": noisy,
        "huber": 2 * noisy,
        "poisson": rng.poisson(np.exp(np.clip(scores, -2, 2))).astype(float),
        "binary-cross-entropy": (noisy > 0).astype(float),
    }[loss]
    settings.setdefault("penalty", {"weight_decay": 0.3})
    if (weights := settings.get("weights")) is not None:
        settings["weights"] = np.resize(weights, count)
    return replace(Factored(shape, places, targets, {}, loss=loss), **settings)
