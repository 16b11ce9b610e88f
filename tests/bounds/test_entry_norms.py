"""Polars of entries under norms and cones: against dense fibres and slices, random vectors, and the checker."""

import itertools
import time

import cvxpy
import numpy as np
import pytest
import torch

from certify.bounds.ladder import scaled
from certify.bounds.methods import METHODS, SEARCHES
from certify.bounds.multilinear.without_cones import without_cones, without_cones_apply
from certify.bounds.polar import PolarTask
from certify.bounds.stated_proof import stated
from certify.problem import Branch, ConvexPart, Entries, FactorNorms, LossSpec, Multilinear, Objective, SideNorm
from certify.problem.kinds import FACTORIZATIONS
from certify.verify.exact.verification import EXACT
from certify.verify.floating_point import FLOATING_POINT
from certify.verify.forms.entry_form import EntryForm
from certify.verify.proofs.entries import entry_polar_upper
from certify.verify.proofs.proof import Proof
from certify.verify.statement.side_norms import SideNorm as CheckedNorm

NORMS = {"l1": {"l1": 1.0}, "l2": {"l2": 1.0}, "linf": {"linf": 1.0}, "mixture": {"l1": 0.3, "l2": 0.7}}
SIDES = [SideNorm(**weights, nonnegative=cone) for weights in NORMS.values() for cone in (False, True)]
L1, L2, LINF, MIXED = (SideNorm(**weights) for weights in NORMS.values())
L1_CONE, L2_CONE = (SideNorm(**NORMS[name], nonnegative=True) for name in ("l1", "l2"))
DRAWN = 2_000
MARGIN = 2.0**-30


def task_of(tensor, sides, seconds=0.3, coefficients=None):
    """The polar of a tensor that is NaN where there is no entry."""
    seen = ~np.isnan(tensor)
    entries = Entries(torch.from_numpy(np.argwhere(seen)), tensor.shape, coefficients)
    targets = torch.from_numpy(tensor[seen])[:, None]
    targets = targets if coefficients is None else targets / coefficients[:, None]
    convex = ConvexPart(torch.zeros(len(targets), 0).double(), torch.zeros(0).double())
    branch = Branch(FACTORIZATIONS[tensor.ndim], entries, FactorNorms(1.0, tuple(sides)))
    objective = Objective((branch,), convex, LossSpec("mse").bind(targets, 1))
    return PolarTask(objective, 0, -targets, 0.0, time.perf_counter() + seconds, objective.empty_stacks()[0])


def some(rng, *shape):
    """Normal entries, some of them missing; of everything else a last one."""
    found = np.where(rng.random(shape) < 0.7, rng.standard_normal(shape), np.nan)
    found.flat[-1] = rng.standard_normal()
    return found


def bounds_of(task):
    methods = [method for method in METHODS[Multilinear] if method.serves(task) and not method.moves_dual]
    return min((polar for method in methods for _, polar in method.run(task)), key=lambda polar: polar.upper)


def drawn_values(tensor, sides, rng):
    """T at random vectors in the cones, of norm 1."""
    dense, found = torch.from_numpy(np.nan_to_num(tensor)), []
    for side, extent in zip(sides, tensor.shape, strict=True):
        vectors = torch.from_numpy(rng.standard_normal((DRAWN, extent)) ** 3)
        vectors = vectors.abs() if side.nonnegative else vectors
        found.append(vectors / side.norm(vectors)[:, None])
    letters = "abcd"[: tensor.ndim]
    return torch.einsum(f"{letters},{','.join('s' + letter for letter in letters)}->s", dense, *found)


def require_checked(tensor, task, polar, *, exact):
    """The checker accepts the claim, in floats and exactly, and none below the polar."""
    claim = stated(task.branch, task.dual, polar, MARGIN)
    seen = ~np.isnan(tensor)
    norms = tuple(CheckedNorm(side.l1, side.l2, side.linf, side.nonnegative) for side in task.branch.sides)
    for arithmetic in (FLOATING_POINT, EXACT):
        form = EntryForm(np.argwhere(seen), arithmetic.real(tensor[seen]), tensor.shape, norms)
        proof = Proof(claim.kind, claim.upper, None, claim.arrays)
        assert entry_polar_upper(form, proof, arithmetic) == claim.upper
        below = polar.lower * (1 - 1e-9) if exact else polar.lower / 2
        if below > 0:
            assert entry_polar_upper(form, Proof(claim.kind, below, None, claim.arrays), arithmetic) == np.inf


@pytest.mark.parametrize(("left", "right"), list(itertools.product(SIDES, repeat=2)), ids=str)
def test_bounds_of_matrices_hold_and_witnesses_attain(left, right):
    rng = np.random.default_rng(80)
    for shape in ((4, 3), (1, 3)):
        tensor = some(rng, *shape)
        task = task_of(tensor, (left, right))
        polar = bounds_of(task)
        dense = torch.from_numpy(np.nan_to_num(tensor))
        assert float(drawn_values(tensor, (left, right), rng).max()) <= polar.lower * (1 + 1e-9) + 1e-12
        assert polar.lower <= polar.upper
        exact = left.is_l1 or right.is_l1
        if exact:
            side, other, rows = (left, right, dense) if left.is_l1 else (right, left, dense.T)
            rows = rows if side.nonnegative else torch.cat([rows, -rows])
            assert polar.upper == pytest.approx(float(other.dual_norm(rows).max()), rel=1e-9, abs=1e-12)
            assert polar.upper == pytest.approx(polar.lower, rel=1e-9, abs=1e-12)
        pairings = task.branch.pairing(task.dual, polar.witness)
        assert polar.lower == pytest.approx(float(pairings[0]), rel=1e-9) if len(pairings) else polar.lower == 0
        assert torch.allclose(task.branch.products(polar.witness), torch.ones(len(pairings)).double())
        assert all(
            bool((f >= 0).all()) for f, side in zip(polar.witness, (left, right), strict=True) if side.nonnegative
        )
        require_checked(tensor, task, polar, exact=exact)


FIBRES = [
    *itertools.product((L1, L1_CONE), (L1, L1_CONE), SIDES),
    *((L1, side, L1_CONE) for side in SIDES),
    (L1, L1, L1_CONE, MIXED),
    (L1_CONE, LINF, L1_CONE, L1_CONE),
]


@pytest.mark.parametrize("sides", FIBRES, ids=str)
def test_all_norms_but_one_l1_leave_fibres(sides):
    rng = np.random.default_rng(81)
    tensor = some(rng, *(3, 4, 2, 3)[: len(sides)])
    task = task_of(tensor, sides)
    polar = bounds_of(task)
    axis = next((at for at, side in enumerate(sides) if not side.is_l1), len(sides) - 1)
    rows = torch.from_numpy(np.moveaxis(np.nan_to_num(tensor), axis, -1).reshape(-1, tensor.shape[axis]))
    rows = rows if all(side.nonnegative for at, side in enumerate(sides) if at != axis) else torch.cat([rows, -rows])
    assert polar.upper == pytest.approx(float(sides[axis].dual_norm(rows).max()), rel=1e-9)
    assert polar.method == "vertices"
    assert polar.upper == pytest.approx(float(task.branch.pairing(task.dual, polar.witness)[0]), rel=1e-9)
    assert float(drawn_values(tensor, sides, rng).max()) <= polar.upper * (1 + 1e-12)
    require_checked(tensor, task, polar, exact=True)


@pytest.mark.parametrize("place", range(3))
@pytest.mark.parametrize("cone", [False, True])
def test_one_norm_l1_of_three_leaves_slices(place, cone):
    rng = np.random.default_rng(82)
    tensor = some(rng, 4, 3, 5)
    sides = tuple((L1_CONE if cone else L1) if axis == place else L2 for axis in range(3))
    task = task_of(tensor, sides)
    polar = bounds_of(task)
    slices = np.moveaxis(np.nan_to_num(tensor), place, 0)
    exact = max(np.linalg.norm(slice_, 2) for slice_ in slices)
    assert polar.method == "vertices"
    assert polar.upper == pytest.approx(exact, rel=1e-9)
    assert polar.lower == pytest.approx(exact, rel=1e-9)
    assert polar.lower == pytest.approx(float(task.branch.pairing(task.dual, polar.witness)[0]), rel=1e-9)
    require_checked(tensor, task, polar, exact=True)


SLICES = [(L1, L2_CONE, L2_CONE), (L1_CONE, L2_CONE, L2_CONE), (LINF, L1, L2), (L2_CONE, MIXED, L1), (L1, L2, L1, L2)]


@pytest.mark.parametrize("sides", [*SLICES, (LINF, L2, MIXED), (L2_CONE,) * 3, (L2_CONE, L2, LINF, MIXED)], ids=str)
def test_bounds_of_tensors_hold_and_witnesses_attain(sides):
    rng = np.random.default_rng(83)
    for _ in range(3):
        tensor = some(rng, *(3, 4, 2, 3)[: len(sides)])
        task = task_of(tensor, sides)
        polar = bounds_of(task)
        assert float(drawn_values(tensor, sides, rng).max()) <= polar.lower * (1 + 1e-9)
        assert polar.lower <= polar.upper
        assert polar.lower == pytest.approx(float(task.branch.pairing(task.dual, polar.witness)[0]), rel=1e-9)
        require_checked(tensor, task, polar, exact=False)


@pytest.mark.parametrize(
    "sides", [(L1, L2), (L2_CONE, L2_CONE), (L2, LINF), (L1, L2, L2), (L1, L1_CONE, LINF)], ids=str
)
def test_coefficients_of_entries_count(sides):
    rng = np.random.default_rng(84)
    tensor = some(rng, *(4, 3, 2)[: len(sides)])
    coefficients = torch.from_numpy(rng.uniform(0.5, 2, int((~np.isnan(tensor)).sum())))
    plain, weighted = task_of(tensor, sides), task_of(tensor, sides, coefficients=coefficients)
    assert bounds_of(weighted).upper == pytest.approx(bounds_of(plain).upper, rel=1e-6)


@pytest.mark.parametrize("sides", [(L1, LINF), (L2, L1_CONE), (MIXED, L1), (L1, L2, L2), (L1, L1, L2)], ids=str)
def test_nothing_is_made_dense(sides):
    extent, rng = 20_000, np.random.default_rng(85)
    shape = (extent,) * len(sides)
    places = torch.from_numpy(np.stack([rng.permutation(extent)[:50] for _ in sides], 1))
    targets = torch.from_numpy(rng.uniform(1, 2, (50, 1)))
    convex = ConvexPart(torch.zeros(50, 0).double(), torch.zeros(0).double())
    branch = Branch(FACTORIZATIONS[len(sides)], Entries(places, shape), FactorNorms(1.0, sides))
    objective = Objective((branch,), convex, LossSpec("mse").bind(targets, 1))
    task = PolarTask(objective, 0, -targets, 0.0, time.perf_counter() + 60, objective.empty_stacks()[0])
    # Every fibre and slice has one entry.
    assert SEARCHES[Multilinear](task).value == pytest.approx(float(targets.max()), rel=1e-12)
    assert bounds_of(task).upper == pytest.approx(float(targets.max()), rel=1e-9)


@pytest.mark.parametrize("loss", ["mse", "huber"])
@pytest.mark.parametrize("share", [1.0, 0.6])
def test_without_cones_the_dual_point_proves_the_optimum_of_a_convex_solver(loss, share):
    rng = np.random.default_rng(86)
    target = rng.random((6, 2)) @ rng.random((2, 5)) + 0.3 * rng.standard_normal((6, 5))
    places = np.argwhere(rng.random((6, 5)) <= share)
    goals = target[tuple(places.T)]
    matrix = cvxpy.Variable((6, 5))
    outputs = cvxpy.vec(matrix, order="C")[places[:, 0] * 5 + places[:, 1]]
    costs = cvxpy.sum_squares(outputs - goals) if loss == "mse" else cvxpy.sum(cvxpy.huber(outputs - goals)) / 2
    optimum = cvxpy.Problem(cvxpy.Minimize(costs + 0.4 * cvxpy.normNuc(matrix))).solve(cvxpy.CLARABEL)
    convex = ConvexPart(torch.zeros(len(goals), 0).double(), torch.zeros(0).double())
    branch = Branch(FACTORIZATIONS[2], Entries(torch.from_numpy(places), (6, 5)), FactorNorms(0.4, (L2_CONE, L2_CONE)))
    bound = LossSpec(loss, reduction="sum").bind(torch.from_numpy(goals)[:, None], 1)
    objective = Objective((branch,), convex, bound)
    own = objective.loss.gradient(torch.zeros(len(goals), 1).double())
    task = PolarTask(objective, 0, own, 0.0, time.perf_counter() + 60, objective.empty_stacks()[0])
    assert without_cones_apply(task)
    ((dual, polar),) = without_cones(task)
    found = scaled(objective, dual, (polar,)).value
    assert optimum * (1 - 1e-4) <= found <= optimum * (1 + 1e-6)
