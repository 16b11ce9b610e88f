"""Lower bounds under weight decay of another degree lie below every network, and reach optima in closed form."""

import numpy as np
import pytest
import torch

from certify.errors import UnsupportedError
from certify.models.loading import Problem
from certify.problem import WeightDecay
from certify.problem.kinds import CpFactorization, Quadratic, QuarticCpFactorization
from certify.verify import verify_bytes
from certify.verify.exact import verify_bytes_exactly
from certify.workflows.check import CheckOptions, run_check
from certify.workflows.grow import grow

from .uneven import (
    checked,
    least_decay,
    least_of_one,
    least_of_restarts,
    objective_by_torch,
    outer,
    random_squares,
    random_tensor,
    squares,
    tensor,
)

MAKES = {
    "squares": random_squares,
    "squares, two outputs": lambda seed: random_squares(seed, outputs=2),
    "squares, biases": lambda seed: random_squares(seed, biases=True),
    "squares, little decay": lambda seed: random_squares(seed, decay=0.03),
    "three axes": random_tensor,
    "three axes, some entries": lambda seed: random_tensor(seed, seen=0.7),
    "three axes, little decay": lambda seed: random_tensor(seed, decay=0.03),
    "four axes": lambda seed: random_tensor(seed, order=4),
}
# What objectives and bounds may lose to rounding, as a share.
ROUNDING = 1e-9


class Sum(torch.nn.Module):
    """Linear subnetworks beside squares."""

    def __init__(self):
        super().__init__()
        self.first, self.second, self.third, self.fourth = (
            torch.nn.Linear(*sizes, bias=False) for sizes in ((2, 3), (3, 1), (2, 3), (3, 1))
        )

    def forward(self, x):
        return self.second(self.first(x)) + self.fourth(self.third(x) ** 2)


def require_below_restarts(problem, count):
    """No bound above the least of restarts; how much of it the bound is."""
    outcome = checked(problem)
    least = least_of_restarts(problem, count)
    assert outcome.result.lower_bound <= least * (1 + ROUNDING)
    assert verify_bytes(outcome.certificate).status == "valid"
    # The search is no worse than restarts, but for a little.
    assert outcome.result.best_known <= least * (1 + 1e-2)
    return outcome.result.lower_bound / outcome.result.best_known


@pytest.mark.parametrize("name", MAKES)
def test_bounds_lie_below_the_best_of_restarts(name):
    require_below_restarts(MAKES[name](0), 10)


@pytest.mark.slow
@pytest.mark.parametrize("name", MAKES)
def test_bounds_lie_below_the_best_of_many_restarts(name):
    shares = [require_below_restarts(MAKES[name](seed), 300) for seed in range(1, 9)]
    print(f"{name}: bounds of {min(shares):.4f} to {max(shares):.4f} of the best network")  # noqa: T201


@pytest.mark.parametrize("size", [0.3, 2.0, 5.0])
def test_one_sample_of_a_square_is_certified_at_its_closed_form(size):
    problem = squares(np.array([[0.6, 0.8]]), np.array([[size]]), 0.7)
    outcome, least = checked(problem), least_of_one(size, [0.7, 0.7], [2, 1])
    assert outcome.result.verdict == "certified"
    assert outcome.result.objective == pytest.approx(least, rel=1e-6)
    assert least * (1 - 1e-3) <= outcome.result.lower_bound <= least * (1 + ROUNDING)


@pytest.mark.parametrize("order", [3, 4])
@pytest.mark.parametrize("size", [0.5, 3.0])
def test_a_tensor_of_rank_one_is_certified_at_its_closed_form(order, size):
    rng = np.random.default_rng(order)
    units = [vector / np.linalg.norm(vector) for vector in (rng.standard_normal(3) for _ in range(order))]
    outcome = checked(tensor(size * outer(units), 0.4))
    least = least_of_one(size, [0.4] * order, [1] * order)
    assert outcome.result.verdict == "certified"
    assert outcome.result.objective == pytest.approx(least, rel=1e-6)
    assert least * (1 - 1e-3) <= outcome.result.lower_bound <= least * (1 + ROUNDING)


@pytest.mark.parametrize("name", ["squares, biases", "three axes"])
def test_both_arithmetics_accept(name):
    outcome = checked(MAKES[name](1))
    found = [verify(outcome.certificate) for verify in (verify_bytes, verify_bytes_exactly)]
    assert [verdict.status for verdict in found] == ["valid", "valid"]
    assert found[0].lower == found[1].lower


def test_growth_from_scratch_leaves_the_local_minimum_at_zero():
    problem = squares(np.array([[0.6, 0.8]]), np.array([[2.0]]), 0.7)
    grown = grow(problem, from_scratch=True)
    assert grown.result.verdict == "certified"
    assert grown.result.objective == pytest.approx(least_of_one(2.0, [0.7, 0.7], [2, 1]), rel=1e-6)
    assert grown.network.width == 1


def test_an_improvable_verdict_comes_with_a_better_model():
    problem = random_tensor(2)
    outcome = run_check(problem, CheckOptions())
    assert outcome.result.verdict == "improvable"
    found = float(objective_by_torch(problem, outcome.best.stacks[0]))
    assert found == pytest.approx(outcome.result.best_known, rel=1e-9)
    assert found < float(objective_by_torch(problem, problem.network.stacks[0]))


def test_branches_of_two_degrees_are_refused():
    model = Sum().double()
    with pytest.raises(UnsupportedError) as caught:
        Problem.from_torch(model, np.eye(2), np.ones((2, 1)), weight_decay=0.1)
    assert caught.value.code == "unequal-degrees"


@pytest.mark.parametrize(
    ("decays", "degrees"), [((0.3, 0.7), (2, 1)), ((0.2, 0.5, 0.9), (1, 1, 1)), ((0.4,) * 4, (1,) * 4)]
)
def test_the_least_weight_decay_at_a_product_is_a_power_of_it(decays, degrees):
    kind = {(2, 1): Quadratic(), (1, 1, 1): CpFactorization(), (1,) * 4: QuarticCpFactorization()}[degrees]
    gauge = WeightDecay(decays).gauge(kind)
    for product in (0.1, 1.0, 7.0):
        least = least_decay(product, decays, degrees)
        assert (gauge.strength * product) ** (2 / sum(degrees)) == pytest.approx(least, rel=1e-8)
