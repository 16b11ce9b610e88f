"""Growth from width zero: closed forms, diabetes, cvxpy on all activation patterns, and scnn (pyscnn).

Run as `python -m tests.benchmarks.bench_growth [closed diabetes cvxpy scnn]`, best with OMP_NUM_THREADS=1. Seconds are
processor seconds, which other work on the machine distorts less than the clock. For scnn: `pip install --no-deps pyscnn
linalg_backends` (its own requirements would replace torch). Prints, never asserts; growth/test_known_optima.py does.
"""

import argparse
import multiprocessing
import time
from dataclasses import replace
from math import comb

import numpy as np
import torch
from sklearn.datasets import load_breast_cancer, load_diabetes

from certify.growth.rounds import advance, begin
from certify.models.loading import Problem
from certify.models.source import Tolerance
from certify.workflows.grow import GrowthState, grow_network
from tests.growth.test_known_optima import blank_problem, regression
from tests.soundness.cells import solved
from tests.soundness.planted import planted_linear, planted_quadratic, planted_relu

PRECISION = 1e-6
SEED = 778
GATES = 100
GOAL = 0.0740
CANCER_DECAY = 0.01
MOST_ROUNDS = 30
# Nonzeros of the convex program over all patterns beyond which it is not tried.
MOST_NONZEROS = 3e7


def grown(problem, gap, budget):
    """The growth, processor seconds and rounds."""
    problem = replace(problem, tolerance=Tolerance(gap, 0.0), budget_seconds=budget)
    began = time.process_time()
    growth = grow_network(problem, GrowthState(problem.objective.empty_network(), (), 0), lambda state: None)
    return growth, time.process_time() - began


def relative_gap(growth):
    """(objective − lower bound) / objective."""
    return 1 - growth.bound.value / growth.report.objective_after


def closed_rows():
    """Problems with a closed form."""
    print(f"{'closed form':26s} {'optimum':>12s} {'excess':>9s} {'gap':>9s} {'width':>6s} {'seconds':>8s}")
    problems = [("soft-thresholded SVD", planted_linear, (n, c)) for n, c in ((8, 5), (30, 20), (60, 40))]
    problems += [("whitened ReLU", planted_relu, (n, n)) for n in (8, 20, 60)]
    problems += [("quadratic", planted_quadratic, (n,)) for n in (6, 20, 60)]
    for name, planted, shape in problems:
        instance = planted(np.random.default_rng(0), *shape)
        growth, seconds = grown(instance.problem(instance.first, instance.second), PRECISION, 60)
        excess = growth.report.objective_after / instance.optimum - 1
        label = f"{name} {'x'.join(map(str, shape))}"
        numbers = f"{instance.optimum:12.6f} {excess:9.1e} {relative_gap(growth):9.1e}"
        print(f"{label:26s} {numbers} {growth.network.width:6d} {seconds:8.2f}", flush=True)


def whitened_diabetes():
    """Diabetes on four whitened principal components and a penalized bias."""
    X, y = load_diabetes(return_X_y=True)
    left = np.linalg.svd((X - X.mean(0)) / X.std(0), full_matrices=False)[0]
    chosen = regression(4, len(y), "penalized", "absent")
    targets = ((y - y.mean()) / y.std())[:, None]
    return replace(chosen, inputs=left[:, :4] * np.sqrt(len(y)), targets=targets, strength=0.1)


def diabetes_rows():
    """From nothing to a certified gap of 1e-4, round by round."""
    growth, seconds = grown(blank_problem(whitened_diabetes()), 1e-4, 120)
    report = growth.report
    print("round width  objective    lower bound  gap       seconds (clock)")
    for row in report.rounds:
        numbers = f"{row.objective:.8f}  {row.lower_bound:.8f}  {row.relative_gap:.1e}"
        print(f"{row.round:5d} {row.width:5d}  {numbers} {row.seconds:8.1f}")
    print(f"pruned from {report.width_grown} to {report.width_after}: objective {report.objective_after:.8f}, ", end="")
    print(f"gap {relative_gap(growth):.1e}, {seconds:.1f} s in all", flush=True)


def pattern_count(n, d):
    """Cells of n hyperplanes through the origin in general position (Cover 1965)."""
    return 2 * sum(comb(n - 1, k) for k in range(d))


def _solve(chosen, answers):
    began = time.process_time()
    value, _ = solved(chosen)
    answers.put((value, time.process_time() - began))


def all_patterns_solved(chosen, limit):
    """Value and processor seconds of cvxpy, None past the limit on the clock or on memory."""
    n, d = chosen.inputs.shape[0], chosen.inputs.shape[1] + 1
    if 2 * pattern_count(n, d) * n * d > MOST_NONZEROS:
        return None
    context = multiprocessing.get_context("spawn")
    answers = context.Queue()
    process = context.Process(target=_solve, args=(chosen, answers))
    process.start()
    process.join(limit)
    if process.is_alive() or process.exitcode != 0:
        process.kill()
        process.join()
        return None
    return answers.get()


def cvxpy_rows(limit):
    """The convex program over all activation patterns beside growth, ever larger."""
    print("problem                  patterns  cvxpy s  grow s  ratio difference      gap")
    problems = [regression(1, n, "penalized", "absent") for n in (20, 40, 80, 160, 320)]
    problems += [regression(2, n, "penalized", "absent") for n in (10, 20, 40, 80)]
    for chosen in [*problems, whitened_diabetes()]:
        (n, k), gap = chosen.inputs.shape, (PRECISION if chosen.inputs.shape[1] < 4 else 1e-4)
        growth, seconds = grown(blank_problem(chosen), gap, 120)
        answer = all_patterns_solved(chosen, limit)
        beside = f"{'-':>8s} {seconds:7.2f} {'-':>6s} {'-':>10s}"
        if answer is not None:
            value, taken = answer
            difference = growth.report.objective_after / value - 1
            beside = f"{taken:8.2f} {seconds:7.2f} {taken / seconds:6.1f} {difference:10.1e}"
        print(
            f"n = {n:4d}, d = {k} + bias {pattern_count(n, k + 1):10d} {beside} {relative_gap(growth):8.1e}", flush=True
        )


def breast_cancer():
    """Standardized inputs, targets ±1."""
    X, y = load_breast_cancer(return_X_y=True)
    return (X - X.mean(0)) / X.std(0), 2.0 * y[:, None] - 1


def cancer_objective(X, y, first, second):
    """Half mean squared error and weight decay; first (r, d), second (r, 1)."""
    fit = np.mean((np.maximum(X @ first.T, 0) @ second - y) ** 2) / 2
    return fit + CANCER_DECAY / 2 * ((first**2).sum() + (second**2).sum())


def scnn_trained(X, y):
    """Objective, width and processor seconds of scnn's augmented Lagrangian at its defaults.

    Its convex objective is |z − y|²/(2 n) + λ Σ(|v_k| + |w_k|), whose λ is that of the weight decay.
    """
    from scnn.activations import sample_gate_vectors
    from scnn.metrics import Metrics
    from scnn.models import ConvexReLU
    from scnn.optimize import optimize_model
    from scnn.regularizers import NeuronGL1
    from scnn.solvers import AL

    model = ConvexReLU(sample_gate_vectors(SEED, X.shape[1], GATES))
    options = {"regularizer": NeuronGL1(CANCER_DECAY), "unitize_data": False, "dtype": "float64", "seed": SEED}
    began = time.process_time()
    found, _ = optimize_model(model, AL(model), Metrics(), X, y, **options)
    seconds = time.process_time() - began
    first, second = found.parameters
    return cancer_objective(X, y, first, second.T), len(first), seconds


def grown_to_goal(X, y, seed):
    """Objective, width and processor seconds of rounds of growth until the goal."""
    layers = [torch.nn.Linear(X.shape[1], 1, bias=False), torch.nn.ReLU(), torch.nn.Linear(1, 1, bias=False)]
    model = torch.nn.Sequential(*layers).double()
    objective = Problem.from_torch(model, X, y, weight_decay=CANCER_DECAY, scale=0.5).objective
    began = time.process_time()
    found = begin(objective, objective.empty_network(), 600.0, 0.0, seed)
    while found.best.objective > GOAL and found.rounds < MOST_ROUNDS:
        found = advance(objective, found, None, time.perf_counter() + 600, seed + found.rounds + 1)
    seconds = time.process_time() - began
    first, second = (factor.numpy() for factor in found.best.network.factors)
    return cancer_objective(X, y, first, second), len(first), seconds


def scnn_rows():
    """Breast cancer, d = 30, no bias, weight decay 0.01."""
    X, y = breast_cancer()
    try:
        value, width, taken = scnn_trained(X, y)
    except ImportError as missing:
        print(f"scnn is not there ({missing}): pip install --no-deps pyscnn linalg_backends")
        return
    print(f"scnn, {GATES} gates    objective {value:.5f}  width {width:3d}  {taken:6.1f} s", flush=True)
    for seed in range(3):
        value, width, seconds = grown_to_goal(X, y, seed)
        print(f"growth, seed {seed}    objective {value:.5f}  width {width:3d}  {seconds:6.1f} s", end="")
        print(f"   scnn takes {taken / seconds:.1f} times as long", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", default=["closed", "diabetes", "cvxpy", "scnn"])
    parser.add_argument("--cvxpy-seconds", type=float, default=120.0, help="limit per convex program")
    arguments, _ = parser.parse_known_args()
    runs = {"closed": closed_rows, "diabetes": diabetes_rows, "scnn": scnn_rows}
    runs["cvxpy"] = lambda: cvxpy_rows(arguments.cvxpy_seconds)
    for part in arguments.parts:
        print(f"\n-- {part}", flush=True)
        runs[part]()


if __name__ == "__main__":
    main()
