"""Growth from networks as people train them: 8 data sets, 32 ReLU units, Adam, weight decay 0.1, 0.01 and 0.001.

Run as `python -m tests.benchmarks.bench_networks [NAME …] [--budget SECONDS]`, names such as wine or wine-0.01.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
import torch
from sklearn import datasets
from torch.nn import functional

from tests.benchmarks.grown import HEADER, Problem, grow, print_total, standardized

WIDTH, EPOCHS, RATE = 32, 1500, 1e-2
DECAYS = (0.1, 0.01, 0.001)
LOSSES = {
    "mse": functional.mse_loss,
    "cross-entropy": functional.cross_entropy,
    "binary-cross-entropy": functional.binary_cross_entropy_with_logits,
}


def column(values):
    return np.asarray(values, dtype=np.float64).reshape(len(values), -1)


def diabetes():
    X, y = datasets.load_diabetes(return_X_y=True)
    return standardized(X), standardized(column(y)), "mse"


def breast():
    X, y = datasets.load_breast_cancer(return_X_y=True)
    return standardized(X), column(y), "binary-cross-entropy"


def wine():
    X, y = datasets.load_wine(return_X_y=True)
    return standardized(X), y, "cross-entropy"


def iris():
    X, y = datasets.load_iris(return_X_y=True)
    return standardized(X), y, "cross-entropy"


def digits():
    X, y = datasets.load_digits(return_X_y=True)
    return X / 16, y, "cross-entropy"


def friedman():
    X, y = datasets.make_friedman1(500, n_features=10, random_state=0, noise=1.0)
    return standardized(X), standardized(column(y)), "mse"


def moons():
    X, y = datasets.make_moons(500, noise=0.2, random_state=0)
    return standardized(X), column(y), "binary-cross-entropy"


def linnerud():
    X, Y = datasets.load_linnerud(return_X_y=True)
    return standardized(X), standardized(Y), "mse"


DATA = {made.__name__: made for made in (diabetes, breast, wine, iris, digits, friedman, moons, linnerud)}


def trained(inputs, targets, loss, decay):
    """A network after Adam with coupled weight decay on everything, in single precision."""
    X, Y = torch.tensor(inputs, dtype=torch.float32), torch.tensor(targets)
    Y, outputs = (Y.long(), len(Y.unique())) if loss == "cross-entropy" else (Y.float(), Y.shape[1])
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(X.shape[1], WIDTH), torch.nn.ReLU(), torch.nn.Linear(WIDTH, outputs))
    optimizer = torch.optim.Adam(model.parameters(), lr=RATE, weight_decay=decay)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, EPOCHS)
    for _ in range(EPOCHS):
        optimizer.zero_grad()
        LOSSES[loss](model(X), Y).backward()
        optimizer.step()
        schedule.step()
    return model


def write(folder, name, decay):
    """The model and its problem file in a folder; the problem."""
    inputs, targets, loss = DATA[name]()
    torch.save(trained(inputs, targets, loss, decay).state_dict(), folder / "model.pt")
    (folder / "model.problem.yaml").write_text(
        "schema: certify.problem/1\n"
        "model: {path: model.pt}\n"
        "data: {path: train.npz, inputs: X, targets: y}\n"
        f"loss: {{name: {loss}, reduction: mean}}\n"
        f"penalty: {{weight_decay: {decay}}}\n"
        "biases: {hidden: penalized, output: penalized}\n"
    )
    return Problem(f"{name}-{decay:g}", inputs, targets, ("model.pt",))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help=", ".join(DATA))
    parser.add_argument("--budget", type=float, default=60.0, help="seconds for each")
    parser.add_argument("--gap", type=float, default=1e-2, help="tolerance, relative")
    arguments = parser.parse_args()
    chosen = [(name, decay) for name in DATA for decay in DECAYS]
    if arguments.names:
        chosen = [(n, d) for n, d in chosen if n in arguments.names or f"{n}-{d:g}" in arguments.names]
    print(HEADER)
    found = []
    for name, decay in chosen:
        with tempfile.TemporaryDirectory() as folder:
            found.append(grow(write(Path(folder), name, decay), Path(folder), arguments.budget, arguments.gap))
    print_total(found)


if __name__ == "__main__":
    main()
