"""Cone branch and bound against exact polars, and its proof tree against an independent checker."""

import dataclasses
import itertools
import math

import numpy as np
import pytest
import torch
from scipy.optimize import lsq_linear, nnls

from certify.bounds.rows.cones.cone_batch import bounded, joined, orthants
from certify.bounds.rows.cones.cone_bound import build_majorant
from certify.bounds.rows.cones.cone_forecast import forecast_nodes
from certify.bounds.rows.cones.cone_split import split
from certify.bounds.rows.cones.cone_tree import ConeTree
from certify.bounds.rows.cones.cones import ConeSettings, cone_polar


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """Batches here are tiny; threads only get in each other's way."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


# ---------------------------------------------------------------------------------------------------------------
# Exact polars that share nothing with the search


def exact_by_subsets(X, q):
    """max over subsets D of the positive rows of a bounded least-squares distance; both signs; any degeneracy."""
    best = 0.0
    for sign in (1.0, -1.0):
        positive, negative = X[sign * q > 0], X[sign * q < 0]
        up, down = np.abs(q[sign * q > 0]), np.abs(q[sign * q < 0])
        columns = (negative * down[:, None]).T
        for chosen in itertools.product((0.0, 1.0), repeat=len(up)):
            goal = (np.array(chosen) * up) @ positive
            if columns.shape[1]:
                goal = goal - columns @ lsq_linear(columns, goal, (0, 1), method="bvls", tol=1e-14).x
            best = max(best, float(np.linalg.norm(goal)))
    return best


def exact_on_circle(X, Q):
    """Rank 2: every arc between kinks has a linear map whose top singular vector is compared if inside the arc."""
    kinks = np.concatenate([np.arctan2(X[:, 0], -X[:, 1]), np.arctan2(-X[:, 0], X[:, 1])])
    kinks = np.sort(np.concatenate([kinks, [0.0, 2.0]]) % (2 * np.pi))
    best = 0.0
    for start, end in zip(kinks, np.append(kinks[1:], kinks[0] + 2 * np.pi), strict=True):
        middle = (start + end) / 2
        active = X @ [np.cos(middle), np.sin(middle)] > 0
        linear = Q[active].T @ X[active]
        top = np.linalg.svd(linear)[2][0]
        angles = [start, end]
        turn = np.arctan2(top[1], top[0])
        angles += [a for k in range(-2, 4) if start <= (a := turn + k * np.pi) <= end]
        best = max(best, *(float(np.linalg.norm(linear @ [np.cos(a), np.sin(a)])) for a in angles))
    return best


def value(X, Q, u):
    return np.linalg.norm(Q.T @ np.maximum(X @ u, 0), axis=0)


def best_of_many_directions(X, Q, rng, free_axis=None):
    """A lower bound on the polar: random and kink directions."""
    d = X.shape[1]
    U = np.concatenate([rng.standard_normal((d, 4000)), X.T, -X.T, np.eye(d), -np.eye(d)], axis=1)
    if free_axis is not None:
        U = np.concatenate([U, U], axis=1)
        U[free_axis] *= rng.lognormal(0, 1, U.shape[1])
    normed = U if free_axis is None else np.delete(U, free_axis, axis=0)
    norms = np.linalg.norm(normed, axis=0)
    keep = norms > 1e-9
    return float(np.max(value(X, Q, U[:, keep]) / norms[keep], initial=0.0))


# ---------------------------------------------------------------------------------------------------------------
# A slow checker of ConeTree that imports none of the bound or the search


def leaf_bound(X, Q, V, weights, free_axis):
    """Bound of one cone: tangents at weights @ V, then the exact least-norm w, scaled until it is feasible."""
    n, d = X.shape
    active = (X @ (weights @ V) > 0).astype(float)
    above_rows, below_rows = np.maximum(Q, 0), np.maximum(-Q, 0)
    at_generators = np.maximum(X @ V.T, 0)
    above = above_rows.T @ at_generators - (below_rows.T * active) @ X @ V.T
    below = (above_rows.T * active) @ X @ V.T - below_rows.T @ at_generators
    middle, radius = (above + below) / 2, (above - below) / 2
    values = above[0] if Q.shape[1] == 1 else np.linalg.norm(middle, axis=0) + np.linalg.norm(radius, axis=0)
    magnitude = float(np.linalg.norm(Q, axis=1) @ np.abs(X).max(axis=1, initial=0))
    values = values + 16 * (n + d + 5) * 2.0**-53 * magnitude
    normed = V.copy()
    if free_axis is not None:
        normed[:, free_axis] = 0.0
        values = np.where(np.abs(V[:, free_axis]) == 1.0, 0.0, values)
    if (values <= 0).all():
        return 0.0
    scale = values.max()
    padded = values / scale + 1e-13 * (np.abs(normed).sum(1) > 0)
    coefficients = nnls(np.vstack([normed.T, padded]), np.append(np.zeros(d), 1.0), maxiter=50 * d)[0]
    w = normed.T @ coefficients
    reach = normed @ w - 2 * d * 2.0**-53 * (np.abs(normed) @ np.abs(w))
    if (reach[values > 0] <= 0).any():
        return math.inf
    factor = (values[values > 0] / reach[values > 0]).max()
    if (factor * reach < values - 1e-15 * np.abs(values)).any():
        return math.inf
    return float(factor * np.linalg.norm(w))


def check_tree(X, Q, tree):
    """Walk the preorder list and return the largest leaf bound; ValueError if the list is not a full cover."""
    d = tree.dimension
    if tree.signs != ((1, -1) if Q.shape[1] == 1 else (1,)):
        raise ValueError("a sign of Q is not covered")
    pairs = list(itertools.combinations(range(d), 2))
    splits, tangents = iter(tree.splits.tolist()), iter(tree.tangents.astype(float))
    row_unit, weight_unit = (2.0 ** np.frexp(np.abs(a).max(initial=0))[1] for a in (X, Q))
    X, Q = X / row_unit, Q / weight_unit
    worst = 0.0
    for sign in tree.signs:
        for root in range(2**d):
            stack = [np.diag([-1.0 if root >> k & 1 else 1.0 for k in range(d)])]
            while stack:
                V = stack.pop()
                edge = next(splits, None)
                if edge is None:
                    raise ValueError("the tree ends early")
                if edge == 0:
                    worst = max(worst, leaf_bound(X, sign * Q, V, next(tangents), tree.free_axis))
                    continue
                i, j = pairs[edge - 1]
                middle = (V[i] + V[j]) / 2
                if not ((2 * middle - V[i] == V[j]).all() and (2 * middle - V[j] == V[i]).all()):
                    raise ValueError("a midpoint is not exact")
                left, right = V.copy(), V.copy()
                left[i], right[j] = middle, middle
                stack += [right, left]
    if next(splits, None) is not None or next(tangents, None) is not None:
        raise ValueError("the tree has nodes left over")
    return worst * row_unit * weight_unit


# ---------------------------------------------------------------------------------------------------------------
# Problems


def degenerate(X, Q, kind, rng):
    """Make a random problem awkward."""
    n = len(X)
    if kind == "duplicates":
        X[n // 2 :] = X[: n - n // 2]
    elif kind == "zero rows":
        X[::3] = 0
    elif kind == "parallel":
        X[1::2] = -2.5 * X[: len(X[1::2])]
    elif kind == "grid":
        X[:] = rng.integers(-1, 2, X.shape)
        Q[:] = rng.integers(-2, 3, Q.shape)
    elif kind == "scales":
        X *= 10.0 ** rng.integers(-8, 9, (n, 1))
        Q *= 10.0 ** rng.integers(-8, 9, (n, 1))
    elif kind == "columns":
        X *= 10.0 ** np.linspace(3, -5, X.shape[1])
    elif kind == "one sign":
        Q[:] = np.abs(Q)
    elif kind == "cancel":
        X[1] = X[0] * (1 + 1e-15)
        Q[0], Q[1] = 1e10, -1e10
    elif kind == "zero":
        Q[:] = 0
    elif kind == "tiny":
        X *= 1e-90
        Q *= 1e-45
    return X, Q


KINDS = ["plain", "duplicates", "zero rows", "parallel", "grid", "scales", "columns", "one sign", "cancel", "zero"]


def draw(seed, n, d, c, kind):
    rng = np.random.default_rng(seed)
    return (*degenerate(rng.standard_normal((n, d)), rng.standard_normal((n, c)), kind, rng), rng)


def search(X, Q, **settings):
    defaults = {"relative_tolerance": 1e-2, "seconds": 20.0, "max_nodes": 5_000}
    return cone_polar(torch.tensor(X), torch.tensor(Q), ConeSettings(**(defaults | settings)))


def rounding(X, Q):
    """What the exact values computed here may be off by."""
    return 1e-13 * float(np.linalg.norm(Q, axis=1) @ np.linalg.norm(X, axis=1))


# ---------------------------------------------------------------------------------------------------------------


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


@pytest.mark.parametrize("c", [1, 2])
def test_free_axis_interval_holds_every_direction_tried(c):
    for seed in range(4):
        X, Q, rng = free_bias_problem((seed, c), 15, c, 1.0)
        found = search(X, Q, free_axis=2, relative_tolerance=0.02)
        assert found.upper >= best_of_many_directions(X, Q, rng, free_axis=2)
        assert found.complete
        assert np.linalg.norm(found.witness[:2]) <= 1 + 1e-15
        assert check_tree(X, Q, found.tree) <= found.tree.upper * (1 + 1e-12)


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


@pytest.mark.parametrize(("d", "c"), [(2, 1), (3, 1), (4, 1), (3, 2)])
@pytest.mark.parametrize("kind", ["plain", "duplicates", "grid", "one sign", "zero rows"])
def test_tree_passes_an_independent_checker(d, c, kind):
    X, Q, _ = draw((10, d, c), 15, d, c, kind)
    found = search(X, Q, relative_tolerance=0.03)
    recomputed = check_tree(X, Q, found.tree)
    assert recomputed <= found.tree.upper * (1 + 1e-12)
    assert found.upper == found.tree.upper


def test_checker_rejects_a_tree_with_a_missing_branch():
    X, Q, _ = draw((11,), 15, 3, 1, "plain")
    tree = search(X, Q).tree
    leaf = int(np.flatnonzero(tree.splits == 0)[0])
    without_leaf = dataclasses.replace(tree, splits=np.delete(tree.splits, leaf), tangents=tree.tangents[1:])
    with pytest.raises(ValueError, match="ends early"):
        check_tree(X, Q, without_leaf)
    with pytest.raises(ValueError, match="sign"):
        check_tree(X, Q, dataclasses.replace(tree, signs=(1,)))
    with pytest.raises(ValueError, match="left over"):
        check_tree(X, Q, dataclasses.replace(tree, splits=np.append(tree.splits, np.uint8(0))))


def test_checker_rejects_a_tree_whose_split_was_undone():
    """Making a leaf of a node that needed its split leaves a bound above the claim."""
    X, Q, _ = draw((12,), 15, 3, 1, "plain")
    tree = search(X, Q).tree
    inner = next(k for k in range(len(tree.splits) - 2) if tree.splits[k] > 0 and not tree.splits[k + 1 : k + 3].any())
    leaves_before = int((tree.splits[:inner] == 0).sum())
    merged = ConeTree(
        tree.dimension,
        tree.signs,
        np.delete(tree.splits, [inner + 1, inner + 2]),
        np.delete(tree.tangents, leaves_before, axis=0),
        None,
        tree.upper,
    )
    merged.splits[inner] = 0
    assert check_tree(X, Q, merged) > tree.upper * (1 + 1e-6)


@pytest.mark.parametrize("c", [1, 2])
@pytest.mark.parametrize("kind", KINDS)
def test_no_cone_bound_is_below_a_value_in_its_cone(kind, c):
    """Random descendants of the roots against extended-precision values at points inside."""
    for d in (2, 3, 5):
        X, Q, rng = draw((13, d, c), 12, d, c, kind)
        assert worst_excess(X, Q, rng, rounds=6) <= 1.0


def worst_excess(X, Q, rng, rounds):
    """Largest ratio of a sampled value to the bound of its cone."""
    X, Q = X / max(np.abs(X).max(), 1e-300), Q / max(np.abs(Q).max(), 1e-300)
    majorant = build_majorant(torch.tensor(X), torch.tensor(Q), None)
    cones = bounded(majorant, orthants(majorant), 0.0)
    excess = 0.0
    for _ in range(rounds):
        excess = max(excess, sampled_excess(X, Q, cones, rng))
        index = torch.tensor(rng.integers(0, len(cones), 64))
        parted = split(majorant, cones.take(index))
        cones = joined([bounded(majorant, parted.children, 0.0), cones.take(index[:16])])
    return excess


def sampled_excess(X, Q, cones, rng):
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
    relu = np.maximum(np.einsum("nx,sxb->snb", X.astype(np.longdouble), points), 0)
    outputs = np.einsum("nc,snb->scb", Q.astype(np.longdouble), relu)
    values = outputs[:, 0] if Q.shape[1] == 1 else np.sqrt((outputs**2).sum(1))
    norms = np.sqrt((points**2).sum(1))
    values = np.where(norms > 0, values / np.where(norms > 0, norms, 1), 0).max(0)
    return float(np.max(np.where(values <= bounds, 0.0, values / np.maximum(bounds, 1e-300))))


@pytest.mark.parametrize(("tolerance", "expected"), [(0.3, "done in the pilot"), (1e-4, "about ")])
def test_forecast_says_what_the_search_will_cost(tolerance, expected):
    X, Q, _ = draw((15,), 120, 7, 1, "plain")
    settings = ConeSettings(relative_tolerance=tolerance)
    forecast = forecast_nodes(torch.tensor(X), torch.tensor(Q), settings)
    assert forecast.applicable
    assert expected in forecast.sentence
    assert forecast.pilot is not None
    assert forecast.nodes_estimate >= forecast.pilot.nodes


def test_forecast_refuses_too_many_coordinates_at_once():
    forecast = forecast_nodes(torch.ones(3, 30), torch.ones(3, 1), ConeSettings())
    assert not forecast.applicable
    assert "30 coordinates" in forecast.sentence


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
