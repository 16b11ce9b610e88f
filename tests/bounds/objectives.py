"""Objectives built by hand, of any form, and tasks at their dual points."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Self, final

import numpy as np
import torch

from certify.bounds.polar import PolarTask
from certify.problem import (
    Branch,
    ConvexPart,
    Kind,
    LossSpec,
    Objective,
    ProductOfNorms,
    Readout,
    Slopes,
    View,
    WeightDecay,
)
from certify.problem.kinds import Absolute, LeakyReLU, Linear, Quadratic, Rectifier, ReLU


@final
@dataclass(frozen=True, slots=True)
class TwoSlopes(Rectifier):
    """Any two slopes; no kind of the registry has them all."""

    positive: float
    negative: float

    name: ClassVar[str] = "two slopes"

    @classmethod
    def from_operations(cls, operations) -> Self | None:
        return None

    @property
    def operations(self):
        return ()

    @property
    def statement(self) -> tuple[Mapping[str, object], ...]:
        return ()

    @property
    def slopes(self) -> Slopes:
        return Slopes(self.positive, self.negative)


RECTIFIERS: dict[str, Rectifier] = {
    "relu": ReLU(),
    "leaky 0.1": LeakyReLU(0.1),
    "leaky -0.3": LeakyReLU(-0.3),
    "leaky 1.7": LeakyReLU(1.7),
    "abs": Absolute(),
    "two slopes": TwoSlopes(1.3, -0.3),
}
KINDS: dict[str, Kind] = {"linear": Linear(), "quadratic": Quadratic(), **RECTIFIERS}


def branch_of(kind: Kind, rows: torch.Tensor, free: int = 0, weights=None, strength: float = 0.1) -> Branch:
    penalty = ProductOfNorms(strength, (2, 1)) if kind.degrees == (2, 1) else WeightDecay((strength, strength))
    return Branch(kind, View(rows, free, Readout(weights)), penalty)


def plain_convex(n: int) -> ConvexPart:
    return ConvexPart(torch.zeros(n, 0, dtype=torch.float64), torch.zeros(0, dtype=torch.float64))


def objective_of(branches, dual: torch.Tensor) -> Objective:
    """The squared error with targets near a dual point, so that it is worth something."""
    loss = LossSpec("mse").bind(-dual * dual.numel() / 2, dual.shape[1])
    return Objective(tuple(branches), plain_convex(len(dual)), loss)


def task_of(branch: Branch, dual: torch.Tensor, seconds: float = 20.0) -> PolarTask:
    return task_at(objective_of([branch], dual), dual, seconds)


def task_at(objective: Objective, dual: torch.Tensor, seconds: float = 20.0, **changes) -> PolarTask:
    """The task of the first branch of an objective at a dual point or a candidate for one."""
    starts = objective.empty_stacks()[0]
    return PolarTask(objective, 0, dual, 0.0, time.perf_counter() + seconds, starts, **changes)


def task_for(kind: str, rows: torch.Tensor, dual: torch.Tensor, free: int = 0, weights=None) -> PolarTask:
    return task_of(branch_of(KINDS[kind], rows, free, weights), dual)


def instance(seed: int, free: int = 0, positions: int = 1, outputs: int | None = None):
    """Rows (n P, h), some duplicated or of low rank and of any size, and A (n, c)."""
    rng = np.random.default_rng(seed)
    n, d, c = int(rng.integers(2, 10)), int(rng.integers(1, 4)), outputs or int(rng.integers(1, 4))
    d += free
    rows = rng.standard_normal((n * positions, d)) * 10 ** rng.uniform(-3, 3)
    if rng.random() < 0.3:
        rows[n // 2 : n] = rows[: n - n // 2]  # duplicated
    if rng.random() < 0.2:
        rows[:, -1] = 0  # rank-deficient
    dual = rng.integers(-20, 21, size=(n, c)) / 16
    if free:
        rows[:, -1] = 1
        dual[-1] -= dual.sum(0)
    return torch.from_numpy(rows), torch.from_numpy(dual)


def best_found(task: PolarTask, seed: int = 0) -> float:
    """Brute force on the polar: values at thousands of directions, then plain gradient ascent from the best.

    Shares no code with the searches: |<Q, φ(u, ·)>| is differentiated by autograd through `Kind.outputs`.
    """
    branch, view = task.branch, task.branch.view
    generator = torch.Generator().manual_seed(seed)
    columns, free = view.rows.shape[1], view.free_inputs
    directions = torch.randn(4000, columns, generator=generator, dtype=torch.float64)
    directions = torch.cat([directions, view.rows, -view.rows])
    if free:
        scale = float(view.rows.abs().max())
        directions[:, -1] *= scale * torch.rand(len(directions), generator=generator, dtype=torch.float64)
    found = _values(task, _unit(directions, free))
    best = directions[found.argsort(descending=True)[:12]].clone()
    top = float(found.max())
    step = 0.1 * torch.linalg.vector_norm(best, dim=1, keepdim=True)
    for _ in range(60):
        moving = best.clone().requires_grad_()
        _values(task, _unit(moving, free)).sum().backward()
        slope = torch.nan_to_num(moving.grad)
        trial = best + step * slope / torch.linalg.vector_norm(slope, dim=1, keepdim=True).clamp_min(1e-300)
        better = _values(task, _unit(trial, free)) > _values(task, _unit(best, free))
        best = torch.where(better[:, None], trial, best)
        step = torch.where(better[:, None], step * 1.3, step * 0.6)
        top = max(top, float(_values(task, _unit(best, free)).max()))
    assert branch.strength > 0
    return top


def _unit(directions: torch.Tensor, free: int) -> torch.Tensor:
    penalized = directions[:, : directions.shape[1] - free]
    return directions / torch.linalg.vector_norm(penalized, dim=1, keepdim=True).clamp_min(1e-12)


def _values(task: PolarTask, first: torch.Tensor) -> torch.Tensor:
    """max over |v| ≤ 1 of <Q, φ(u, v)>: the norm of its derivatives in v, each a pairing with a unit vector."""
    columns = task.branch.view.readout.weights_of(task.dual.shape[1])
    pairings = [
        task.branch.pairing(task.dual, (first, unit.expand(len(first), -1)))
        for unit in torch.eye(columns, dtype=torch.float64)
    ]
    return torch.linalg.vector_norm(torch.stack(pairings), dim=0)
