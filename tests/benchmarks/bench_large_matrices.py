"""Largest singular value of large matrices: guess, rigorous proof, rigorous check, randomized check; seconds.

Run: python -m tests.benchmarks.bench_large_matrices [rows columns]…
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

import numpy as np
import torch

from certify.bounds.bilinear.spectral import cholesky_seconds_estimate, spectral_search
from certify.bounds.eigenvalue import gram_norm_upper
from certify.bounds.polar import PolarTask
from certify.problem import Branch, ConvexPart, LossSpec, Objective, View, WeightDecay
from certify.problem.kinds.linear import Linear
from certify.verify.enclosure import Enclosure
from certify.verify.proofs.power_test import PowerTest, plan_test, random_starts
from certify.verify.verdict import FLOATING_POINT

SIZES = ((1500, 1200), (3000, 2500), (6000, 5000))
ROOMS = (2e-4, 1e-3, 5e-3)
PROBABILITY = 2.5e-13


def timed(run: Callable[[], object]) -> tuple[object, float]:
    started = time.perf_counter()
    found = run()
    return found, time.perf_counter() - started


def search(matrix: torch.Tensor) -> float:
    rows = len(matrix)
    convex = ConvexPart(matrix.new_zeros(rows, 0), matrix.new_zeros(0))
    loss = LossSpec("mse").bind(torch.zeros_like(matrix), matrix.shape[1])
    identity = torch.eye(rows, dtype=matrix.dtype)
    objective = Objective((Branch(Linear(), View(identity), WeightDecay((1.0, 1.0))),), convex, loss)
    (nothing,) = objective.empty_stacks()
    return spectral_search(PolarTask(objective, 0, matrix, 0.0, np.inf, nothing)).value


def cholesky_check(matrix: np.ndarray, upper: float) -> bool:
    moments = Enclosure(matrix)
    return FLOATING_POINT.dominates(Enclosure(upper) * upper, moments.T @ moments)


def main(sizes: tuple[tuple[int, int], ...] = SIZES) -> None:
    print(f"{'matrix':>12} {'search':>7} {'estimate':>8} {'proof':>7} {'check':>7}   randomized check (room: steps, s)")
    for rows, columns in sizes:
        values = np.random.default_rng(0).standard_normal((rows, columns))
        matrix = torch.from_numpy(values)
        guess, searching = timed(lambda m=matrix: search(m))
        estimate = cholesky_seconds_estimate(columns, rows)
        upper, proving = timed(lambda m=matrix, g=guess: gram_norm_upper(m, g))
        accepted, checking = timed(lambda v=values, u=upper: cholesky_check(v, u * (1 + 2.0**-20)))
        tests = []
        for room in ROOMS:
            edge = guess * (1 + 1e-9)
            plan = plan_test(values, edge * (1 + room), edge, PROBABILITY)
            if not isinstance(plan, PowerTest):
                raise SystemExit(plan)
            passed, seconds = timed(lambda p=plan, n=columns: p.passes(random_starts(n)))
            tests.append(f"{room:g}: {plan.degree}, {seconds:.1f}{'' if passed else ' FAILED'}")
        shape = f"{rows}×{columns}"
        numbers = f"{searching:7.1f} {estimate:8.1f} {proving:7.1f} {checking:7.1f}{'' if accepted else ' FAILED'}"
        print(f"{shape:>12} {numbers}   {'   '.join(tests)}", flush=True)


if __name__ == "__main__":
    given = [int(argument) for argument in sys.argv[1:]]
    main(tuple(zip(given[::2], given[1::2], strict=True)) or SIZES)
