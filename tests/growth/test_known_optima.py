"""Growth from width zero ends at the global optimum, and its lower bound says so.

Optima come from closed forms (`soundness/planted.py`) and from another solver on the convex program over all activation
patterns (`soundness/cells.py`). Both the objective and the bound must be within 1e-6 of them.
"""

from dataclasses import replace

import numpy as np
import pytest
import torch

from certify.certificates.margins import dual_value_lower
from certify.models.source import Tolerance
from certify.workflows.grow import GrowthState, grow_network
from tests.soundness.cells import solved
from tests.soundness.planted import planted_linear, planted_quadratic, planted_relu
from tests.soundness.two_layers import TwoLayers, Weights

PRECISION = 1e-6
# Growth aims below the precision, so that the solver that gives the reference has room for its own error.
AIM = 5e-7
# The reference solver's own error, relative to the optimum.
SOLVER_ERROR = 5e-7
SECONDS = 60.0


def grown(problem):
    """The end of a growth from width zero."""
    problem = replace(problem, tolerance=Tolerance(AIM, 0.0), budget_seconds=SECONDS)
    return grow_network(problem, GrowthState(problem.objective.empty_network(), (), 0), lambda state: None)


def assert_optimal(problem, growth, optimum, error=1e-12):
    """The objective attains the optimum, and the bound proves it without passing it."""
    objective = problem.objective.evaluate(growth.network).objective
    lower = dual_value_lower(problem.objective, growth.bound.point)
    for branch, polar in zip(problem.objective.branches, growth.bound.polars, strict=True):
        assert polar.upper * growth.bound.point.scale <= branch.strength * (1 + 1e-12)
    assert optimum * (1 - error) <= objective <= optimum * (1 + PRECISION)
    assert objective - PRECISION * abs(objective) <= lower <= optimum * (1 + error)


PLANTED = [
    *(pytest.param(planted_linear, shape, id=f"soft-thresholded-svd-{shape}") for shape in [(8, 5), (30, 20)]),
    *(pytest.param(planted_relu, (n, n), id=f"whitened-relu-{n}") for n in (8, 20)),
    pytest.param(planted_relu, (60, 60), id="whitened-relu-60"),
    pytest.param(planted_relu, (12, 20), id="orthonormal-rows-relu"),
    *(pytest.param(planted_quadratic, (n,), id=f"quadratic-{n}") for n in (6, 20)),
]


@pytest.mark.parametrize(("planted", "shape"), PLANTED)
def test_growth_proves_the_closed_form_optimum(planted, shape):
    instance = planted(np.random.default_rng(0), *shape)
    problem = instance.problem(instance.first, instance.second)
    assert_optimal(problem, grown(problem), instance.optimum)


def test_a_whitened_problem_needs_one_subnetwork_for_each_sign():
    instance = planted_relu(np.random.default_rng(1), 20, 20)
    problem = instance.problem(instance.first, instance.second)
    assert grown(problem).network.width == len(instance.first)


def regression(dimension, samples, hidden, output, seed=0):
    """Noisy values of a smooth function at scattered points; half mean squared error."""
    rng = np.random.default_rng(seed)
    inputs = rng.uniform(-2, 2, (samples, dimension))
    targets = np.sin(2 * inputs).sum(1, keepdims=True) + 0.3 * rng.standard_normal((samples, 1)) + 0.5
    return TwoLayers(inputs, targets, "mse", "mean", 0.5, 0.05, hidden, output)


def blank_problem(regression):
    """The certify problem; the network of width one is only where shapes come from."""
    d = regression.inputs.shape[1]
    return regression.problem(Weights(np.zeros((1, d)), np.zeros(1), np.zeros((1, 1)), np.zeros(1)))


REGRESSIONS = [
    *(
        pytest.param(1, 40, hidden, output, id=f"line-{hidden}-{output}")
        for hidden, output in [("penalized", "absent"), ("penalized", "free"), ("free", "free"), ("free", "penalized")]
    ),
    *(
        pytest.param(2, 12, hidden, output, id=f"plane-{hidden}-{output}")
        for hidden, output in [("absent", "absent"), ("penalized", "penalized"), ("free", "free")]
    ),
    *(
        pytest.param(2, 40, hidden, output, id=f"plane-40-{hidden}-{output}", marks=pytest.mark.slow)
        for hidden, output in [("absent", "penalized"), ("penalized", "absent"), ("free", "absent")]
    ),
]


@pytest.mark.parametrize(("dimension", "samples", "hidden", "output"), REGRESSIONS)
def test_growth_agrees_with_another_solver_on_all_activation_patterns(dimension, samples, hidden, output):
    chosen = regression(dimension, samples, hidden, output)
    reference, _ = solved(chosen)
    problem = blank_problem(chosen)
    assert_optimal(problem, grown(problem), reference, SOLVER_ERROR)


def test_growth_from_a_poor_network_ends_at_the_same_optimum():
    chosen = regression(1, 40, "penalized", "free")
    reference, _ = solved(chosen)
    problem = blank_problem(chosen)
    generator = torch.Generator().manual_seed(0)
    (stack,) = problem.network.stacks
    drawn = tuple(torch.randn(3, f.shape[1], generator=generator, dtype=f.dtype) for f in stack)
    start = replace(problem.network, stacks=(drawn,))
    problem = replace(problem, tolerance=Tolerance(AIM, 0.0), budget_seconds=SECONDS)
    growth = grow_network(problem, GrowthState(start, (), 0), lambda state: None)
    assert_optimal(problem, growth, reference, SOLVER_ERROR)
