"""Factorizations under any norms: optima in closed form are certified to 1e-8, and found again from beside."""

import itertools

import numpy as np
import pytest

from certify.workflows.grow import grow

from .factorizations import CONES, NORMS, VERTEX_PAIRS, rank_one_instance, vertex_instance

GAP = 1e-8
CASES = [("vertices", pair, cones) for pair in VERTEX_PAIRS for cones in CONES]
CASES += [("rank one", pair, cones) for pair in itertools.product(NORMS, repeat=2) for cones in CONES]
MAKERS = {"vertices": vertex_instance, "rank one": rank_one_instance}
CI_CASES = 20


def require_found(case, seed):
    """The optimum is certified, at itself and from beside it."""
    family, norms, cones = case
    rng = np.random.default_rng([47, seed])
    made = MAKERS[family](rng, norms, cones)
    optimal = grow(made.problem(made.first, made.second, GAP)).result
    assert optimal.verdict == "certified", (case, seed, optimal.message)
    assert optimal.lower_bound <= made.optimum * (1 + 1e-12)
    assert optimal.objective == pytest.approx(made.optimum, rel=1e-9)
    if not len(made.first):
        return
    beside = [factor + 1e-2 * rng.random(factor.shape) for factor in (made.first, made.second)]
    assert made.objective(*beside) > made.optimum * (1 + 1e-6)
    moved = grow(made.problem(*beside, 1e-6)).result
    assert moved.best_known <= made.optimum * (1 + 1e-6), (case, seed)
    assert moved.lower_bound <= made.optimum * (1 + 1e-12)


@pytest.mark.parametrize("index", range(CI_CASES))
def test_closed_forms_are_certified_and_found_again(index):
    require_found(CASES[index * len(CASES) // CI_CASES], index)


@pytest.mark.slow
@pytest.mark.parametrize("index", range(1000))
def test_many_closed_forms_are_certified_and_found_again(index):
    require_found(CASES[index % len(CASES)], index)
