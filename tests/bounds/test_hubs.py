"""Products of rows with hubs: any multipliers bound every direction, and the checker agrees with the bound."""

from __future__ import annotations

import math

import pytest
import torch

from certify.bounds.proof import Hubs, ScalarMajorant
from certify.bounds.rows.kinked_scores import kinked_scores
from certify.bounds.rows.relaxations.direction_region import direction_region
from certify.bounds.rows.relaxations.scalar_majorant import signed_majorant
from certify.problem import Slopes, View

from .test_majorants import NOTHING, SLOPES, exact_polar, sampled_polar, upper_of


def random_hubs(n: int, d: int, count: int, free: int, generator: torch.Generator) -> ScalarMajorant:
    """Multipliers at random, of any sign, of sizes that differ; pairs such that the block of hubs is definite."""

    def draw(*shape: int) -> torch.Tensor:
        scale = 10 ** float(torch.empty(1).uniform_(-2, 0.5, generator=generator))
        return scale * torch.randn(*shape, generator=generator, dtype=torch.float64)

    products = draw(2, 2 * count, 2 * count)
    products = products + products.mT
    links = draw(2, 4, n, count) * (torch.rand(n, 1, generator=generator) < 0.7)
    curvatures = draw(2, n).abs() + 0.05
    # What l² and products of hubs can add to the square of |h·u|.
    most = 1 + 4 * float((links.clamp_min(0).sum(1).sum(2) ** 2 / curvatures).sum() + products.abs().sum())
    for index in range(count):
        products[:, index, count + index] = products[:, count + index, index] = -most
    hubs = Hubs(draw(2, count, d), links, draw(2, n, 2), products, draw(2, 2 * count, d - free))
    return ScalarMajorant(curvatures, draw(2, n), draw(2, n, 2), draw(2, 2, d - free), NOTHING, draw(2), hubs)


def problem(seed: int, free: int) -> tuple[torch.Tensor, torch.Tensor, ScalarMajorant, torch.Generator]:
    generator = torch.Generator().manual_seed(seed)
    n, d = int(torch.randint(2, 13, (1,), generator=generator)), int(torch.randint(2, 4, (1,), generator=generator))
    inputs = torch.randn(n, d, generator=generator, dtype=torch.float64)
    scores = torch.randn(n, 1, generator=generator, dtype=torch.float64)
    if free:
        inputs[:, -1] = 1
        scores = (64 * scores).round() / 64
        scores[-1] -= scores.sum()
    multipliers = random_hubs(n, d, int(torch.randint(1, 4, (1,), generator=generator)), free, generator)
    if free:
        center = torch.zeros(d - 1, dtype=torch.float64)
        values = {name: getattr(multipliers, name) for name in ScalarMajorant.__slots__}
        multipliers = ScalarMajorant(**values | {"center": center})
    return inputs, scores, multipliers, generator


@pytest.mark.parametrize("slopes", SLOPES)
@pytest.mark.parametrize("seed", range(12))
def test_a_majorant_with_hubs_is_above_the_scores_in_every_direction(seed: int, slopes: Slopes) -> None:
    inputs, scores, multipliers, generator = problem(seed, 0)
    region, parts = direction_region(View(inputs, 0), NOTHING, 1.0), kinked_scores(slopes, scores)
    directions = torch.randn(2000, inputs.shape[1], generator=generator, dtype=torch.float64)
    directions /= directions.norm(dim=1, keepdim=True)
    hidden = directions @ inputs.T
    hidden = slopes.positive * hidden.relu() - slopes.negative * (-hidden).relu()
    for index, sign in enumerate((1.0, -1.0)):
        _, majorant = signed_majorant(region, parts.column(0, sign), multipliers, index)
        assert multipliers.hubs is not None
        sides = (directions @ multipliers.hubs.directions[index].T).abs()
        lifted = torch.cat([directions, sides], 1)
        values = lifted @ majorant.linear + ((lifted @ majorant.quadratic) * lifted).sum(1) + majorant.constant
        assert bool((values >= sign * (hidden @ scores)[:, 0] - 1e-9 * values.abs()).all())


@pytest.mark.parametrize("slopes", SLOPES)
@pytest.mark.parametrize("seed", range(8))
def test_a_bound_with_hubs_is_at_least_the_exact_polar(seed: int, slopes: Slopes) -> None:
    inputs, scores, multipliers, _ = problem(seed, 0)
    found = upper_of(inputs, scores, multipliers, slopes=slopes)
    assert math.isfinite(found)
    assert found >= exact_polar(inputs, scores, slopes) * (1 - 1e-12)


@pytest.mark.parametrize("seed", range(8))
def test_a_bound_with_hubs_and_a_free_bias_is_above_sampled_directions(seed: int) -> None:
    inputs, scores, multipliers, generator = problem(seed, 1)
    found = upper_of(inputs, scores, multipliers, free=1)
    assert math.isfinite(found)
    assert found >= sampled_polar(inputs, scores, 1, generator)
