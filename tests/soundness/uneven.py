"""Problems under weight decay whose subnetworks have another degree, with optima in closed form or by many restarts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from scipy.optimize import minimize, minimize_scalar

from certify.models.loading import Problem
from certify.models.spec.problem_file import spec_from_content
from certify.workflows.check import CheckOptions, run_check

from ..verify.packing import unpacked

SECONDS = 2.0


class Square(torch.nn.Module):
    def forward(self, values):
        return values**2


def squares(inputs, targets, decay, biases=False, width=3, seed=0, **settings):
    """Neurons v (u·x + b)² at random weights."""
    torch.manual_seed(seed)
    first = torch.nn.Linear(inputs.shape[1], width, bias=biases)
    model = torch.nn.Sequential(first, Square(), torch.nn.Linear(width, targets.shape[1], bias=False)).double()
    given = {"reduction": "sum", "scale": 0.5, "budget_seconds": SECONDS} | settings
    return Problem.from_torch(model, inputs, targets, weight_decay=decay, **given)


def tensor(targets, decay, width=3, seed=0, **settings):
    """A CP model of random factors; NaN is not observed."""
    rng, names = np.random.default_rng(seed), "ABCD"[: targets.ndim]
    factors = {n: torch.from_numpy(rng.standard_normal((k, width))) for n, k in zip(names, targets.shape, strict=True)}
    content = {
        "schema": "certify.problem/1",
        "model": {"path": "model.pt", "layers": [{"cp": list(names)}]},
        "data": {"path": "data.npz", "targets": "y"},
        "loss": {"name": "mse", "reduction": "sum", "scale": 0.5},
        "penalty": {"weight_decay": decay},
        "budget": {"seconds": SECONDS},
    } | settings
    with TemporaryDirectory() as folder:
        torch.save(factors, Path(folder) / "model.pt")
        np.savez(Path(folder) / "data.npz", y=targets)
        return Problem.from_files(spec_from_content(content, Path(folder), lambda at, key: "here"))


def random_squares(seed, outputs=1, biases=False, decay=0.3, **settings):
    rng = np.random.default_rng([62, seed])
    inputs = rng.standard_normal((int(rng.integers(3, 9)), int(rng.integers(1, 4))))
    planted = ((inputs @ rng.standard_normal((inputs.shape[1], 2))) ** 2) @ rng.standard_normal((2, outputs))
    targets = planted + 0.2 * rng.standard_normal(planted.shape)
    return squares(inputs, targets, decay, biases, seed=seed, **settings)


def random_tensor(seed, order=3, decay=0.3, seen=1.0):
    rng = np.random.default_rng([63, seed])
    shape = tuple(rng.integers(1, 4, order))
    vectors = [[rng.standard_normal(n) for n in shape] for _ in range(2)]
    targets = sum(outer(term) for term in vectors)
    targets = targets + 0.1 * rng.standard_normal(shape)
    observed = rng.random(shape) < seen
    observed.flat[0] = True
    return tensor(np.where(observed, targets, np.nan), decay, seed=seed)


def outer(vectors):
    """Their tensor product."""
    found = vectors[0]
    for vector in vectors[1:]:
        found = np.multiply.outer(found, vector)
    return found


def least_decay(product, decays, degrees):
    """The least Σ_k (w_k/2) n_k² with Π n_k^d_k = t, by a search over log n."""

    def decay(logs):
        last = (np.log(product) - np.dot(degrees[:-1], logs)) / degrees[-1]
        return float(np.dot(decays, np.exp(2 * np.append(logs, last))) / 2)

    options = {"xatol": 1e-12, "fatol": 1e-15, "maxiter": 10000}
    start = np.full(len(degrees) - 1, np.log(product) / sum(degrees))
    return minimize(decay, start, method="Nelder-Mead", options=options).fun


def least_of_one(target, decays, degrees):
    """min over s of (target − s)²/2 and the least weight decay of a subnetwork of product s."""
    top = abs(target)

    def cost(size):
        return least_decay(size, decays, degrees) + (top - size) ** 2 / 2

    grid = np.linspace(top / 200, top, 200)
    best = grid[np.argmin([cost(size) for size in grid])]
    near = (best - top / 200 if best > top / 200 else 1e-12, best + top / 200)
    found = minimize_scalar(cost, bounds=near, method="bounded", options={"xatol": 1e-10}).fun
    return min(found, top**2 / 2)


def objective_by_torch(problem, stack):
    """Half the sum of squared errors and weight decay, from the factors alone; not by certify's penalties."""
    branch, targets = problem.objective.branches[0], problem.objective.loss.targets
    charge = problem.decomposition.charge.rule
    loss = problem.objective.loss.weights * (branch.kind.forward(branch.view, stack) - targets) ** 2
    return loss.sum() + charge / 2 * sum((factor**2).sum() for factor in stack)


def least_of_restarts(problem, count, seed=0, width=4):
    """The least objective that L-BFGS finds from random weights of several sizes."""
    generator = torch.Generator().manual_seed(seed)
    sizes = [factor.shape[1] for factor in problem.network.stacks[0]]
    ends = np.cumsum([width * size for size in sizes])[:-1]

    def value_and_slope(flat):
        point = torch.from_numpy(flat).requires_grad_()
        parts = torch.tensor_split(point, torch.from_numpy(ends))
        stack = tuple(part.reshape(width, size) for part, size in zip(parts, sizes, strict=True))
        value = objective_by_torch(problem, stack)
        (slope,) = torch.autograd.grad(value, point)
        return float(value.detach()), slope.numpy()

    best = float((problem.objective.loss.weights * problem.objective.loss.targets**2).sum())
    for attempt in range(count):
        start = torch.randn(width * sum(sizes), generator=generator, dtype=torch.float64) * 2.0 ** (attempt % 5 - 2)
        found = minimize(value_and_slope, start.numpy(), jac=True, method="L-BFGS-B", options={"maxiter": 500})
        best = min(best, float(found.fun))
    return best


def checked(problem):
    """The outcome of a check, of the best network found where the given one is not."""
    outcome = run_check(problem, CheckOptions())
    return run_check(problem.with_network(outcome.best), CheckOptions())


def certificate(make: Callable[[], Problem]):
    """Header and arrays of a certificate of the best network found."""
    found = checked(make()).certificate
    assert found is not None
    return unpacked(found)
