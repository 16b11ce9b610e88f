"""Trained networks whose certificates take a cone search: of some hundred thousand cones with five inputs."""

import numpy as np
import torch
from sklearn.datasets import load_diabetes

WIDTH, DECAY = 20, 0.1
PROBLEM = f"""\
schema: certify.problem/1
model: {{path: model.pt, layers: [{{linear: "0"}}, relu, {{linear: "2"}}]}}
data: {{path: train.npz, inputs: X, targets: y}}
loss: {{name: mse, reduction: mean, scale: 0.5}}
penalty: {{weight_decay: {DECAY}}}
biases: {{hidden: penalized, output: absent}}
tolerance: {{relative_gap: 3.0e-3}}
budget: {{seconds: 300}}
"""


def data(components=5):
    """Principal components of diabetes (n, d), not whitened, and standardized targets (n, 1)."""
    X, y = load_diabetes(return_X_y=True)
    X, y = (X - X.mean(0)) / X.std(0), (y - y.mean()) / y.std()
    left, scale, _ = np.linalg.svd(X, full_matrices=False)
    return left[:, :components] * scale[:components], y[:, None]


def trained(X, y):
    """Layers with a penalized hidden bias, near a local optimum."""
    torch.manual_seed(0)
    model = torch.nn.Sequential(
        torch.nn.Linear(X.shape[1], WIDTH), torch.nn.ReLU(), torch.nn.Linear(WIDTH, 1, bias=False)
    ).double()
    inputs, targets = torch.tensor(X), torch.tensor(y)

    def closure():
        optimizer.zero_grad()
        penalty = sum(parameter.square().sum() for parameter in model.parameters())
        objective = 0.5 * (model(inputs) - targets).square().mean() + DECAY / 2 * penalty
        objective.backward()
        return objective

    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    for _ in range(500):
        optimizer.step(closure)
    optimizer = torch.optim.LBFGS(model.parameters(), max_iter=1000, tolerance_change=0, line_search_fn="strong_wolfe")
    optimizer.step(closure)
    return model


def write_long_proof(folder, components=5):
    """Write `model.pt`, `train.npz` and the problem file."""
    X, y = data(components)
    np.savez(folder / "train.npz", X=X, y=y)
    torch.save(trained(X, y).state_dict(), folder / "model.pt")
    (folder / "model.problem.yaml").write_text(PROBLEM)
