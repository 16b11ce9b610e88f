"""Symmetries of ReLU problems with biases and several outputs: the verdict and the bounds stay, within tolerances.

Budgets are seconds: a verdict may become `undecided` on a slow machine, and never another one.
"""

from dataclasses import replace

import numpy as np
import pytest
import torch

from certify.workflows.check import check

from .enumerated import enumerated_instance
from .test_enumerated_optimum import BIASES, PLANTED_ERROR
from .two_layers import Weights

# The gap that is asked for, and so the most by which two bounds that reach it differ.
TOLERANCE = 1e-2
SECONDS = 2.0


def rotation(rng, d):
    return np.linalg.qr(rng.standard_normal((d, d)))[0]


def variants(rng, problem, weights):
    """The same problem, told otherwise: name, problem, weights."""
    n, d = problem.inputs.shape
    order, turn, mix = rng.permutation(n), rotation(rng, d), rotation(rng, problem.targets.shape[1])
    sample_weights = None if problem.sample_weights is None else problem.sample_weights[order]
    moved = replace(
        problem, inputs=problem.inputs[order], targets=problem.targets[order], sample_weights=sample_weights
    )
    neurons = np.arange(len(weights.first))[::-1]
    swapped = Weights(weights.first[neurons], weights.hidden[neurons], weights.second[neurons], weights.output)
    yield "samples", moved, weights
    yield "neurons", problem, swapped
    yield "inputs turned", replace(problem, inputs=problem.inputs @ turn), replace(weights, first=weights.first @ turn)
    yield "neurons split", problem, weights.repeated((0.3, 0.7))
    yield "dead neurons", problem, weights.repeated((1.0, 0.0))
    if problem.loss == "mse":
        turned = replace(weights, second=weights.second @ mix, output=weights.output @ mix)
        yield "outputs turned", replace(problem, targets=problem.targets @ mix), turned
    if problem.sample_weights is None and problem.reduction == "sum":
        halves = replace(
            problem,
            inputs=np.concatenate([problem.inputs] * 2),
            targets=np.concatenate([problem.targets] * 2),
            scale=problem.scale / 2,
        )
        yield "samples doubled", halves, weights


@pytest.mark.slow
@pytest.mark.parametrize(("hidden", "output"), BIASES)
def test_symmetries_keep_verdict_and_bounds(hidden, output):
    rng = np.random.default_rng([80, len(hidden), len(output)])
    for loss, outputs in (("mse", 2), ("huber", 1)):
        found = enumerated_instance(rng, loss, hidden, output, outputs)
        problem, weights = found.problem, found.weights
        for model in (weights, weights.scaled(2.0, 2.0)):
            reference = check(problem.problem(model, TOLERANCE, SECONDS))
            told = [(name, check(p.problem(w, TOLERANCE, SECONDS))) for name, p, w in variants(rng, problem, model)]
            told.append(("seed", check(problem.problem(model, TOLERANCE, SECONDS), seed=11)))
            torch.set_num_threads(2)
            told.append(("threads", check(problem.problem(model, TOLERANCE, SECONDS))))
            torch.set_num_threads(1)
            verdicts = {reference.verdict, *(result.verdict for _, result in told)}
            assert len(verdicts - {"undecided"}) == 1
            for name, result in told:
                assert result.objective == pytest.approx(reference.objective, rel=1e-10), name
                # Otherwise the bound was pursued for a while only.
                near = pytest.approx(reference.lower_bound, rel=2 * TOLERANCE, abs=1e-9)
                assert {result.verdict, reference.verdict} != {"certified"} or result.lower_bound == near, name
                assert result.lower_bound <= found.optimum + PLANTED_ERROR * (1 + abs(found.optimum)), name


def test_a_neuron_out_of_balance_is_the_same_function_at_a_larger_penalty():
    """Layers times 3 and 1/3: the bound on the optimum stays, and the excess is the penalty's."""
    rng = np.random.default_rng(81)
    found = enumerated_instance(rng, "mse", "absent", "absent", 2)
    result = check(found.problem.problem(found.weights.scaled(3.0, 1 / 3), TOLERANCE, SECONDS))
    squares = (found.weights.first**2).sum(), (found.weights.second**2).sum()
    excess = found.problem.strength / 2 * (squares[0] * 8 + squares[1] * (1 / 9 - 1))
    assert result.verdict == "improvable"
    assert result.objective - found.optimum == pytest.approx(excess, rel=1e-9)
    assert result.best_known == pytest.approx(found.optimum, rel=TOLERANCE)
