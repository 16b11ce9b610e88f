"""Gaps of the convex relaxations at trained ReLU networks: scaling only, moments, hubs, first-order ascent, products.

Run: python -m tests.benchmarks.bench_surrogate [seconds per method]
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, load_wine

from certify.bounds.polar import PolarTask
from certify.bounds.rows.relaxations.doubly_nonnegative.product_method import products
from certify.bounds.rows.relaxations.first_order import first_order_majorant, first_order_surrogate
from certify.bounds.rows.relaxations.hub_search import hub_surrogate
from certify.bounds.rows.relaxations.moment_surrogate import moment_surrogate
from certify.bounds.rows.relaxations.surrogate_outcome import SurrogateOutcome
from certify.problem import (
    Branch,
    ConvexPart,
    LossSpec,
    Objective,
    ParallelNetwork,
    View,
    WeightDecay,
)
from certify.problem.dual import best_scale
from certify.problem.kinds.relu import ReLU


class Trained(NamedTuple):
    """A network, its objective, and the gradient of its loss."""

    objective: float
    gradient: torch.Tensor
    factors: tuple[torch.Tensor, ...]


class Outcome(NamedTuple):
    """A dual point and a bound on its polar."""

    dual: torch.Tensor
    upper: float


CASES = {
    "breast cancer": (load_breast_cancer, LossSpec("binary-cross-entropy"), (0.1, 0.03, 0.01)),
    "diabetes": (load_diabetes, LossSpec("mse", scale=0.5), (0.3, 0.2, 0.1)),
    "wine": (load_wine, LossSpec("cross-entropy"), (0.01, 0.001)),
    "digits": (load_digits, LossSpec("cross-entropy"), (0.1, 0.03)),
}


def make_objective(name: str, decay: float) -> Objective:
    """Standardized inputs with a constant column (penalized hidden bias), no output bias."""
    load, spec, _ = CASES[name]
    data = load()
    spread = data.data.std(0)
    rows = ((data.data - data.data.mean(0)) / np.where(spread > 0, spread, 1))[:, spread > 0]
    inputs = torch.from_numpy(np.column_stack([rows, np.ones(len(rows))]))
    targets = torch.from_numpy(data.target.astype(float))
    if name == "diabetes":
        targets = (targets - targets.mean()) / targets.std(correction=0)
    outputs = {"digits": 10, "wine": 3}.get(name, 1)
    convex = ConvexPart(inputs[:, :0], inputs.new_zeros(0))
    branch = Branch(ReLU(), View(inputs), WeightDecay((decay, decay)))
    return Objective((branch,), convex, spec.bind(targets, outputs))


def trained(objective: Objective, seeds: int = 2, width: int = 30) -> Trained:
    """The best of a few trainings by L-BFGS."""
    found, (branch,) = [], objective.branches
    rows = branch.view.rows
    for seed in range(seeds):
        generator = torch.Generator().manual_seed(seed)
        shapes = ((width, rows.shape[1]), (width, objective.outputs))
        weights = [torch.randn(*s, generator=generator, dtype=torch.float64) / s[1] ** 0.5 for s in shapes]
        weights = [w.requires_grad_() for w in weights]
        optimizer = torch.optim.LBFGS(weights, max_iter=300, history_size=30, line_search_fn="strong_wolfe")

        def closure(weights=weights, optimizer=optimizer) -> torch.Tensor:
            optimizer.zero_grad()
            outputs = (rows @ weights[0].T).relu() @ weights[1]
            penalty = branch.penalty.per_subnetwork(branch.norms(tuple(weights))).sum()
            total = objective.loss.value_terms(outputs).sum() + penalty
            total.backward()
            return total

        optimizer.step(closure)
        factors = (weights[0].detach(), weights[1].detach())
        evaluation = objective.evaluate(ParallelNetwork((factors,), objective.empty_network().coefficients))
        found.append(Trained(evaluation.objective, evaluation.gradient, factors))
    return min(found, key=lambda one: one.objective)


def report(
    name: str, objective: Objective, best: Trained, method: str, run: Callable[[], SurrogateOutcome | Outcome | None]
) -> None:
    strength = objective.branches[0].strength
    started = time.perf_counter()
    outcome = run()
    seconds = time.perf_counter() - started
    if outcome is None:
        print(f"{name:14} {strength:5g}  {method:12}  -")
        return
    lower = best_scale(objective, outcome.dual, strength / outcome.upper).value
    gap = (best.objective - lower) / best.objective
    ratio = outcome.upper / strength
    values = f"{best.objective:10.6f} {lower:10.6f} {100 * gap:7.2f}% {ratio:7.3f} {seconds:7.1f}"
    print(f"{name:14} {strength:5g}  {method:12} {values}", flush=True)


def main(seconds: float = 60.0) -> None:
    heads = f"{'objective':>10} {'lower':>10} {'gap':>8} {'U/lam':>7} {'seconds':>7}"
    print(f"{'data':14} {'decay':>5}  {'method':12} {heads}")
    for name, (_, _, decays) in CASES.items():
        for decay in decays:
            objective = make_objective(name, decay)
            best = trained(objective, seeds=1 if name == "digits" else 2)
            for method, run in RUNS.items():
                report(name, objective, best, method, partial(run, objective, best, seconds))


RUNS: dict[str, Callable[[Objective, Trained, float], SurrogateOutcome | Outcome | None]] = {
    "scaling only": lambda objective, best, s: first_order_majorant(_task(objective, best, s / 3), steps=10**6),
    "moments": lambda objective, best, s: _moments(_task(objective, best, s)),
    "hubs": lambda objective, best, s: _hubs(_task(objective, best, s)),
    "first order": lambda objective, best, s: first_order_surrogate(_task(objective, best, s), steps=10**6),
    "products": lambda objective, best, s: _products(_task(objective, best, s)),
}


def _moments(task: PolarTask) -> SurrogateOutcome | None:
    return moment_surrogate(task) if task.objective.outputs == 1 else None


def _hubs(task: PolarTask) -> SurrogateOutcome | None:
    return hub_surrogate(task) if task.objective.outputs == 1 else None


def _products(task: PolarTask) -> Outcome | None:
    ((dual, bound),) = products(task) or [(task.dual, None)]
    return None if bound is None else Outcome(dual, bound.upper)


def _task(objective: Objective, best: Trained, seconds: float) -> PolarTask:
    (nothing,) = objective.empty_stacks()
    until = time.perf_counter() + seconds
    return PolarTask(objective, 0, best.gradient, 0.0, until, nothing, network=best.factors, needed=best.objective)


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 60.0)
