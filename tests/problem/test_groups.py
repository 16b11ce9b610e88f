"""Sums over groups: exact integers with one partition and two, whatever graph the samples make of the groups."""

import numpy as np
import pytest
import torch

from certify.problem.groups import SUMS_ACCURACY, Groups, with_zero_sums, without_sums

SEEDS = range(60)


def random_groups(rng, partitions):
    """Samples in groups, some of which are empty; few samples leave the graph in pieces, many repeat its edges."""
    count = int(rng.integers(1, 60))
    extents = rng.integers(1, 15, size=partitions)
    return tuple(Groups(torch.from_numpy(rng.integers(0, extent, size=count)), int(extent)) for extent in extents)


def random_room(rng, count):
    """Room of samples; now and then none has any, or all have the same."""
    return torch.from_numpy(rng.random(count) * rng.integers(0, 3) + rng.integers(0, 2))


def exact_sums(groups, values):
    """Sums of Python's integers."""
    found = [0] * groups.count
    for group, value in zip(groups.index.tolist(), values.tolist(), strict=True):
        found[group] += value
    return found


@pytest.mark.parametrize("partitions", [1, 2])
@pytest.mark.parametrize("seed", SEEDS)
def test_integers_sum_to_zero_over_every_group(partitions, seed):
    rng = np.random.default_rng([75, seed])
    groups = random_groups(rng, partitions)
    count = len(groups[0].index)
    grid = torch.from_numpy(rng.integers(-(2**44), 2**44, size=count))
    found = with_zero_sums(groups, grid, random_room(rng, count))
    assert found.dtype == torch.int64
    assert not any(any(exact_sums(group, found)) for group in groups)
    # One sample of every group is changed, or the edges of a forest on all groups.
    assert int((found != grid).sum()) <= sum(len(group.index.unique()) for group in groups)


@pytest.mark.parametrize("partitions", [1, 2])
def test_integers_that_sum_to_zero_are_left_alone(partitions):
    rng = np.random.default_rng(76)
    for _ in range(20):
        groups = random_groups(rng, partitions)
        room = random_room(rng, len(groups[0].index))
        grid = torch.from_numpy(rng.integers(-(2**44), 2**44, size=len(room)))
        found = with_zero_sums(groups, grid, room)
        assert torch.equal(with_zero_sums(groups, found, room), found)


def test_what_is_left_goes_to_the_samples_with_most_room():
    """Two groups of two samples; and a cycle of four, of which the sample with least room keeps its value."""
    rows, columns = Groups(torch.tensor([0, 0, 1, 1]), 2), Groups(torch.tensor([0, 1, 0, 1]), 2)
    grid, room = torch.tensor([5, 7, -3, 2]), torch.tensor([1.0, 2.0, 4.0, 3.0])
    assert with_zero_sums((rows,), grid, room).tolist() == [5, -5, -2, 2]
    assert with_zero_sums((rows, columns), grid, room).tolist() == [5, -5, -5, 5]


@pytest.mark.parametrize("partitions", [1, 2])
@pytest.mark.parametrize("seed", SEEDS)
def test_values_without_sums_are_the_nearest_in_their_metric(partitions, seed):
    """A − M E (EᵀM E)⁺ EᵀA by a pseudoinverse."""
    rng = np.random.default_rng([77, seed])
    groups = random_groups(rng, partitions)
    count = len(groups[0].index)
    values, metric = rng.standard_normal(count), rng.random(count) + 0.1
    found = without_sums(groups, torch.from_numpy(metric), torch.from_numpy(values)).numpy()
    indicators = np.concatenate([np.eye(group.count)[group.index] for group in groups], 1)
    system = np.linalg.pinv(indicators.T @ (metric[:, None] * indicators), hermitian=True, rcond=1e-12)
    np.testing.assert_allclose(found, values - metric * (indicators @ system @ indicators.T @ values), atol=1e-9)
    np.testing.assert_allclose(indicators.T @ found, 0, atol=1e-9)


def test_sums_that_are_rounding_alone_are_left_alone():
    """With two partitions the system is singular, and rounding may have no solution at all."""
    rng = np.random.default_rng(78)
    for _ in range(20):
        m, n = (int(extent) for extent in rng.integers(2, 9, size=2))
        places = np.stack(np.unravel_index(np.arange(m * n), (m, n)))
        groups = tuple(Groups(torch.from_numpy(index), extent) for index, extent in zip(places, (m, n), strict=True))
        values = rng.standard_normal((m, n))
        centered = values - values.mean(1, keepdims=True) - values.mean(0) + values.mean()
        given = torch.from_numpy(centered.ravel())
        found = without_sums(groups, torch.ones(m * n, dtype=torch.float64), given)
        assert float((found - given).abs().max()) <= 10 * SUMS_ACCURACY * float(given.abs().max())


@pytest.mark.parametrize("partitions", [1, 2])
@pytest.mark.parametrize("seed", SEEDS)
def test_samples_without_room_do_not_move_and_all_others_stay_finite(partitions, seed):
    """As where the loss allows no change: sums that cannot be met are no reason for large numbers."""
    rng = np.random.default_rng([88, seed])
    groups = random_groups(rng, partitions)
    count = len(groups[0].index)
    values, metric = rng.standard_normal(count), rng.random(count) * (rng.random(count) < rng.random())
    metric *= 10.0 ** rng.integers(-30, 30)
    found = without_sums(groups, torch.from_numpy(metric), torch.from_numpy(values)).numpy()
    assert (found[metric == 0] == values[metric == 0]).all()
    assert np.isfinite(found).all()
    assert np.abs(found).max() <= 1e4 * count * np.abs(values).max()


def test_sums_over_groups_are_those_of_a_loop():
    rng = np.random.default_rng(79)
    groups = random_groups(rng, 1)[0]
    values = torch.from_numpy(rng.integers(-9, 9, size=len(groups.index)))
    assert groups.sums(values).tolist() == exact_sums(groups, values)
    assert groups.sums(values[:, None].repeat(1, 2)).shape == (groups.count, 2)
