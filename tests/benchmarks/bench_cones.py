"""Cone branch and bound on the polar of a trained two-layer network, beside SCIP on the same polar.

Run as `python -m tests.benchmarks.bench_cones`. Data: scikit-learn diabetes (n = 442), inputs and target
standardized, first k principal components and a column of ones (bias in the norm), d = k + 1, half mean squared
error, q = -gradient at a trained network; both signs of q, tolerance 1% of max(incumbent, lam). Prints, never asserts.
"""

import argparse
import math
import time

import numpy as np
import torch
from sklearn.datasets import load_diabetes

from certify.bounds.rows.cones.cone_forecast import forecast_nodes
from certify.bounds.rows.cones.cone_settings import ConeSettings
from certify.bounds.rows.cones.cones import cone_polar

WIDTH = 20
SEED = 0


def diabetes(k):
    """First k principal components (not whitened) with a column of ones, and the standardized target."""
    X, y = load_diabetes(return_X_y=True)
    X, y = (X - X.mean(0)) / X.std(0), (y - y.mean()) / y.std()
    left, scale, _ = np.linalg.svd(X, full_matrices=False)
    return torch.tensor(np.column_stack([left[:, :k] * scale[:k], np.ones(len(y))])), torch.tensor(y)


def residual_of_a_trained_network(X, y, lam):
    """-gradient (n,) of the loss at weights trained by Adam and L-BFGS, and the unit neurons (d, r)."""
    generator = torch.Generator().manual_seed(SEED)
    draw = {"generator": generator, "dtype": torch.float64}
    W = (torch.randn(X.shape[1], WIDTH, **draw) / 2).requires_grad_()
    v = (torch.randn(WIDTH, **draw) / 2).requires_grad_()

    def closure():
        optimizer.zero_grad()
        fit = (torch.relu(X @ W) @ v - y).square().sum() / (2 * len(y))
        objective = fit + lam / 2 * (W.square().sum() + v.square().sum())
        objective.backward()
        return objective

    optimizer = torch.optim.Adam([W, v], lr=0.02)
    for _ in range(1500):
        optimizer.step(closure)
    optimizer = torch.optim.LBFGS(
        [W, v], max_iter=3000, tolerance_grad=1e-11, tolerance_change=0, line_search_fn="strong_wolfe"
    )
    optimizer.step(closure)
    with torch.no_grad():
        return (y - torch.relu(X @ W) @ v) / len(y), W / W.norm(dim=0)


def best_start(X, q, neurons):
    """The neuron of largest value."""
    values = (q @ torch.relu(X @ neurons)).abs().nan_to_num()
    return neurons[:, values.argmax()]


def scip_polar(X, q, lam, seconds):
    """Upper bound, incumbent and seconds of SCIP on the mixed-integer cone program of max q^T relu(X u), |u| <= 1."""
    from pyscipopt import Model, quicksum

    model = Model()
    model.hideOutput()
    model.setParam("limits/time", seconds)
    model.setParam("limits/gap", 0.01)
    u = [model.addVar(lb=-1, ub=1) for _ in range(X.shape[1])]
    model.addCons(quicksum(x * x for x in u) <= 1)
    terms = []
    for x, weight in zip(X, q, strict=True):
        size = float(np.linalg.norm(x))
        z, active = model.addVar(lb=0, ub=size), model.addVar(vtype="B")
        inner = quicksum(float(a) * b for a, b in zip(x, u, strict=True))
        model.addCons(z >= inner)
        model.addCons(z <= inner + size * (1 - active))
        model.addCons(z <= size * active)
        terms.append(float(weight) * z)
    model.setObjective(quicksum(terms), "maximize")
    began = time.perf_counter()
    model.optimize()
    taken = time.perf_counter() - began
    upper, lower = model.getDualbound(), model.getPrimalbound()
    return (upper if upper < 1e20 else math.inf), (lower if abs(lower) < 1e20 else 0.0), taken


def cone_row(k, lam, seconds):
    """Solve one problem, print its row, return what is needed to compare."""
    X, y = diabetes(k)
    q, neurons = residual_of_a_trained_network(X, y, lam)
    settings = ConeSettings(target=lam, seconds=seconds)
    start = best_start(X, q, neurons)
    forecast = forecast_nodes(X, q[:, None], settings, start)
    found = cone_polar(X, q[:, None], settings, start)
    interval = f"{found.lower / lam:9.5f} {found.upper / lam:9.5f}"
    effort = (
        f"{found.nodes:10d} {found.seconds:8.2f} {'yes' if found.complete else 'NO':>5} {len(found.tree.splits):10d}"
    )
    print(f"{k + 1:3d} {lam:5.1f} {interval} {effort}   {forecast.sentence}", flush=True)
    return X.numpy(), q.numpy(), found


def compare_with_scip(seconds):
    """Print both methods at d = 3."""
    print(f"\nSCIP, d = 3, 1% gap, limit {seconds:.0f} s per sign")
    for lam in (0.3, 0.1):
        X, q, found = cone_row(2, lam, 60.0)
        runs = [scip_polar(X, sign * q, lam, seconds) for sign in (1, -1)]
        upper, lower, taken = max(r[0] for r in runs), max(r[1] for r in runs), sum(r[2] for r in runs)
        print(f"    lam {lam}: SCIP {lower / lam:.5f} .. {upper / lam:.5f} in {taken:.1f} s; ", end="")
        print(f"cones {found.seconds:.3f} s; ratio {taken / found.seconds:.0f}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="limit per cone search")
    parser.add_argument("--scip-seconds", type=float, default=120.0, help="limit per SCIP run, 0 to skip")
    parser.add_argument("--components", type=int, nargs="+", default=list(range(2, 11)), help="values of k")
    arguments = parser.parse_args()
    print("  d   lam lower/lam upper/lam      nodes  seconds  done  proof size   forecast")
    for lam in (0.6, 0.3, 0.1):
        for k in arguments.components:
            _, _, found = cone_row(k, lam, arguments.seconds)
            if not found.complete:
                break
    if arguments.scip_seconds > 0:
        compare_with_scip(arguments.scip_seconds)


if __name__ == "__main__":
    main()
