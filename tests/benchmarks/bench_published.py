"""Growth on the problems of Prakhya, Birdal and Yurtsever 2025, whose relaxation leaves some 6 to 12% at n = 25.

Run as `python -m tests.benchmarks.bench_published [PART …] [--budget SECONDS]`. As in their article ("Convex
formulations for training two-layer ReLU neural networks", ICLR 2025) and its code: half the squared error, summed,
strength 0.1 and 0.01 on both layers, no biases, classes one-hot; `random` is n = 25, d = 2, c = 5 with outputs of a
network of 100 units, `spiral` n = 60, d = 2, c = 3. Half of iris, ionosphere and pima, as for their training, and 25
samples of each; drawn by seeds of our own. Their banknotes and reduced images are not among the packages that are used
here. The inputs of iris are those of scikit-learn, the others those of `bench_keel`, original.

`theirs` is how far the value of their relaxation, solved by Clarabel, is below the grown network's objective, for at
most 25 samples: with several outputs it is the relaxation of `doubly_nonnegative`, without a search for the dual point.
"""

import argparse
import math
import tempfile
from pathlib import Path

import numpy as np
from cvxpy.error import SolverError
from sklearn.datasets import load_iris

from certify.problem import Slopes
from tests.benchmarks.bench_keel import whole
from tests.benchmarks.grown import HEADER, Problem, from_scratch, grow, print_total
from tests.bounds.test_doubly_nonnegative import solver_value

DECAYS = (0.1, 0.01)
TRIALS, FEW = 3, 25
SHARES = (0.01, 0.05)


def one_hot(classes):
    return np.eye(classes.max() + 1)[classes]


def random_network(seed):
    """Outputs of a random network at normal inputs."""
    rng = np.random.default_rng(seed)
    first, second, inputs = (rng.standard_normal(shape) for shape in ((2, 100), (100, 5), (FEW, 2)))
    return inputs, np.maximum(inputs @ first, 0) @ second


def spiral(seed):
    """Three arms of 20 points each."""
    rng, arm = np.random.default_rng(seed), np.linspace(0, 1, 20)
    turns = np.concatenate([4 * c + 4 * arm + 0.15 * rng.standard_normal(20) for c in range(3)])
    inputs = np.tile(arm / 2, 3)[:, None] * np.stack([np.sin(turns), np.cos(turns)], 1)
    return inputs, one_hot(np.repeat(np.arange(3), 20))


def drawn(name, seed, count=None):
    """A random half of the samples, or so many."""
    inputs, classes = load_iris(return_X_y=True) if name == "iris" else whole(name, raw=True)
    chosen = np.random.default_rng(seed).permutation(len(inputs))[: count or len(inputs) // 2]
    return inputs[chosen], one_hot(classes)[chosen]


def relaxation(inputs, targets, decay):
    """The value of their relaxation, NaN where the solver fails; `solver_value` takes the mean of squares."""
    halved = targets.size / 2
    try:
        return halved * solver_value(inputs, targets, decay / halved, Slopes(1.0, 0.0))
    except SolverError:
        return math.nan


PARTS = {
    "random": lambda: [(f"random {seed}", *random_network(seed)) for seed in range(TRIALS)],
    "spiral": lambda: [("spiral", *spiral(0))],
    "few": lambda: [(f"{name}, 25 samples", *drawn(name, 0, FEW)) for name in ("iris", "ionosphere", "pima")],
    "half": lambda: [(f"{name}, half", *drawn(name, 0)) for name in ("iris", "ionosphere", "pima")],
}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", help=", ".join(PARTS))
    parser.add_argument("--budget", type=float, default=20.0, help="seconds for each")
    parser.add_argument("--gap", type=float, default=1e-4, help="tolerance, relative")
    arguments = parser.parse_args()
    print(HEADER)
    found = []
    for part in arguments.parts or PARTS:
        for title, inputs, targets in PARTS[part]():
            for decay in DECAYS:
                options = (*from_scratch("mse", decay, "absent"), "--reduction", "sum", "--scale", "0.5")
                with tempfile.TemporaryDirectory() as folder:
                    one = Problem(f"{title}, {decay:g}", inputs, targets, options)
                    found.append(grow(one, Path(folder), arguments.budget, arguments.gap))
                if len(inputs) <= FEW and found[-1] is not None:
                    theirs = 1 - relaxation(inputs, targets, decay) / found[-1].objective
                    print(f"{'':4s}theirs {theirs:.2%}", flush=True)
    print_total(found, SHARES)


if __name__ == "__main__":
    main()
