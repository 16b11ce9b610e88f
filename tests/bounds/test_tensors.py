"""CP tensors: what searches find and bounds prove, beside brute force, closed forms and a solver's optimum."""

import itertools
import math
import time

import cvxpy as cp
import numpy as np
import pytest
import torch

from certify.bounds.ladder import climb
from certify.bounds.methods import METHODS
from certify.bounds.multilinear.pair_multipliers import multipliers_of, still, vanishing
from certify.bounds.multilinear.symmetric_bound import symmetric_upper
from certify.bounds.multilinear.symmetric_method import symmetric_unfolding
from certify.bounds.multilinear.symmetric_program import best_multipliers
from certify.bounds.multilinear.symmetric_splitting import SymmetricSplitting
from certify.bounds.multilinear.tensor_search import tensor_search
from certify.bounds.multilinear.unfolding_bound import unfolding_bound
from certify.bounds.multilinear.unfoldings import unfolded, unfoldings
from certify.bounds.proof import SymmetricUnfolding
from certify.problem import Branch, ConvexPart, Entries, LossSpec, Multilinear, Objective, ProductOfNorms
from certify.problem.dual import best_scale
from certify.problem.kinds import FACTORIZATIONS

from .objectives import task_at

SHAPES = [(3, 4, 5), (2, 6, 3), (5, 1, 4), (3, 3, 2, 4), (2, 2, 2, 2)]
LEVI_CIVITA = np.array([[[np.linalg.det(np.eye(3)[[i, j, k]]) for k in range(3)] for j in range(3)] for i in range(3)])


def normal(seed, *shape):
    return np.random.default_rng(seed).standard_normal(shape)


def objective_for(tensor, seen=None, strength=0.3, scale=0.5, name="mse"):
    """Half the squared error on the entries that are seen, and strength times the products of norms."""
    seen = np.ones(tensor.shape, bool) if seen is None else seen
    entries = Entries(torch.from_numpy(np.argwhere(seen)), tensor.shape)
    order = tensor.ndim
    branch = Branch(FACTORIZATIONS[order], entries, ProductOfNorms(strength, (1,) * order))
    targets = torch.from_numpy(tensor[seen])[:, None]
    empty = ConvexPart(torch.zeros(len(targets), 0, dtype=torch.float64), torch.zeros(0, dtype=torch.float64))
    return Objective((branch,), empty, LossSpec(name, scale=scale, reduction="sum").bind(targets, 1))


def task_for(tensor, seen=None, **changes):
    """The polar of a tensor, on the entries that are seen."""
    objective = objective_for(tensor, seen)
    return task_at(objective, -objective.loss.targets, **changes)


def norm_of(tensor):
    """The spectral norm by brute force: the best of two axes is a matrix's norm; a net and ascent along the others."""
    rng = np.random.default_rng(0)
    starts = rng.standard_normal((300, tensor.ndim - 2, max(tensor.shape)))
    best = 0.0
    for start in starts:
        others = [v[:n] / np.linalg.norm(v[:n]) for v, n in zip(start, tensor.shape[2:], strict=True)]
        for _ in range(20):
            matrix = tensor
            for vector in reversed(others):
                matrix = matrix @ vector
            left, values, right = np.linalg.svd(matrix)
            for axis in range(len(others)):
                rest = np.tensordot(right[0], np.tensordot(left[:, 0], tensor, 1), 1)
                for other in reversed([v for at, v in enumerate(others) if at != axis]):
                    rest = rest @ other if axis == 0 else other @ rest
                others[axis] = rest / max(np.linalg.norm(rest), 1e-300)
            best = max(best, values[0])
    return best


def value_at(tensor, factors):
    for vector in factors:
        tensor = np.tensordot(vector, tensor, 1)
    return float(tensor)


@pytest.mark.parametrize("shape", SHAPES)
def test_the_search_attains_what_it_says_and_finds_what_brute_force_finds(shape):
    tensor = normal(1, *shape)
    found = tensor_search(task_for(tensor))
    first = [factor[0].numpy() for factor in found.witness]
    assert all(abs(np.linalg.norm(vector) - 1) < 1e-12 for vector in first)
    assert value_at(tensor, first) == pytest.approx(found.value, rel=1e-12)
    assert found.value == pytest.approx(norm_of(tensor), rel=1e-9)


def test_the_search_of_large_matrices_moves_one_factor_at_a_time(monkeypatch):
    tensor = normal(2, 4, 5, 6)
    exact = tensor_search(task_for(tensor)).value
    monkeypatch.setattr("certify.bounds.multilinear.tensor_search.LARGEST_PAIRS", 0)
    assert tensor_search(task_for(tensor)).value == pytest.approx(exact, rel=1e-9)


def test_the_search_of_zeros_finds_nothing():
    assert tensor_search(task_for(np.zeros((2, 3, 4)))).value == 0


@pytest.mark.parametrize("shape", SHAPES)
def test_unfoldings_are_all_the_matrices_and_the_best_is_taken(shape):
    tensor, order = normal(3, *shape), len(shape)
    axes = [axes for k in range(1, order) for axes in itertools.combinations(range(order), k)]
    others = [tuple(set(range(order)) - set(rows)) for rows in axes]
    norms = [
        np.linalg.norm(tensor.transpose(*rows, *rest).reshape(math.prod(shape[a] for a in rows), -1), 2)
        for rows, rest in zip(axes, others, strict=True)
    ]
    assert len(set(unfoldings(order))) == len(axes) // 2
    bound = unfolding_bound(task_for(tensor))
    assert min(norms) <= bound.upper <= min(norms) * (1 + 1e-9)
    assert bound.upper >= norm_of(tensor)


def test_entries_that_are_missing_are_zeros():
    tensor, seen = normal(4, 3, 4, 5), np.random.default_rng(4).random((3, 4, 5)) < 0.4
    sparse, full = (unfolding_bound(task) for task in (task_for(tensor, seen), task_for(np.where(seen, tensor, 0))))
    assert sparse.upper == pytest.approx(full.upper, rel=1e-9)
    assert sparse.lower == pytest.approx(full.lower, rel=1e-9)


def test_unfolding_keeps_every_entry_at_its_place():
    tensor = normal(5, 3, 4, 5)
    entries = Entries(torch.from_numpy(np.argwhere(tensor < 9)), tensor.shape)
    matrix = unfolded(entries, (True, False, True))
    found = np.zeros(matrix.shape)
    found[tuple(matrix.indices.T.numpy())] = tensor.ravel()
    np.testing.assert_array_equal(found, tensor.transpose(0, 2, 1).reshape(15, 4))


@pytest.mark.parametrize(("n", "m"), [(3, 4), (2, 2), (1, 5), (5, 3)])
def test_forms_of_multipliers_vanish_on_products_and_no_other_symmetric_ones_do(n, m):
    pairs = (n * (n - 1) // 2, m * (m - 1) // 2)
    multipliers = torch.from_numpy(normal(6, *pairs))
    form = vanishing(multipliers, (n, m))
    torch.testing.assert_close(form, form.T)
    products = np.stack([np.kron(normal(7 + at, n), normal(99 + at, m)) for at in range(300)])
    np.testing.assert_allclose(np.einsum("ra,ab,rb->r", products, form.numpy(), products), 0, atol=1e-12)
    torch.testing.assert_close(multipliers_of(form, (n, m)), multipliers)
    # Of all symmetric forms those that vanish on products are as many as the multipliers.
    squares = np.einsum("ra,rb->rab", products, products)[:, *np.triu_indices(n * m)]
    assert len(squares.T) - np.linalg.matrix_rank(squares) == math.prod(pairs)


def test_what_keeps_still_is_orthogonal_to_what_vanishes():
    whole = torch.from_numpy(normal(8, 12, 12))
    whole = whole + whole.T
    kept = still(whole, (3, 4))
    rest = vanishing(multipliers_of(whole, (3, 4)), (3, 4))
    torch.testing.assert_close(kept + rest, whole)
    assert abs(float((kept * rest).sum())) < 1e-12


def transposed(matrix, n, m):
    """Y's places swapped in an expression (n m, n m)."""
    return cp.bmat([[matrix[m * i : m * (i + 1), m * k : m * (k + 1)].T for k in range(n)] for i in range(n)])


def solved(tensor, seen, strength):
    """Optimum of the joint relaxation by a solver, for half the squared error: rows of the first two axes."""
    n, m, *rest = tensor.shape
    side, columns = n * m, math.prod(rest)
    whole = cp.Variable((side + columns, side + columns), symmetric=True)
    along, across, other = whole[:side, :side], whole[:side, side:], whole[side:, side:]
    still_rows = [along == transposed(along, n, m)]
    still_columns = [other == transposed(other, *rest)] if len(rest) == 2 else []
    error = cp.multiply(seen.reshape(side, columns), across - tensor.reshape(side, columns))
    value = cp.sum_squares(error) / 2 + strength / 2 * cp.trace(whole)
    problem = cp.Problem(cp.Minimize(value), [whole >> 0, *still_rows, *still_columns])
    return problem.solve(solver=cp.CLARABEL)


@pytest.mark.parametrize(
    ("shape", "share"), [((3, 3, 3), 1.0), ((2, 3, 4), 0.6), ((3, 4, 4), 0.8), ((2, 3, 2, 3), 0.8)]
)
def test_the_joint_bound_is_the_solvers(shape, share):
    tensor, seen = normal(9, *shape), np.random.default_rng(9).random(shape) < share
    expected = solved(tensor, seen, 0.5)
    objective = objective_for(tensor, seen, strength=0.5)
    splitting = SymmetricSplitting(objective, objective.branches[0].form, tuple(axis < 2 for axis in range(len(shape))))
    splitting.start((), torch.zeros_like(objective.loss.targets))
    for _ in range(40):
        for _ in range(25):
            splitting.step()
        splitting.even_out()
    value = -objective.loss.conjugate(splitting.gradient)
    assert value == pytest.approx(expected, rel=1e-5)
    proof = SymmetricUnfolding(splitting.sides, splitting.multipliers())
    upper = symmetric_upper(task_at(objective, splitting.gradient), splitting.gradient, proof)
    assert upper == pytest.approx(0.5, rel=1e-4)


def least(tensor):
    """The least bound by multipliers at a given tensor (n, m, k) by a solver: its dual, over what keeps still.

    Maximize 2 <G, Z> over K = [[W, Z], [Zᵀ, V]] ⪰ 0 of trace 1 whose block W keeps still.
    """
    n, m, k = tensor.shape
    whole = cp.Variable((n * m + k, n * m + k), symmetric=True)
    along, across = whole[: n * m, : n * m], whole[: n * m, n * m :]
    value = 2 * cp.sum(cp.multiply(tensor.reshape(n * m, k), across))
    limits = [whole >> 0, cp.trace(whole) == 1, along == transposed(along, n, m)]
    return cp.Problem(cp.Maximize(value), limits).solve(solver=cp.CLARABEL)


@pytest.mark.parametrize("shape", [(3, 3, 3), (3, 4, 2), (2, 5, 5), (1, 3, 3), (3, 1, 2)])
def test_the_best_multipliers_are_the_solvers(shape):
    tensor = normal(14, *shape) * 7
    task = task_for(tensor)
    sides = (True, True, False)
    upper = symmetric_upper(task, task.dual, SymmetricUnfolding(sides, best_multipliers(task, sides)))
    assert upper == pytest.approx(least(tensor), rel=1e-6)


@pytest.mark.parametrize("seed", range(4))
def test_the_bound_is_exact_where_an_axis_of_rows_has_extent_two(seed):
    """Biquadratic forms of 2 × n variables that are nonnegative are sums of squares (Calderón 1973)."""
    tensor = normal(20 + seed, 2, 3, 4)
    angles = np.linspace(0, np.pi, 20001)
    slices = np.einsum("ta,abc->tbc", np.stack([np.cos(angles), np.sin(angles)], 1), tensor)
    exact = np.linalg.svd(slices, compute_uv=False)[:, 0].max()
    task, sides = task_for(tensor), (True, True, False)
    upper = symmetric_upper(task, task.dual, SymmetricUnfolding(sides, best_multipliers(task, sides)))
    assert exact * (1 - 1e-9) <= upper <= exact * (1 + 1e-7)


def test_the_bound_of_the_levi_civita_tensor_is_its_norm():
    """Which is 1, that of a determinant of unit vectors; all unfoldings have the norm √2."""
    task, sides = task_for(LEVI_CIVITA), (True, True, False)
    upper = symmetric_upper(task, task.dual, SymmetricUnfolding(sides, best_multipliers(task, sides)))
    assert 1 <= upper <= 1 + 1e-8
    assert unfolding_bound(task).upper == pytest.approx(math.sqrt(2), rel=1e-9)


@pytest.mark.parametrize("shape", SHAPES)
def test_no_multipliers_prove_less_than_brute_force_finds(shape):
    tensor = normal(10, *shape)
    task, exact, order = task_for(tensor), norm_of(tensor), len(shape)
    for rows in itertools.combinations(range(order), 2):
        sides = tuple(axis in rows for axis in range(order))
        ends = [[n for n, row in zip(shape, sides, strict=True) if row is side] for side in (True, False)]
        pairs = [(n * (n - 1) // 2, m * (m - 1) // 2) for n, m in (end for end in ends if len(end) == 2)]
        for seed in range(5):
            found = tuple(torch.from_numpy(normal(30 + seed, *pair)) * 0.2 for pair in pairs)
            assert symmetric_upper(task, task.dual, SymmetricUnfolding(sides, found)) >= exact


@pytest.mark.parametrize("name", ["mse", "huber", "binary-cross-entropy"])
@pytest.mark.parametrize("shape", [(3, 4, 3), (2, 3, 2, 2)])
def test_no_method_proves_less_than_brute_force_finds(shape, name):
    rng = np.random.default_rng(11)
    tensor, seen = rng.random(shape), rng.random(shape) < 0.8
    objective = objective_for(tensor, seen, strength=0.2, name=name)
    zero = torch.zeros_like(objective.loss.targets)
    gradient = objective.loss.gradient(zero)
    served = 0
    for method in METHODS[Multilinear]:
        task = task_at(objective, gradient, seconds=1.0)
        if method.serves(task):
            for dual, polar in method.run(task):
                served += 1
                dense = np.zeros(shape)
                dense[seen] = -dual[:, 0].numpy()
                assert polar.upper >= norm_of(dense) * (1 - 1e-11), method.name
    # The spectral norm serves matrices.
    assert served == sum(not method.for_factor_norms for method in METHODS[Multilinear]) - 1


def test_the_joint_bound_goes_on_where_it_was():
    tensor = normal(12, 3, 4, 4)
    objective = objective_for(tensor, strength=0.4)
    dual = objective.loss.gradient(torch.zeros_like(objective.loss.targets))
    kept, values, searches = {}, [], []
    for _ in range(2):
        task = task_at(objective, dual, 0.3, kept=kept)
        moved, bound = symmetric_unfolding(task)[0]
        values.append(best_scale(objective, moved, 0.4 / bound.upper).value)
        searches += kept.values()
    assert searches[0] is searches[1]
    assert values[0] <= values[1]


def test_no_time_still_ends():
    tensor = normal(13, 3, 4, 4)
    objective = objective_for(tensor)
    dual = objective.loss.gradient(torch.zeros_like(objective.loss.targets))
    bound = climb(objective, dual, objective.empty_stacks(), math.inf, time.perf_counter())
    assert math.isfinite(bound.value)
