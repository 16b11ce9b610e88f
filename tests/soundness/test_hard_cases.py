"""Cases in which certifying tools have erred: thin cells, wrong reductions, bad scales, free biases, symmetries."""

import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from certify.models.loading import Problem
from certify.workflows.check import check

from .planted import INSTANCES

CLOSED_FORM_ERROR = 1e-12


def relu_problem(inputs, targets, first, second, decay, *, loss_mean=False, biases=None, tolerance=1e-6, b=None):
    """One output, ReLU; ½|Z − Y|² or its mean."""
    hidden = torch.nn.Linear(inputs.shape[1], len(first), bias=b is not None, dtype=torch.float64)
    last = torch.nn.Linear(len(first), 1, bias=b is not None, dtype=torch.float64)
    with torch.no_grad():
        hidden.weight.copy_(torch.from_numpy(first))
        last.weight.copy_(torch.from_numpy(second.T))
        if b is not None:
            hidden.bias.copy_(torch.from_numpy(b[0]))
            last.bias.copy_(torch.tensor([b[1]], dtype=torch.float64))
    problem = Problem.from_torch(
        torch.nn.Sequential(hidden, torch.nn.ReLU(), last),
        inputs,
        targets,
        loss="mse",
        reduction="mean" if loss_mean else "sum",
        scale=0.5,
        weight_decay=decay,
        budget_seconds=2.0,
        **({"biases": biases} if biases else {}),
    )
    return replace(problem, tolerance=replace(problem.tolerance, relative_gap=tolerance))


@pytest.mark.parametrize("angle", [1e-1, 1e-2, 1e-3, 1e-4, 1e-5])
def test_a_violator_in_one_thin_cell_is_not_overlooked(angle):
    """Rows at θ − ε, θ, θ + ε with residuals (1, −2, 1)/ε: Σ q relu is near 1 in a cone of angle ε, and ε elsewhere."""
    rng = np.random.default_rng(50)
    for _ in range(3):
        theta = rng.uniform(0, 2 * np.pi)
        angles = theta + angle * np.array([-1.0, 0.0, 1.0])
        inputs = np.stack([np.cos(angles), np.sin(angles)], 1)
        targets = np.array([[1.0], [-2.0], [1.0]]) / angle
        peak = np.array([[np.cos(theta + np.pi / 2), np.sin(theta + np.pi / 2)]])
        activation = np.maximum(inputs @ peak[0], 0)
        gain = float(activation @ targets[:, 0])
        decay = 0.9 * gain
        size = (gain - decay) / float(activation @ activation)
        at_zero = float((targets**2).sum() / 2)
        ceiling = float(((size * activation - targets[:, 0]) ** 2).sum() / 2 + decay * size)
        assert ceiling < at_zero
        share = (at_zero - ceiling) / at_zero
        result = check(relu_problem(inputs, targets, 0 * peak, np.zeros((1, 1)), decay, tolerance=share / 2))
        assert result.lower_bound <= ceiling * (1 + CLOSED_FORM_ERROR)
        assert result.verdict != "certified"


@pytest.mark.parametrize("factor", ["n", "1/n", "2", "1/2"])
@pytest.mark.parametrize("family", INSTANCES)
def test_optima_of_another_reduction_are_judged_by_their_true_gap(family, factor):
    rng = np.random.default_rng(51)
    for _ in range(8):
        planted = INSTANCES[family](rng)
        n = len(planted.targets)
        strength = planted.strength * {"n": n, "1/n": 1 / n, "2": 2.0, "1/2": 0.5}[factor]
        y = planted.targets
        sizes = {
            "linear": lambda y=y: np.linalg.svd(y, compute_uv=False),
            "relu": lambda y=y: np.array([np.linalg.norm(np.maximum(y, 0)), np.linalg.norm(np.maximum(-y, 0))]),
            "quadratic": lambda y=y: np.abs(y[:, 0]),
        }[family]()
        kept = np.maximum(sizes - strength, 0)
        optimum = float((np.minimum(sizes, strength) ** 2).sum() / 2 + strength * kept.sum())
        other = replace(planted, strength=strength, optimum=optimum)
        result = check(other.problem(planted.first, planted.second, seconds=2.0))
        assert result.lower_bound <= optimum * (1 + CLOSED_FORM_ERROR)
        truth = result.objective - optimum
        assert result.verdict != "certified" or truth <= 1e-3 * result.objective * (1 + 1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("strength", [1e-12, 1e-6, 1e6])
@pytest.mark.parametrize("scaling", ["none", "columns", "rows", "duplicated", "rank"])
def test_bounds_stay_below_known_networks_on_badly_scaled_data(strength, scaling):
    rng = np.random.default_rng(52)
    for _ in range(1):
        inputs, targets = rng.standard_normal((6, 3)), rng.standard_normal((6, 1))
        match scaling:
            case "columns":
                inputs = inputs * [1e-8, 1.0, 1e8]
            case "rows":
                inputs = inputs * np.logspace(-8, 8, 6)[:, None]
            case "duplicated":
                inputs, targets = np.concatenate([inputs] * 2), np.concatenate([targets] * 2)
            case "rank":
                inputs = inputs[:, :1] @ rng.standard_normal((1, 3))
        first, second = rng.standard_normal((3, 3)), rng.standard_normal((3, 1))
        problem = relu_problem(inputs, targets, first, second, strength)
        result = check(problem)
        ceiling = float((targets**2).sum() / 2)
        hidden = np.maximum(inputs @ first.T, 0)
        for column in hidden.T:
            squares = float(column @ column)
            for sign in (-1.0, 1.0):
                gain = sign * float(column @ targets[:, 0])
                size = max(gain / squares, 0.0) if squares > 0 else 0.0
                norm = float(np.linalg.norm(first[np.flatnonzero((column == hidden.T).all(1))[0]]))
                value = ((size * sign * column - targets[:, 0]) ** 2).sum() / 2 + strength * size * norm
                ceiling = min(ceiling, float(value))
        assert result.lower_bound <= ceiling * (1 + 1e-10)
        assert result.verdict != "certified" or result.objective <= ceiling * (1 + 2e-6)


def test_free_biases_agree_with_brute_force_on_a_line():
    """Free biases, d = 1: neurons ±(x − x_i)₊ and a constant suffice; coordinate descent bounds the optimum above."""
    rng = np.random.default_rng(53)
    for _ in range(6):
        n = int(rng.integers(3, 7))
        x, y, decay = rng.standard_normal(n), rng.standard_normal(n), float(rng.uniform(0.05, 0.5))
        atoms = np.concatenate([np.maximum(s * (x[:, None] - x[None]), 0) for s in (1.0, -1.0)], 1)
        centered, goal = atoms - atoms.mean(0), y - y.mean()
        a = np.zeros(2 * n)
        for _ in range(4000):
            for k, column in enumerate(centered.T):
                square = column @ column
                if square > 1e-14:
                    fit = column @ (goal - centered @ a) + square * a[k]
                    a[k] = np.sign(fit) * max(abs(fit) - decay, 0) / square
        ceiling = ((goal - centered @ a) ** 2).sum() / 2 + decay * np.abs(a).sum()
        signs = np.repeat([1.0, -1.0], n)
        root = np.sqrt(np.abs(a))
        first, second = (root * signs)[:, None], (root * np.sign(a))[:, None]
        b = (-root * signs * np.tile(x, 2), float((y - atoms @ a).mean()))
        biases = {"hidden": "free", "output": "free"}
        result = check(relu_problem(x[:, None], y[:, None], first, second, decay, biases=biases, b=b, tolerance=1e-3))
        assert result.objective == pytest.approx(ceiling, rel=1e-8)
        assert result.lower_bound <= ceiling * (1 + 1e-10)
        assert result.verdict == "certified"


def split(first, second, power):
    """Every neuron in two of the same direction, with 30 % and 70 % of its output."""
    parts = [(share ** (1 / (power + 1))) for share in (0.3, 0.7)]
    return np.concatenate([p * first for p in parts]), np.concatenate([p * second for p in parts])


@pytest.mark.parametrize("family", INSTANCES)
def test_symmetries_keep_verdict_and_bounds(family):
    rng = np.random.default_rng(54)
    for _ in range(5):
        planted = INSTANCES[family](rng)
        power = 2 if family == "quadratic" else 1
        n, d = planted.inputs.shape
        reference = check(planted.problem(planted.first, planted.second))
        order, turn = rng.permutation(n), np.linalg.qr(rng.standard_normal((d, d)))[0]
        neurons = rng.permutation(len(planted.first))
        moved = replace(planted, inputs=planted.inputs[order], targets=planted.targets[order])
        turned = replace(planted, inputs=planted.inputs @ turn)
        variants = [
            moved.problem(planted.first, planted.second),
            planted.problem(planted.first[neurons], planted.second[neurons]),
            turned.problem(planted.first @ turn, planted.second),
            planted.problem(*split(planted.first, planted.second, power)),
        ]
        results = [check(problem) for problem in variants]
        results.append(check(planted.problem(planted.first, planted.second), seed=7))
        threads = torch.get_num_threads()
        torch.set_num_threads(2)
        results.append(check(planted.problem(planted.first, planted.second)))
        torch.set_num_threads(threads)
        factor = 1.5
        rescaled = check(planted.problem(planted.first * factor, planted.second / factor**power))
        assert rescaled.lower_bound <= planted.optimum * (1 + CLOSED_FORM_ERROR)
        if family == "quadratic":
            results.append(rescaled)
        for result in results:
            assert result.verdict == reference.verdict == "certified"
            assert result.objective == pytest.approx(reference.objective, rel=1e-10)
            assert result.lower_bound == pytest.approx(reference.lower_bound, rel=1e-3)
            assert result.lower_bound <= planted.optimum * (1 + CLOSED_FORM_ERROR)


ROOT = Path(__file__).parents[2]


def test_no_assert_guards_soundness():
    found = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in (ROOT / "certify").rglob("*.py")
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if re.match(r"\s*assert\b", line)
    ]
    assert found == []


def test_verdicts_are_the_same_without_assertions():
    code = """
import sys, numpy as np
from certify.workflows.check import check
from tests.soundness.planted import INSTANCES
if __debug__: sys.exit("assertions are on")
for family, make in INSTANCES.items():
    planted = make(np.random.default_rng(55))
    print(check(planted.problem(planted.first, planted.second)).verdict)
    print(check(planted.problem(planted.first * 2, planted.second * 2)).verdict == "certified")
"""
    run = subprocess.run([sys.executable, "-O", "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stderr
    assert run.stdout.split() == ["certified", "False"] * 3
