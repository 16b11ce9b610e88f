"""The checker's norms of factors against random vectors, in both arithmetics, and in changed dual points."""

import itertools

import numpy as np
import pytest

from certify.verify.enclosure import Enclosure
from certify.verify.exact.balls import Balls
from certify.verify.forms.form import Form
from certify.verify.proofs.norm_products import total_length
from certify.verify.rejection import Rejection
from certify.verify.statement.activations import IDENTITY
from certify.verify.statement.side_norms import EUCLIDEAN, SideNorm

WEIGHTS = [(1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0), (0.3, 0.7, 0.0), (2.0, 0.1, 0.0)]
SIDES = [SideNorm(*weights, cone) for weights, cone in itertools.product(WEIGHTS, (False, True))]
DRAWN, SIZE = 3000, 3


def norms_of(side, vectors):
    one, two, most = side.l1, side.l2, side.linf
    return one * abs(vectors).sum(1) + two * np.linalg.norm(vectors, axis=1) + most * abs(vectors).max(1)


def ball(side):
    """Points of the ball and cone, with those of one entry and of equal ones."""
    rng = np.random.default_rng(0)
    points = np.vstack([rng.standard_normal((DRAWN, SIZE)) ** 3, np.eye(SIZE), np.ones((1, SIZE))])
    points = abs(points) if side.nonnegative else points
    return points / norms_of(side, points)[:, None]


@pytest.mark.parametrize("real", [Enclosure.of, Balls.of])
@pytest.mark.parametrize("side", SIDES, ids=repr)
def test_norms_are_those_of_random_vectors(side, real):
    points, rng = ball(side), np.random.default_rng(1)
    sizes = side.value(real(points[:20]))
    assert bool(((sizes.low <= 1 + 1e-12) & (sizes.high >= 1 - 1e-12)).all())
    assert float(side.radius(SIZE, real).high) >= np.linalg.norm(points, axis=1).max() * (1 - 1e-12)
    for _ in range(5):
        goal = rng.standard_normal((1, SIZE))
        largest = max(float((points @ goal[0]).max()), 0.0)
        assert not side.dual_within(real(goal), real(largest * (1 - 1e-9) - 1e-12))
        assert side.dual_within(real(goal), real(1.2 * largest + 0.05))
        form = rng.standard_normal((SIZE, SIZE))
        form, level = form + form.T, float(rng.random())
        values = np.einsum("ki,ij,kj->k", points, form, points)
        assert float(side.form_upper(real(form), real(level)).high) >= values.max()


@pytest.mark.parametrize(
    "weights", [(0.0, 0.0, 0.0), (0.5, 0.0, 0.0), (0.0, 2.0, 0.0), (0.3, 0.7, 1.0), (-0.3, 0.7, 0.0)]
)
def test_other_weights_make_no_norm(weights):
    with pytest.raises(Rejection, match="norms"):
        SideNorm(*weights, False).require_norm()


def test_what_a_change_of_the_dual_point_costs_grows_with_the_balls():
    """|u| ≤ √2 and |v| ≤ √3 for entries of at most 1."""
    most = SideNorm(0.0, 0.0, 1.0, False)
    rows, scores = Enclosure([[3.0, 4.0], [0, 0]]), Enclosure([[1.0, 2, 2], [1, 1, 1]])
    plain = total_length(Form(rows, scores, IDENTITY, False))
    wide = total_length(Form(rows, scores, IDENTITY, False, most, most))
    one = total_length(Form(rows, scores, IDENTITY, False, EUCLIDEAN, most))
    assert float(plain.near) == pytest.approx(15)
    assert float(wide.near) == pytest.approx(15 * 6**0.5)
    assert float(one.near) == pytest.approx(15 * 3**0.5)
