"""Release gate: ReLU networks of one and several outputs on general data, every bias policy and loss, optimum known.

The optimum is planted at a maximizer of the polar that enumeration of all faces finds (`enumerated`), or found by a
conic solver over all activation patterns (`cells`).
"""

import itertools
from collections import Counter

import numpy as np
import pytest

from certify.workflows.check import check

from .cells import LOSSES, SOLVER_ERROR, cells_instance, solved
from .enumerated import FREE_TARGETS, enumerated_instance, polar_by_faces
from .two_layers import Weights

PARTS, COUNT = 8, 125
CELL_PARTS, CELL_COUNT = 8, 60
POLICIES = ("absent", "penalized", "free")
BIASES = list(itertools.product(POLICIES, POLICIES))
SECONDS = 0.5
# Rounding of the planted optimum, in units of 1 + |optimum|.
PLANTED_ERROR = 1e-11

MODELS = {
    "optimal": lambda rng, w: w,
    "near miss": lambda rng, w: w.scaled(*[1 + 10 ** rng.uniform(-9, -3)] * 2),
    "perturbed": lambda rng, w: w.noisy(rng, 10 ** rng.uniform(-9, -1)),
    "unbalanced": lambda rng, w: w.scaled(*(lambda factor: (factor, 1 / factor))(1 + rng.uniform(0, 0.1))),
    "misscaled": lambda rng, w: w.scaled(10 ** rng.uniform(-1, 0.5), 1.0),
    "split": lambda rng, w: w.repeated((0.3, 0.7)),
    "doubled, with dead neurons": lambda rng, w: w.repeated((1.0, 1.0, 0.0)),
    "zero": lambda rng, w: w.scaled(0.0, 0.0),
    "untrained": lambda rng, w: Weights(
        *(10 ** rng.uniform(-2, 0.5) * rng.standard_normal(v.shape) for v in (w.first, w.hidden, w.second, w.output))
    ),
}


def judged(rng, problem, weights, optimum, slack, verdicts):
    """One model of a problem, checked against the optimum."""
    name = str(rng.choice(list(MODELS)))
    weights = MODELS[name](rng, weights)
    weights = Weights(
        weights.first,
        weights.hidden * (problem.hidden != "absent"),
        weights.second,
        weights.output * (problem.output != "absent"),
    )
    tolerance = float(10 ** rng.uniform(-5, -2))
    objective = problem.objective(weights)
    result = check(problem.problem(weights, tolerance, SECONDS))
    verdicts[result.verdict] += 1
    slack = slack * (1 + abs(optimum) + 1e-2 * abs(objective))
    assert result.objective == pytest.approx(objective, rel=1e-10, abs=slack)
    assert result.lower_bound <= optimum + slack, (name, problem)
    assert result.best_known >= optimum - slack, (name, problem)
    allowed = tolerance * abs(result.objective)
    assert result.verdict != "certified" or objective - optimum <= allowed + slack, (name, problem)
    assert result.verdict != "improvable" or objective - optimum > allowed - slack, (name, problem)


@pytest.mark.slow
@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("family", ["one output", "several outputs"])
def test_no_bound_exceeds_an_optimum_planted_by_enumeration(family, part):
    rng, verdicts = np.random.default_rng([60, family == "one output", part]), Counter()
    losses = [loss for loss in FREE_TARGETS if family == "several outputs" or loss != "cross-entropy"]
    for index in range(COUNT):
        outputs = 1 if family == "one output" else int(rng.integers(2, 5))
        hidden, output = BIASES[index % len(BIASES)]
        found = enumerated_instance(rng, losses[index % len(losses)], hidden, output, outputs)
        judged(rng, found.problem, found.weights, found.optimum, PLANTED_ERROR, verdicts)
    print(f"relu, {family}, planted, part {part}: {COUNT} models, {dict(verdicts)}, 0 false certificates")  # noqa: T201


@pytest.mark.slow
@pytest.mark.parametrize("part", range(CELL_PARTS))
def test_no_bound_exceeds_the_optimum_over_all_activation_patterns(part):
    rng, verdicts = np.random.default_rng([61, part]), Counter()
    for index in range(CELL_COUNT):
        hidden, output = BIASES[index % len(BIASES)]
        problem = cells_instance(rng, LOSSES[index % len(LOSSES)], hidden, output)
        optimum, weights = solved(problem)
        judged(rng, problem, weights, optimum, SOLVER_ERROR, verdicts)
    print(f"relu, all patterns, part {part}: {CELL_COUNT} models, {dict(verdicts)}, 0 false certificates")  # noqa: T201


@pytest.mark.parametrize("loss", FREE_TARGETS)
def test_most_planted_optima_of_two_outputs_are_certified(loss):
    """The bounds reach the planted optimum, which shows that it is one; a bound that is merely small would not."""
    rng, verdicts = np.random.default_rng([62, len(loss)]), Counter()
    for hidden, output in BIASES:
        found = enumerated_instance(rng, loss, hidden, output, 2)
        result = check(found.problem.problem(found.weights, 1e-3, SECONDS))
        verdicts[result.verdict] += 1
        assert result.lower_bound <= found.optimum + PLANTED_ERROR * (1 + abs(found.optimum))
        assert result.verdict != "improvable"
    assert verdicts["certified"] >= 0.7 * len(BIASES)


def test_the_two_ways_to_an_optimum_agree():
    rng = np.random.default_rng(63)
    for hidden, output in BIASES:
        found = enumerated_instance(rng, "mse", hidden, output, 1)
        assert solved(found.problem)[0] == pytest.approx(found.optimum, abs=SOLVER_ERROR * (1 + found.optimum))


def test_faces_are_as_good_as_many_directions():
    rng = np.random.default_rng(64)
    for _ in range(20):
        n, d, c = (int(rng.integers(*ends)) for ends in ((2, 7), (1, 4), (1, 4)))
        inputs, scores = rng.standard_normal((n, d)), rng.standard_normal((n, c))
        value, direction = polar_by_faces(inputs, scores)
        sampled = rng.standard_normal((20_000, d))
        sampled /= np.linalg.norm(sampled, axis=1, keepdims=True)
        values = np.linalg.norm(np.maximum(sampled @ inputs.T, 0) @ scores, axis=1)
        attained = np.linalg.norm(np.maximum(inputs @ direction, 0) @ scores)
        assert values.max() <= value * (1 + 1e-12)
        assert attained == pytest.approx(value, rel=1e-10)
