"""Cones for seminorms of rows against grids of directions, other bounds, and a checker of their trees."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from certify.bounds.layers.base import base_maximum
from certify.bounds.layers.peeled_scores import PeeledScores
from certify.bounds.rows.cones.cone_settings import ConeSettings
from certify.bounds.rows.cones.cones import cone_polar
from certify.problem import Slopes

from ..cone_checker import check_sides
from ..exact_polars import KINDS, draw
from .deep_subnetworks import ALL_SLOPES, RELU, circle, kinked

TOLERANCE = 1e-3


def settings_for(slopes, **changes):
    return ConeSettings(**({"relative_tolerance": TOLERANCE, "slopes": Slopes(*slopes), "max_nodes": 4000} | changes))


def drawn(seed, n, d, kind, shape=(2, 1)):
    """Rows and two seminorms of so many columns and diagonals, some entries of which are zero."""
    X, Q, rng = draw(seed, n, d, 2, kind)
    sides = [
        PeeledScores(
            torch.from_numpy(Q[:, :k] * rng.uniform(0.2, 2)), torch.from_numpy(rng.standard_normal((b, n)) ** 2)
        )
        for k, b in (shape, shape)
    ]
    sides[0].diagonals[:, ::3] = 0
    return torch.from_numpy(X), sides


def largest_on_circle(X, sides, slopes):
    values = kinked(circle(X.numpy()) @ X.T, slopes)
    return max(float(form.norms(values).max()) for form in sides)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("slopes", ALL_SLOPES)
def test_both_ends_agree_with_a_fine_grid(slopes, kind):
    for count, shape in ((1, (2, 1)), (2, (1, 2)), (2, (2, 0))):
        X, sides = drawn((3, *shape), 10, 2, kind, shape)
        found = base_maximum(X, sides[:count], settings_for(slopes))
        best = largest_on_circle(X, sides[:count], slopes)
        assert found.complete or kind == "cancel"  # where rounding alone is more than the tolerance
        assert best <= found.upper
        assert found.lower <= best * (1 + 1e-5)
        values = kinked(found.witness @ X.T, slopes)[None]
        reached = max(float(form.norms(values)) for form in sides[:count])
        assert found.lower <= reached * (1 + 1e-12)


@pytest.mark.parametrize("d", [2, 3])
@pytest.mark.parametrize("slopes", ALL_SLOPES)
@pytest.mark.parametrize("kind", ["plain", "duplicates", "grid", "cancel"])
def test_trees_stand_before_a_checker_of_their_own(kind, slopes, d):
    X, sides = drawn((7, d), 8, d, kind)
    tree = base_maximum(X, sides, settings_for(slopes, max_nodes=300)).tree
    pairs = [(form.columns.numpy(), form.diagonals.numpy()) for form in sides]
    assert check_sides(X.numpy(), pairs, tree, slopes) <= tree.upper
    cut = replace(tree, splits=tree.splits[:-1])
    with pytest.raises(ValueError, match="ends early"):
        check_sides(X.numpy(), pairs, cut, slopes)


@pytest.mark.parametrize("slopes", ALL_SLOPES)
def test_agrees_with_the_diagonal_as_so_many_columns(slopes):
    """|a| + |b| lies between |(a, b)| and √2 |(a, b)|, and a diagonal alone is as many columns, exactly."""
    X, (form, _) = drawn(11, 9, 3, "plain")
    dense = torch.cat([form.diagonals[0].sqrt().diag(), form.columns], 1)
    settings = settings_for(slopes)
    plain, own = cone_polar(X, dense, settings), base_maximum(X, [form], settings)
    assert plain.lower <= own.upper
    assert own.lower <= np.sqrt(2) * plain.upper
    alone = PeeledScores(torch.zeros_like(form.columns), form.diagonals)
    plain, own = cone_polar(X, dense[:, : len(X)], settings), base_maximum(X, [alone], settings)
    assert max(plain.lower, own.lower) <= min(plain.upper, own.upper)
    assert own.upper <= plain.upper * (1 + 2 * TOLERANCE)


def test_a_diagonal_of_orthonormal_rows_has_its_largest_entry():
    """|√D ∘ relu(u)| over |u| ≤ 1 is √max D."""
    D = torch.tensor([[0.3, 2.25, 1.0]], dtype=torch.float64)
    form = PeeledScores(torch.zeros(3, 1, dtype=torch.float64), D)
    found = base_maximum(torch.eye(3, dtype=torch.float64), [form], settings_for(RELU, relative_tolerance=1e-6))
    assert found.lower <= 1.5 <= found.upper <= 1.5 * (1 + 1e-5)


def test_refuses_sides_that_do_not_fit_each_other():
    X, sides = drawn(1, 5, 2, "plain")
    with pytest.raises(ValueError, match="as many"):
        base_maximum(X, [sides[0], drawn(1, 5, 2, "plain", (1, 1))[1][0]], settings_for(RELU))


def test_refuses_diagonals_that_do_not_fit():
    X, (form, _) = drawn(1, 5, 2, "plain")
    for diagonals in (form.diagonals[:, :-1], -form.diagonals, form.diagonals * torch.inf):
        with pytest.raises(ValueError, match="diagonals"):
            base_maximum(X, [PeeledScores(form.columns, diagonals)], settings_for(RELU))
