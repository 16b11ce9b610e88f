"""Moments with many samples: seconds of a step and of a proof, largest memory, and the gap, beside their growth.

Inputs are seeded and sparse like digits, labels come from a small network of ReLUs. The objective that the gap is to is
that of a network trained by L-BFGS, which need not be optimal.

Run: python -m tests.benchmarks.bench_large_samples [samples] [inputs] [seconds]
"""

from __future__ import annotations

import resource
import sys
import time
from dataclasses import replace

import torch

from certify.bounds.polar import PolarTask
from certify.bounds.rows.relaxations.moment_surrogate import moment_surrogate
from certify.problem import Branch, ConvexPart, LossSpec, Objective, ParallelNetwork, View, WeightDecay
from certify.problem.dual import best_scale
from certify.problem.kinds import ReLU
from certify.progress import Progress

# Share of the entries of an input that are not zero, and the number of patterns that inputs are near.
DENSITY, PATTERNS = 0.2, 10
DECAY = 0.03


def make_objective(n: int, d: int, decay: float = DECAY) -> Objective:
    """One logistic output over inputs in [0, 1] with a constant column."""
    generator = torch.Generator().manual_seed(0)

    def uniform(*shape: int) -> torch.Tensor:
        return torch.rand(*shape, generator=generator, dtype=torch.float64)

    patterns = uniform(PATTERNS, d) * (uniform(PATTERNS, d) < DENSITY)
    inputs = torch.ones(n, d, dtype=torch.float64)
    inputs[:, :-1] = patterns[torch.randint(PATTERNS, (n,), generator=generator), : d - 1]
    for start in range(0, n, 4096):
        block = inputs[start : start + 4096, :-1]
        block.mul_(2 * uniform(*block.shape)).mul_(uniform(*block.shape) < 0.8)
    teacher = torch.randn(d, 8, generator=generator, dtype=torch.float64) / d**0.5
    score = (inputs @ teacher).relu() @ torch.tensor([1.0, -1.0] * 4, dtype=torch.float64)
    loss = LossSpec("binary-cross-entropy").bind((score > score.median()).double()[:, None], 1)
    convex = ConvexPart(inputs[:, :0], inputs.new_zeros(0))
    return Objective((Branch(ReLU(), View(inputs), WeightDecay((decay, decay))),), convex, loss)


def trained(objective: Objective, width: int = 8, steps: int = 100) -> ParallelNetwork:
    """A network trained by L-BFGS."""
    (branch,) = objective.branches
    generator = torch.Generator().manual_seed(0)
    shapes = (width, branch.view.rows.shape[1]), (width, 1)
    weights = [0.1 * torch.randn(*shape, generator=generator, dtype=torch.float64) for shape in shapes]
    weights = [weight.requires_grad_() for weight in weights]
    optimizer = torch.optim.LBFGS(weights, max_iter=steps, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        outputs = (branch.view.rows @ weights[0].T).relu() @ weights[1]
        penalty = branch.penalty.per_subnetwork(branch.norms(tuple(weights))).sum()
        total = objective.loss.value_terms(outputs).sum() + penalty
        total.backward()
        return total

    optimizer.step(closure)
    stack = weights[0].detach(), weights[1].detach()
    return ParallelNetwork((stack,), objective.empty_network().coefficients)


def peak() -> float:
    """Largest memory of the process so far, GiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def main(n: int = 60_000, d: int = 785, seconds: float = 300.0) -> None:
    objective = make_objective(n, d)
    network = trained(objective)
    evaluation = objective.evaluate(network)
    print(f"n {n}, d {d}: objective {evaluation.objective:.6f}, memory before {peak():.2f} GiB", flush=True)
    begun = time.perf_counter()

    def tell(event: Progress) -> None:
        assert event.lower_bound is not None
        gap = (evaluation.objective - event.lower_bound) / evaluation.objective
        spent = time.perf_counter() - begun
        print(f"{spent:8.1f} s  lower {event.lower_bound:.6f}  gap {100 * gap:6.2f}%  {peak():.2f} GiB", flush=True)

    (nothing,) = objective.empty_stacks()
    task = PolarTask(objective, 0, evaluation.gradient, 0.0, begun + seconds, nothing, network=network.stacks[0])
    outcome = moment_surrogate(replace(task, listener=tell))
    assert outcome is not None
    lower = best_scale(objective, outcome.dual, objective.branches[0].strength / outcome.upper).value
    print(f"lower bound {lower:.6f} after {time.perf_counter() - begun:.1f} s, {peak():.2f} GiB in all")


if __name__ == "__main__":
    given = sys.argv[1:]
    main(*(int(value) for value in given[:2]), *(float(value) for value in given[2:3]))
