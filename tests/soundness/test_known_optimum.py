"""Release gate: on problems with a known optimum, no bound exceeds it and no untrained model is certified."""

import numpy as np
import pytest

from certify.workflows.check import check
from tests.soundness.planted import INSTANCES

COUNT = 350
# Relative rounding of the closed form itself.
CLOSED_FORM_ERROR = 1e-12


@pytest.mark.slow
@pytest.mark.parametrize("family", INSTANCES)
def test_no_bound_exceeds_the_known_optimum_and_no_untrained_model_is_certified(family):
    rng = np.random.default_rng(20)
    counts = {"certified": 0, "improvable": 0, "undecided": 0}
    for _ in range(COUNT):
        planted = INSTANCES[family](rng)
        width = int(rng.integers(1, 6))
        d, c = planted.inputs.shape[1], planted.targets.shape[1]
        scale = 10 ** rng.uniform(-2, 0.5)
        problem = planted.problem(
            scale * rng.standard_normal((width, d)), scale * rng.standard_normal((width, c)), seconds=2.0
        )
        result = check(problem)
        slack = CLOSED_FORM_ERROR * planted.optimum
        counts[result.verdict] += 1
        assert result.lower_bound <= planted.optimum + slack
        assert result.best_known >= planted.optimum - slack
        truly_within = result.objective - planted.optimum <= 1e-3 * result.objective + slack
        assert result.verdict != "certified" or truly_within
        assert result.verdict != "improvable" or result.objective - planted.optimum > 1e-3 * result.objective - slack
    print(f"{family}: {COUNT} untrained models, {counts}, 0 false certificates")  # noqa: T201
    assert counts["improvable"] > 0.9 * COUNT


@pytest.mark.parametrize("family", INSTANCES)
def test_planted_optima_are_certified(family):
    rng = np.random.default_rng(21)
    for _ in range(40):
        planted = INSTANCES[family](rng)
        result = check(planted.problem(planted.first, planted.second))
        assert result.objective == pytest.approx(planted.optimum, rel=1e-9)
        assert result.lower_bound <= planted.optimum * (1 + CLOSED_FORM_ERROR)
        assert result.verdict == "certified"


@pytest.mark.parametrize("family", INSTANCES)
@pytest.mark.parametrize("excess", [1e-3, 1e-5, 1e-7, 1e-9])
def test_near_misses_are_never_certified_below_their_excess(family, excess):
    rng = np.random.default_rng(22)
    for _ in range(10):
        planted = INSTANCES[family](rng)
        bump = 1 + np.sqrt(excess)
        problem = planted.problem(planted.first * bump, planted.second * bump, seconds=2.0)
        true_gap = problem.objective.evaluate(problem.network).objective - planted.optimum
        result = check(problem)
        assert result.lower_bound <= planted.optimum * (1 + CLOSED_FORM_ERROR)
        assert result.gap >= true_gap - CLOSED_FORM_ERROR * planted.optimum
