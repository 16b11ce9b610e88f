"""Bounds by products on an accelerator beside those on the processor, and on problems that need one.

Run as `python -m tests.benchmarks.bench_devices [PART …] [--device cuda]`; `gpu.sh` beside this file prepares a machine
and runs it. Part `agreement` fails where, on one of ten problems, the lower bounds after STEPS steps differ by more
than TOLERANCE |objective|, or the checker does not accept their proofs and those of the whole method, which the clock
steers, so that its bounds may differ. With `--device cpu` the second run has the samples in another order: rounding
differs there too. Parts `digits` and `large` print how seconds and gap go with the steps.
"""

import argparse
import sys
import time

import numpy as np
import torch
from sklearn.datasets import load_digits

from certify.bounds.ladder import LowerBound, scaled
from certify.bounds.polar import PolarBound, PolarTask
from certify.bounds.proof import DoublyNonnegative
from certify.bounds.rows.relaxations.direction_region import center_of, direction_region
from certify.bounds.rows.relaxations.doubly_nonnegative.product_method import products
from certify.bounds.rows.relaxations.doubly_nonnegative.proven import doubly_nonnegative_upper
from certify.bounds.rows.relaxations.doubly_nonnegative.splitting import Splitting
from certify.bounds.score_rounding import with_score_rounding
from certify.models.loading import Problem
from certify.problem.dual import feasible_dual
from certify.workflows.certificate_of import NoCertificateError, settled_certificate

WIDTH, EPOCHS, RATE = 30, 1000, 1e-2
STEPS, TOLERANCE = 200, 1e-4
# Penalty β in units of λ, and steps between two proofs of the tables.
PENALTY, ROUND = 8.0, 100
LOSSES = {"mse": torch.nn.functional.mse_loss, "cross-entropy": torch.nn.functional.cross_entropy}


def trained(inputs, targets, loss, decay, device, bias=True):
    """The problem of a network after Adam with weight decay."""
    X, Y = torch.tensor(inputs, device=device), torch.tensor(targets, device=device)
    outputs = int(Y.max()) + 1 if loss == "cross-entropy" else Y.shape[1]
    torch.manual_seed(0)
    layers = torch.nn.Linear(X.shape[1], WIDTH, bias=bias), torch.nn.ReLU(), torch.nn.Linear(WIDTH, outputs, bias=False)
    model = torch.nn.Sequential(*layers).double().to(device)
    optimizer = torch.optim.Adam(model.parameters(), lr=RATE, weight_decay=decay)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, EPOCHS)
    for _ in range(EPOCHS):
        optimizer.zero_grad()
        LOSSES[loss](model(X), Y).backward()
        optimizer.step()
        schedule.step()
    return model.cpu(), {"loss": loss, "weight_decay": decay, "biases": {"hidden": "penalized"} if bias else {}}


def drawn(index, size):
    """One of ten sets: n = size or half of it, 5 to 14 inputs, 1 to 3 numbers or 3 classes; whether with a bias."""
    rng = np.random.default_rng(index)
    n, d, outputs = size // (1 + index % 2), 5 + index, 1 + index % 3
    X = rng.standard_normal((n, d))
    Y = np.maximum(X @ rng.standard_normal((d, 8)), 0) @ rng.standard_normal((8, outputs)) / 4
    if index >= 7:
        return X, (X @ rng.standard_normal((d, 3))).argmax(1), "cross-entropy", index % 2 == 0
    return X, Y + 0.1 * rng.standard_normal(Y.shape), "mse", index % 2 == 0


class Bounded:
    """Splittings of one problem on one device, and what they prove."""

    def __init__(self, problem: Problem, precision: torch.dtype) -> None:
        self.objective, self.form = problem.objective, problem.objective.branches[0].form
        view = self.form.view
        self.center = center_of(view, torch.ones(len(view.rows), dtype=torch.bool, device=view.rows.device))
        inputs = direction_region(view, self.center, 1.0).inputs
        self.splitting = Splitting(self.objective, (inputs,), precision)
        self.splitting.parts[0].start(problem.network.stacks[0], self.center)
        self.splitting.rescale(PENALTY)

    def advance(self, steps: int) -> float:
        """Seconds for each of so many steps."""
        begun = settled_time(self.splitting.gradient)
        for _ in range(steps):
            self.splitting.step()
        return (settled_time(self.splitting.gradient) - begun) / steps

    def bound(self) -> LowerBound:
        """What the last iterate proves."""
        branch, dual = self.objective.branches[0], feasible_dual(self.objective, self.splitting.gradient)
        raw = DoublyNonnegative(self.splitting.parts[0].multipliers(), self.center)
        upper, proof = doubly_nonnegative_upper(self.form, branch.scores(dual), raw)
        nothing = self.objective.empty_stacks()[0]
        return bound_at(self.objective, dual, PolarBound(0.0, nothing, upper, "doubly nonnegative", proof))


def settled_time(values):
    """The time once all work on the device of the values is done."""
    if values.is_cuda:
        torch.cuda.synchronize(values.device)
    return time.perf_counter()


def bound_at(objective, dual, polar):
    return scaled(objective, dual, (with_score_rounding(objective.branches[0], dual, polar),))


def whole_method(problem, seconds):
    """The bound by `products` and its seconds."""
    objective, stacks = problem.objective, problem.network.stacks
    dual = feasible_dual(objective, objective.evaluate(problem.network).gradient)
    begun = time.perf_counter()
    task = PolarTask(objective, 0, dual, 0.0, begun + seconds, objective.empty_stacks()[0], network=stacks[0])
    ((dual, polar),) = products(task)
    return bound_at(objective, dual, polar), time.perf_counter() - begun


def is_accepted(problem, bound):
    """Whether the checker accepts a certificate of the bound."""
    try:
        return settled_certificate(problem, bound).verdict.status == "valid"
    except NoCertificateError:
        return False


def agreement(arguments):
    """Ten problems on both devices; whether all agree."""
    print(
        f"{'problem':24s} {'after steps':>11s} {'by method':>10s} {'gap cpu':>8s} {'gap':>8s}  accepted  s cpu      s"
    )
    agreed = True
    for index in range(10):
        X, Y, loss, bias = drawn(index, arguments.size)
        model, options = trained(X, Y, loss, 0.05, "cpu", bias)
        order = np.random.default_rng(0).permutation(len(X)) if arguments.device == "cpu" else slice(None)
        problems = [
            Problem.from_torch(model, X, Y, **options),
            Problem.from_torch(model, X[order], Y[order], device=arguments.device, **options),
        ]
        size = float(problems[0].objective.evaluate(problems[0].network).objective)
        stepped = []
        for problem in problems:
            run = Bounded(problem, torch.float64)
            run.advance(STEPS)
            stepped.append(run.bound())
        whole = [whole_method(problem, arguments.seconds) for problem in problems]
        bounds = [*stepped, *(bound for bound, _ in whole)]
        values = [bound.value / size for bound in bounds]
        differences = abs(values[1] - values[0]), abs(values[3] - values[2])
        accepted = all(is_accepted(problems[at % 2], bound) for at, bound in enumerate(bounds))
        agreed &= accepted and differences[0] <= TOLERANCE
        row = f"{f'n {len(X)}, d {X.shape[1]}, {loss}':26s} {differences[0]:10.1e} {differences[1]:10.1e} "
        row += f"{1 - values[2]:8.2%} {1 - values[3]:8.2%}  {accepted!s:8s} {whole[0][1]:6.1f} {whole[1][1]:6.1f}"
        print(row, flush=True)
    print(f"all agree: {agreed}", flush=True)
    return agreed


def table(X, Y, loss, decay, device, seconds):
    """Steps, seconds for each, seconds of the proof and gap, until the time is over; single precision."""
    model, options = trained(X, Y, loss, decay, device)
    problem = Problem.from_torch(model, X, Y, device=device, **options)
    size = float(problem.objective.evaluate(problem.network).objective)
    run, until, steps = Bounded(problem, torch.float32), time.perf_counter() + seconds, 0
    print(f"n {len(X)}, d {X.shape[1]}, {loss}, weight decay {decay:g}: objective {size:.5f}")
    print(f"{'steps':>6s} {'s/step':>8s} {'s proof':>8s} {'gap':>8s}", flush=True)
    while time.perf_counter() < until:
        pace, begun = run.advance(ROUND), time.perf_counter()
        steps, value = steps + ROUND, run.bound().value
        print(f"{steps:6d} {pace:8.4f} {time.perf_counter() - begun:8.2f} {1 - value / size:8.2%}", flush=True)
    if device != "cpu":
        print(f"memory {torch.cuda.max_memory_allocated() / 2**30:.1f} GiB", flush=True)
    return True


def digits(arguments):
    """Handwritten digits, n = 1,797, whole unless --size is less."""
    X, y = load_digits(return_X_y=True)
    kept = slice(min(len(X), 6 * arguments.size))
    return table(X[kept] / 16, y[kept], "cross-entropy", 0.05, arguments.device, arguments.table_seconds)


def large(arguments):
    """Outputs of a random network with noise, 20 inputs."""
    rng, n = np.random.default_rng(0), arguments.samples
    X = rng.standard_normal((n, 20))
    Y = np.maximum(X @ rng.standard_normal((20, 8)), 0) @ rng.standard_normal((8, 2)) / 4
    Y += 0.1 * rng.standard_normal(Y.shape)
    return table(X, Y, "mse", 0.05, arguments.device, arguments.table_seconds)


PARTS = {"agreement": agreement, "digits": digits, "large": large}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", help=", ".join(PARTS))
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--size", type=int, default=300, help="samples of the ten problems, a sixth of the digits")
    parser.add_argument("--samples", type=int, default=10_000, help="of the large problem")
    parser.add_argument("--seconds", type=float, default=6.0, help="of the method on each of the ten, on each device")
    parser.add_argument("--table-seconds", type=float, default=60.0, help="of each table")
    arguments = parser.parse_args()
    if not all([PARTS[part](arguments) for part in arguments.parts or PARTS]):  # noqa: C419 - every part runs
        sys.exit(1)


if __name__ == "__main__":
    main()
