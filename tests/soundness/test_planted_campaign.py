"""Release gate: 1,000 planted problems per family, at models that are optimal, nearly so, or wrong in a known way."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from certify.workflows.check import check

from .planted import INSTANCES

PARTS, COUNT = 8, 125
# Relative rounding of the closed form itself.
CLOSED_FORM_ERROR = 1e-12


def near_miss(rng, planted):
    """Both layers too large by 1e-9 … 1e-3: not scale-stationary, polar at most 1."""
    bump = 1 + 10 ** rng.uniform(-9, -3)
    return planted.first * bump, planted.second * bump


def perturbed(rng, planted):
    """Noise of relative size 1e-9 … 1e-1 on every weight."""
    size = 10 ** rng.uniform(-9, -1)
    return (
        planted.first * (1 + size * rng.standard_normal(planted.first.shape)),
        planted.second * (1 + size * rng.standard_normal(planted.second.shape)),
    )


def misscaled(rng, planted):
    """The optimum times a constant: aligned neurons of wrong size."""
    factor = 10 ** rng.uniform(-1, 1)
    return planted.first * factor, planted.second


def unbalanced(rng, planted):
    """One neuron's layers out of balance by up to 1 %: the same function, a larger penalty under weight decay."""
    factor = 1 + rng.uniform(0, 1e-2)
    return planted.first * factor, planted.second / factor ** (2 if planted.family == "quadratic" else 1)


def duplicated(rng, planted):
    """Every neuron twice at full size, and dead neurons."""
    dead = np.zeros((2, planted.first.shape[1])), np.zeros((2, planted.second.shape[1]))
    return np.concatenate([planted.first] * 2 + [dead[0]]), np.concatenate([planted.second] * 2 + [dead[1]])


def missing(rng, planted):
    """The optimum without its last neuron."""
    keep = max(1, len(planted.first) - 1)
    first = planted.first[:keep] * (len(planted.first) > 1)
    return first, planted.second[:keep] * (len(planted.first) > 1)


def untrained(rng, planted):
    """Random weights."""
    width, scale = int(rng.integers(1, 6)), 10 ** rng.uniform(-2, 0.5)
    shapes = (width, planted.first.shape[1]), (width, planted.second.shape[1])
    return scale * rng.standard_normal(shapes[0]), scale * rng.standard_normal(shapes[1])


MODELS = (near_miss, perturbed, misscaled, unbalanced, duplicated, missing, untrained)


@pytest.mark.slow
@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("family", INSTANCES)
def test_no_bound_exceeds_a_planted_optimum(family, part):
    rng = np.random.default_rng([23, part])
    verdicts = Counter()
    for index in range(COUNT):
        planted = INSTANCES[family](rng)
        model = MODELS[index % len(MODELS)]
        tolerance = float(10 ** rng.uniform(-9, -2))
        problem = planted.problem(*model(rng, planted), seconds=2.0)
        problem = replace(problem, tolerance=replace(problem.tolerance, relative_gap=tolerance))
        result = check(problem)
        slack = CLOSED_FORM_ERROR * planted.optimum
        verdicts[result.verdict] += 1
        assert result.lower_bound <= planted.optimum + slack
        assert result.best_known >= planted.optimum - slack
        truth = problem.objective.evaluate(problem.network).objective - planted.optimum
        assert result.gap >= truth - slack
        assert result.verdict != "certified" or truth <= tolerance * result.objective + slack, model.__name__
        assert result.verdict != "improvable" or truth > tolerance * result.objective * (1 - 1e-12) - slack
    print(f"{family}, part {part}: {COUNT} models, {dict(verdicts)}, 0 false certificates")  # noqa: T201
