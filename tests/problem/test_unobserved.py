"""Unobserved entries: objective, slopes and dual values are those of the whole matrix, made dense."""

import numpy as np
import pytest
import torch

from certify.certificates.margins import objective_upper
from certify.problem import Entries
from certify.problem.dual import dual_value, feasible_dual
from certify.problem.unobserved import anchored

from ..soundness.factored import scattered


def made(seed, share=0.5, width=2, **settings):
    """Problem at random tables, with whole matrices of weights and targets."""
    rng = np.random.default_rng([110, seed])
    settings.setdefault("settings", {"unobserved": 0.4, "scale": 0.5})
    given = scattered(rng, (int(rng.integers(2, 9)), int(rng.integers(2, 9))), share, **settings)
    scale = given.settings["scale"]
    weights, targets = np.full(given.shape, scale * given.settings["unobserved"]), np.zeros(given.shape)
    places = tuple(given.places.T)
    weights[places] = scale * (1.0 if given.weights is None else given.weights)
    targets[places] = given.values
    return rng, given.problem(given.random_tables(rng, width, 0.7)), weights, targets


def whole(network):
    left, right = (factor.numpy() for factor in network.stacks[0])
    return left.T @ right


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("given", [{}, {"weights": np.array([0, 0.1, 3])}])
def test_the_objective_is_that_of_the_dense_matrix(seed, given):
    _, problem, weights, targets = made(seed, **given)
    found = problem.objective.evaluate(problem.network)
    squares = sum(float((factor**2).sum()) for factor in problem.network.stacks[0])
    expected = (weights * (whole(problem.network) - targets) ** 2).sum() + 0.15 * squares
    assert found.objective == pytest.approx(expected, rel=1e-12)
    top = objective_upper(problem.objective, problem.network, found)
    assert expected * (1 - 1e-15) <= top <= expected * (1 + 1e-9)


@pytest.mark.parametrize("seed", range(6))
def test_the_anchored_objective_is_the_same_at_its_anchor_and_lower_elsewhere(seed):
    rng, problem, _, _ = made(seed)
    own = anchored(problem.objective, problem.network)
    value = problem.objective.evaluate(problem.network).objective
    assert own.evaluate(problem.network).objective == pytest.approx(value, rel=1e-12)
    for _ in range(20):
        stack = tuple(torch.from_numpy(rng.standard_normal((3, n))) for n in problem.objective.branches[0].view.shape)
        other = type(problem.network)((stack,), problem.network.coefficients)
        assert own.evaluate(other).objective <= problem.objective.evaluate(other).objective * (1 + 1e-12)


@pytest.mark.parametrize("seed", range(6))
def test_pairings_and_dual_values_are_those_of_a_dense_dual_point(seed):
    rng, problem, weights, targets = made(seed)
    own = anchored(problem.objective, problem.network)
    dual = feasible_dual(own, own.evaluate(problem.network).gradient)
    branch = own.branches[0]
    assert isinstance(branch.view, Entries)
    dense = 2 * weights * (whole(problem.network) - targets)
    stack = tuple(torch.from_numpy(rng.standard_normal((4, extent))) for extent in branch.view.shape)
    expected = [-(dense * np.outer(u, v)).sum() for u, v in zip(stack[0].numpy(), stack[1].numpy(), strict=True)]
    np.testing.assert_allclose(branch.pairing(dual, stack), expected, rtol=1e-7)
    for scale in (0.0, 0.3, 1.0, 1.7):
        point = scale * dense
        value = -(point**2 / (4 * weights) + point * targets).sum()
        assert dual_value(own, scale * dual) == pytest.approx(value, rel=1e-7, abs=1e-9)


def test_nothing_is_anchored_where_every_entry_is_a_sample_or_the_matrix_is_zero():
    for share, width in ((1.0, 2), (0.5, 0)):
        _, problem, _, _ = made(0, share, width)
        own = anchored(problem.objective, problem.network)
        assert own.samples == problem.objective.samples
        assert not own.unobserved


def test_without_unobserved_entries_the_objective_stays_as_it_is():
    _, problem, _, _ = made(1)
    plain = anchored(problem.objective, problem.network)
    assert anchored(plain, problem.network) is plain
