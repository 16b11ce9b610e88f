"""Cone branch and bound against exact polars, and its proof tree against an independent checker."""

import numpy as np
import pytest
import torch

from certify.bounds.rows.cones.cone_batch import bounded, joined, orthants
from certify.bounds.rows.cones.cone_bound import build_majorant
from certify.bounds.rows.cones.cone_forecast import forecast_nodes
from certify.bounds.rows.cones.cone_settings import ConeSettings
from certify.bounds.rows.cones.cone_split import split
from certify.bounds.rows.cones.cones import cone_polar
from certify.problem import Slopes

from .cone_checker import check_tree
from .cone_searches import search
from .exact_polars import (
    KINDS,
    RELU,
    best_of_many_directions,
    draw,
    exact_by_subsets,
    exact_on_circle,
    kinked,
    value,
)

SLOPES = [(1.0, 0.1), (1.0, 1.7), (1.0, -1.0), (1.3, -0.3)]


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """Batches here are tiny; threads only get in each other's way."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def rounding(X, Q):
    """What the exact values computed here may be off by."""
    return 1e-13 * float(np.linalg.norm(Q, axis=1) @ np.linalg.norm(X, axis=1))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("d", [1, 2, 3, 4])
def test_interval_holds_the_scalar_polar_found_by_subsets(kind, d):
    for seed in range(2):
        X, Q, _ = draw((seed, d), 7, d, 1, kind)
        exact = exact_by_subsets(X, Q[:, 0])
        found = search(X, Q)
        assert found.lower <= exact + rounding(X, Q)
        assert found.upper >= exact - rounding(X, Q)
        assert kind in ("cancel", "scales", "columns") or found.complete


@pytest.mark.parametrize("kind", [*KINDS, "tiny"])
@pytest.mark.parametrize("c", [1, 2, 3])
def test_interval_holds_the_polar_of_a_circle_sweep(kind, c):
    for seed in range(3):
        X, Q, _ = draw((seed, c, 2), 12, 2, c, kind)
        exact = exact_on_circle(X, Q)
        found = search(X, Q)
        assert found.lower <= exact + rounding(X, Q)
        assert found.upper >= exact - rounding(X, Q)
        assert kind in ("cancel", "scales", "columns") or found.complete


@pytest.mark.parametrize("slopes", SLOPES)
@pytest.mark.parametrize("c", [1, 2])
def test_interval_of_any_slopes_holds_the_polar_of_a_circle_sweep(slopes, c):
    for kind in KINDS:
        X, Q, _ = draw((3, c, 2), 12, 2, c, kind)
        exact = exact_on_circle(X, Q, slopes)
        found = search(X, Q, slopes)
        assert found.lower <= exact + 2 * rounding(X, Q)
        assert found.upper >= exact - 2 * rounding(X, Q)
        assert kind in ("cancel", "scales", "columns") or found.complete
        assert check_tree(X, Q, found.tree, slopes) <= found.tree.upper * (1 + 1e-12)


def test_complete_means_within_the_tolerance():
    for tolerance in (0.1, 0.01, 1e-4):
        X, Q, _ = draw((5,), 9, 3, 1, "plain")
        found = search(X, Q, relative_tolerance=tolerance, max_nodes=200_000)
        assert found.complete
        assert found.upper - found.lower <= tolerance * found.upper
        assert found.upper >= exact_by_subsets(X, Q[:, 0]) - rounding(X, Q)


def test_target_above_the_polar_is_proven_without_closing_the_gap():
    X, Q, _ = draw((6,), 30, 4, 1, "plain")
    tight = search(X, Q)
    eased = search(X, Q, target=1.5 * tight.upper)
    assert eased.complete
    assert eased.upper <= 1.5 * tight.upper * 1.01
    assert eased.nodes < tight.nodes


@pytest.mark.parametrize("c", [1, 2])
@pytest.mark.parametrize("kind", ["plain", "duplicates", "grid", "one sign"])
def test_witness_attains_the_lower_bound(kind, c):
    X, Q, rng = draw((7, c), 20, 3, c, kind)
    found = search(X, Q)
    u = found.witness.numpy()
    assert np.linalg.norm(u) <= 1 + 1e-15
    assert value(X, Q, u) >= found.lower
    assert found.lower <= found.upper
    assert found.upper >= best_of_many_directions(X, Q, rng)


def test_start_is_used_as_the_first_incumbent():
    X, Q, _ = draw((8,), 20, 4, 1, "plain")
    good = search(X, Q)
    stopped = cone_polar(torch.tensor(X), torch.tensor(Q), ConeSettings(max_nodes=1), start=7 * good.witness)
    assert stopped.lower == pytest.approx(good.lower, rel=1e-10)


def free_bias_problem(seed, n, c, constant):
    """Integer weights whose columns sum to zero exactly, and a constant last column."""
    rng = np.random.default_rng(seed)
    X = np.column_stack([rng.standard_normal((n, 2)), np.full(n, constant)])
    Q = rng.integers(-8, 9, (n, c)).astype(float)
    Q[0] -= Q.sum(0)
    return X, Q / 16, rng


@pytest.mark.parametrize("constant", [1.0, -0.5])
def test_free_axis_matches_the_closed_form_of_one_input(constant):
    for seed in range(5):
        X, Q, _ = free_bias_problem(seed, 12, 1, constant)
        X = X[:, [0, 2]]
        steps = X[:, None, 0] - X[None, :, 0]
        exact = max(np.abs(Q[:, 0] @ np.maximum(s * steps, 0)).max() for s in (1, -1))
        found = search(X, Q, free_axis=1, relative_tolerance=1e-3)
        assert found.lower <= exact * (1 + 1e-12)
        assert found.upper >= exact * (1 - 1e-12)
        assert found.complete


@pytest.mark.parametrize("slopes", [RELU, *SLOPES])
@pytest.mark.parametrize("c", [1, 2])
def test_free_axis_interval_holds_every_direction_tried(c, slopes):
    for seed in range(2):
        X, Q, rng = free_bias_problem((seed, c), 15, c, 1.0)
        found = search(X, Q, slopes, free_axis=2, relative_tolerance=0.02)
        assert found.upper >= best_of_many_directions(X, Q, rng, 2, slopes)
        assert found.complete
        assert np.linalg.norm(found.witness[:2]) <= 1 + 1e-15
        assert check_tree(X, Q, found.tree, slopes) <= found.tree.upper * (1 + 1e-12)


@pytest.mark.parametrize(("d", "c"), [(3, 2), (4, 3), (5, 1)])
def test_stopped_early_still_bounds_the_polar(d, c):
    for seed in range(5):
        X, Q, rng = draw((seed, d, c), 25, d, c, "plain")
        found = search(X, Q, max_nodes=50)
        assert not found.complete
        assert found.upper >= best_of_many_directions(X, Q, rng)
        assert found.open_directions.shape[1] == d
        assert torch.allclose(found.open_directions.norm(dim=1), torch.ones(1, dtype=torch.float64))
        assert check_tree(X, Q, found.tree) <= found.tree.upper * (1 + 1e-12)


@pytest.mark.parametrize("limit", [{"seconds": 0.0}, {"memory_bytes": 1}])
def test_a_limit_met_at_once_leaves_the_roots_as_a_valid_bound(limit):
    X, Q, rng = draw((9,), 25, 3, 1, "plain")
    found = search(X, Q, **limit)
    assert len(found.tree.splits) == 16
    assert found.upper >= best_of_many_directions(X, Q, rng)


@pytest.mark.parametrize("slopes", [RELU, (1.0, 0.1), (1.3, -0.3)])
@pytest.mark.parametrize("c", [1, 2])
@pytest.mark.parametrize("kind", KINDS)
def test_no_cone_bound_is_below_a_value_in_its_cone(kind, c, slopes):
    """Random descendants of the roots against extended-precision values at points inside."""
    for d in (2, 3, 5):
        X, Q, rng = draw((13, d, c), 12, d, c, kind)
        assert worst_excess(X, Q, rng, slopes) <= 1.0


def worst_excess(X, Q, rng, slopes, rounds=6):
    """Largest ratio of a sampled value to the bound of its cone."""
    X, Q = X / max(np.abs(X).max(), 1e-300), Q / max(np.abs(Q).max(), 1e-300)
    majorant = build_majorant(torch.tensor(X), torch.tensor(Q), None, Slopes(*slopes))
    cones = bounded(majorant, orthants(majorant), 0.0)
    excess = 0.0
    for _ in range(rounds):
        excess = max(excess, sampled_excess(X, Q, cones, rng, slopes))
        index = torch.tensor(rng.integers(0, len(cones), 64))
        parted = split(majorant, cones.take(index))
        cones = joined([bounded(majorant, parted.children, 0.0), cones.take(index[:16])])
    return excess


def sampled_excess(X, Q, cones, rng, slopes):
    V, bounds = cones.vertices.numpy(), cones.bounds.numpy()
    d, count = V.shape[0], V.shape[2]
    shares = np.concatenate(
        [
            rng.dirichlet(np.full(d, 0.5), (8, count)),
            np.broadcast_to(np.eye(d)[:, None], (d, count, d)),
            (cones.coefficients + 1e-300).numpy().T[None],
        ]
    ).astype(np.longdouble)
    points = np.einsum("skb,kxb->sxb", shares.transpose(0, 2, 1), V.astype(np.longdouble))
    hidden = kinked(np.einsum("nx,sxb->snb", X.astype(np.longdouble), points), slopes)
    outputs = np.einsum("nc,snb->scb", Q.astype(np.longdouble), hidden)
    values = outputs[:, 0] if Q.shape[1] == 1 else np.sqrt((outputs**2).sum(1))
    norms = np.sqrt((points**2).sum(1))
    values = np.where(norms > 0, values / np.where(norms > 0, norms, 1), 0).max(0)
    return float(np.max(np.where(values <= bounds, 0.0, values / np.maximum(bounds, 1e-300))))


@pytest.mark.parametrize(("tolerance", "expected"), [(0.3, "done in the pilot"), (1e-4, "about ")])
def test_forecast_says_what_the_search_will_cost(tolerance, expected):
    X, Q, _ = draw((15,), 120, 7, 1, "plain")
    settings = ConeSettings(relative_tolerance=tolerance)
    forecast = forecast_nodes(torch.tensor(X), torch.tensor(Q), settings)
    assert expected in forecast.sentence
    assert forecast.seconds_estimate >= forecast.pilot.seconds


def test_forecast_refuses_too_many_coordinates_at_once():
    rows, Q = torch.ones(3, 30, dtype=torch.float64), torch.ones(3, 1, dtype=torch.float64)
    with pytest.raises(ValueError, match="rows have 30"):
        forecast_nodes(rows, Q, ConeSettings())


@pytest.mark.parametrize(
    ("rows", "Q"),
    [
        (np.ones((3, 2)), np.ones((4, 1))),
        (np.ones((3, 15)), np.ones((3, 1))),
        (np.full((3, 2), np.nan), np.ones((3, 1))),
        (np.ones((3, 2), np.float32), np.ones((3, 1))),
    ],
)
def test_arguments_that_cannot_be_bounded_are_refused(rows, Q):
    with pytest.raises(ValueError, match=r"rows|cones"):
        cone_polar(torch.tensor(rows), torch.tensor(Q), ConeSettings())


def test_progress_reports_a_shrinking_valid_interval():
    X, Q, rng = draw((14,), 40, 4, 1, "plain")
    seen = []
    found = cone_polar(torch.tensor(X), torch.tensor(Q), ConeSettings(), on_progress=lambda *now: seen.append(now))
    assert len(seen) >= 2
    assert all(low <= found.upper and up >= best_of_many_directions(X, Q, rng) for low, up, _ in seen)
    assert [nodes for *_, nodes in seen] == sorted(nodes for *_, nodes in seen)
