"""On problems that one-dimensional searches solve, no bound of any loss exceeds the optimum."""

import numpy as np
import pytest

from certify.workflows.check import check

from .lines import LOSSES, line_instance

# Share of the magnitudes that the search for the optimum may lose to rounding.
SEARCH_ERROR = 1e-11
COUNT = 15


@pytest.mark.slow
@pytest.mark.parametrize("part", range(12))
@pytest.mark.parametrize("family", ["linear", "relu", "quadratic"])
def test_no_bound_exceeds_the_optimum_of_any_loss(family, part):
    rng = np.random.default_rng([30, part])
    verdicts = {"certified": 0, "improvable": 0, "undecided": 0}
    for index in range(COUNT):
        line = line_instance(rng, family, LOSSES[index % len(LOSSES)])
        bump = 1 + rng.choice([0.0, 1e-9, 1e-7, 1e-5, 1e-3, 0.1, 1.0])
        result = check(line.problem(line.first * bump, line.second * bump))
        slack = SEARCH_ERROR * (1 + abs(line.optimum))
        verdicts[result.verdict] += 1
        assert result.lower_bound <= line.optimum + slack, line
        assert result.best_known >= line.optimum - slack, line
        assert result.verdict != "certified" or result.objective - line.optimum <= 1e-3 * abs(result.objective) + slack
    print(f"{family}, all losses, part {part}: {COUNT} models, {verdicts}, 0 false certificates")  # noqa: T201
