"""Factorizations under any norms: optima in closed form are certified to 1e-8, and found again from beside.

With X = I the same problems are factorizations of matrices all of whose entries are observed.
"""

import itertools

import numpy as np
import pytest

from certify.workflows.check import check
from certify.workflows.grow import grow

from .factored import Factored, full_places
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


PERTURBATION = 1e-4


def noisy(rng, first, second):
    """Noise on every weight that is not zero."""
    return [factor * (1 + PERTURBATION * rng.uniform(0.5, 1, factor.shape)) for factor in (first, second)]


def without_last(_, first, second):
    """One subnetwork less."""
    return first[:-1], second[:-1]


# How an optimum is spoiled, and which reasons may be given for it: with a norm l1 the subnetworks that are left may
# grow entries in place of the one that is missing.
SPOILED = {
    (noisy, "vertices"): {"not-stationary"},
    (noisy, "rank one"): {"not-stationary"},
    (without_last, "vertices"): {"missing-subnetwork", "not-stationary"},
    (without_last, "rank one"): {"missing-subnetwork"},
}


def spoiled(case, rng, spoil):
    """An instance with weights beside its optimum that cost more by far than a tolerance of 1e-11."""
    family, norms, cones = case
    while True:
        made = MAKERS[family](rng, norms, cones)
        beside = spoil(rng, made.first, made.second)
        if made.objective(*beside) > made.optimum * (1 + 1e-9):
            return made, beside


@pytest.mark.parametrize("spoil", [noisy, without_last])
@pytest.mark.parametrize("index", range(CI_CASES))
def test_perturbed_optima_are_improvable_for_the_right_reason(index, spoil):
    case = CASES[index * len(CASES) // CI_CASES]
    made, beside = spoiled(case, np.random.default_rng([49, index]), spoil)
    result = check(made.problem(*beside, 1e-11))
    assert result.verdict == "improvable"
    assert result.reason in SPOILED[spoil, case[0]]
    assert made.optimum * (1 - 1e-12) <= result.best_known < result.objective


def as_entries(made):
    """The same problem on entries: X is orthogonal, so that the loss is half of |W − XᵀY|²."""
    target = made.inputs.T @ made.targets
    mixed = {"l1": 0.3, "l2": 0.7}
    left, right = (mixed if name == "mixture" else name for name in made.norms)
    penalty = {"strength": made.strength, "left": left, "right": right, "nonnegative": list(made.cones)}
    settings = {"scale": 0.5}
    places = full_places(target.shape)
    return Factored(target.shape, places, target.ravel(), {"factor_norms": penalty}, settings=settings)


def require_found_on_entries(case, seed):
    """The optimum is certified, and improvable beside it."""
    made, (first, second) = spoiled(case, np.random.default_rng([50, seed]), noisy)
    problem = as_entries(made)
    optimal = check(problem.problem({"left": made.first.T, "right": made.second.T}, GAP, 20.0))
    assert optimal.verdict == "certified", (case, seed, optimal.message)
    assert optimal.objective == pytest.approx(made.optimum, rel=1e-9)
    assert optimal.lower_bound <= made.optimum * (1 + 1e-12)
    moved = check(problem.problem({"left": first.T, "right": second.T}, 1e-11, 20.0))
    assert (moved.verdict, moved.reason) == ("improvable", "not-stationary"), (case, seed)


@pytest.mark.parametrize("index", range(CI_CASES))
def test_closed_forms_are_certified_on_entries(index):
    require_found_on_entries(CASES[index * len(CASES) // CI_CASES], index)


@pytest.mark.slow
@pytest.mark.parametrize("index", range(300))
def test_many_closed_forms_are_certified_on_entries(index):
    require_found_on_entries(CASES[index % len(CASES)], index)
