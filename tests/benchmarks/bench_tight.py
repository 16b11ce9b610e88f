"""Tight tolerances with few samples: certified growth, trees of signs beside what there is without them.

Run as `python -m tests.benchmarks.bench_tight [--seeds 10 --gap 1e-5 --budget 30]`, best with OMP_NUM_THREADS=1. Twelve
samples, four inputs (the last a constant column, or beside a penalized hidden bias), targets ±1, half the mean squared
error, weight decay 1e-3, from width zero; every certificate is verified. Prints, never asserts.
"""

import argparse
import time
from unittest import mock

import numpy as np
import torch

from certify.bounds import methods
from certify.models.loading import Problem
from certify.problem import Rows
from certify.verify import verify_bytes
from certify.workflows.grow import grow

SAMPLES, INPUTS, DECAY = 12, 4, 1e-3


def problem_of(seed, constant, gap, budget):
    """Normal inputs and random signs."""
    rng = np.random.default_rng(seed)
    inputs = rng.standard_normal((SAMPLES, INPUTS))
    targets = np.where(rng.random((SAMPLES, 1)) < 0.5, -1.0, 1.0)
    inputs[:, -1] = 1.0 if constant else inputs[:, -1]
    layers = [torch.nn.Linear(INPUTS, 1, bias=not constant), torch.nn.ReLU(), torch.nn.Linear(1, 1, bias=False)]
    model = torch.nn.Sequential(*layers).double()
    settings = {"weight_decay": DECAY, "scale": 0.5, "relative_gap": gap, "budget_seconds": budget}
    return Problem.from_torch(model, inputs, targets, **settings)


def without_signs():
    """The table of methods as it would be without trees of signs."""
    rungs = tuple(method for method in methods.METHODS[Rows] if method.name != "signs")
    return mock.patch.dict(methods.METHODS, {Rows: rungs})


def measured(problem):
    """Verdict, relative gap that the checker finds, seconds of growth and checks, and the method."""
    began = time.perf_counter()
    found = grow(problem, from_scratch=True)
    seconds = time.perf_counter() - began
    verdict = verify_bytes(found.certificate)
    gap = (verdict.upper - verdict.lower) / verdict.upper
    return f"{found.result.verdict:>10s} {gap:8.1e} {seconds:6.1f} s"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--gap", type=float, default=1e-5)
    parser.add_argument("--budget", type=float, default=30.0)
    parser.add_argument("--alone", action="store_true", help="do not run without trees of signs")
    given, _ = parser.parse_known_args()
    print(f"relative gap {given.gap:.0e}, {given.budget:.0f} s{'':22s}signs{'':22s}without")
    for constant in (True, False):
        for seed in range(given.seeds):
            problem = problem_of(seed, constant, given.gap, given.budget)
            line = f"{'constant column' if constant else 'hidden bias':15s} seed {seed:2d}  {measured(problem)}"
            if not given.alone:
                with without_signs():
                    line += f"  {measured(problem)}"
            print(line, flush=True)


if __name__ == "__main__":
    main()
