"""Release gate: one input and free biases, where the optimum over all widths is a group lasso that cvxpy solves."""

from collections import Counter

import cvxpy as cp
import numpy as np
import pytest
import torch

from certify.models.loading import Problem
from certify.workflows.check import check

from .pairs import pair_instance, pair_optimum

PARTS, COUNT = 10, 110
# What the other solver's network may be above the optimum, relative; its value is evaluated, so never below.
SOLVER_ERROR = 1e-4


def instance(rng):
    n, c = int(rng.integers(1, 9)), int(rng.integers(1, 3))
    x = rng.standard_normal(n) * 10 ** rng.uniform(-1, 1)
    if rng.random() < 0.3:
        x = np.round(x)  # ties
    return x, rng.standard_normal((n, c)) * 10 ** rng.uniform(-0.5, 0.5), float(10 ** rng.uniform(-2, 0.3))


def group_lasso(x, y, decay):
    """Neurons that turn at samples, with their output weights (2n, c), and the output bias, by Clarabel."""
    features = np.concatenate([np.maximum(sign * (x[:, None] - x), 0) for sign in (1, -1)], 1)
    coefficients, bias = cp.Variable((features.shape[1], y.shape[1])), cp.Variable((1, y.shape[1]))
    misfit = cp.sum_squares(features @ coefficients + np.ones((len(x), 1)) @ bias - y) / 2
    cp.Problem(cp.Minimize(misfit + decay * cp.sum(cp.norm(coefficients, axis=1)))).solve(solver=cp.CLARABEL)
    return features, coefficients.value, bias.value


def attained(features, coefficients, bias, y, decay):
    return ((features @ coefficients + bias - y) ** 2).sum() / 2 + decay * np.linalg.norm(coefficients, axis=1).sum()


def problem_at(x, y, decay, coefficients, bias):
    """The balanced network of the coefficients, as a certify problem."""
    roots = np.sqrt(np.linalg.norm(coefficients, axis=1))
    signs = np.repeat([1.0, -1.0], len(x))
    model = torch.nn.Sequential(
        torch.nn.Linear(1, len(roots)), torch.nn.ReLU(), torch.nn.Linear(len(roots), y.shape[1])
    ).double()
    with torch.no_grad():
        model[0].weight.copy_(torch.from_numpy(roots * signs)[:, None])
        model[0].bias.copy_(torch.from_numpy(-roots * signs * np.tile(x, 2)))
        model[2].weight.copy_(torch.from_numpy(coefficients / np.maximum(roots, 1e-300)[:, None]).T)
        model[2].bias.copy_(torch.from_numpy(bias[0]))
    free = {"hidden": "free", "output": "free"}
    settings = {"reduction": "sum", "scale": 0.5, "biases": free, "budget_seconds": 2.0}
    return Problem.from_torch(model, x[:, None], y, weight_decay=decay, **settings)


@pytest.mark.slow
@pytest.mark.parametrize("part", range(PARTS))
def test_no_bound_exceeds_the_group_lasso(part):
    rng = np.random.default_rng([60, part])
    verdicts = Counter()
    for _ in range(COUNT):
        x, y, decay = instance(rng)
        features, coefficients, bias = group_lasso(x, y, decay)
        optimum = attained(features, coefficients, bias, y, decay)
        bump = 1 + rng.choice([0.0, 1e-9, 1e-6, 1e-3, 0.03, 0.1, 1.0])
        result = check(problem_at(x, y, decay, coefficients * bump, bias))
        size = 1e-12 * float((y**2).sum())
        verdicts[result.verdict] += 1
        assert result.lower_bound <= optimum + size
        assert result.best_known >= result.lower_bound
        truth = result.objective - optimum
        assert result.verdict != "certified" or truth <= 1e-3 * result.objective + size
        assert result.verdict != "improvable" or truth >= (1e-3 - SOLVER_ERROR) * result.objective - size
        assert result.lower_bound >= optimum * (1 - SOLVER_ERROR) - 1e-3 * result.objective - size
    print(f"one input, free biases, part {part}: {COUNT} models, {dict(verdicts)}, 0 false certificates")  # noqa: T201


def test_two_samples_are_certified_at_their_closed_form_optimum():
    rng = np.random.default_rng(61)
    for _ in range(40):
        pair = pair_instance(rng)
        result = check(pair.problem(pair.first, pair.second))
        optimum = pair_optimum(pair.inputs, pair.targets, pair.strength)
        assert result.objective == pytest.approx(optimum, rel=1e-9)
        assert result.lower_bound <= optimum * (1 + 1e-12)
        assert result.verdict == "certified"
