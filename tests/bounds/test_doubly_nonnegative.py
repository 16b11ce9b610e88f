"""Products of rows: the lifted coordinates, the quadratic form, the loss's step, and bounds beside a solver's."""

import itertools
import math
from dataclasses import replace

import cvxpy as cp
import numpy as np
import pytest
import torch

from certify.bounds.proof import DoublyNonnegative, ProductMultipliers
from certify.bounds.rows.relaxations.direction_region import center_of, direction_region
from certify.bounds.rows.relaxations.doubly_nonnegative import product_search
from certify.bounds.rows.relaxations.doubly_nonnegative.lift import Symmetric, lift_of
from certify.bounds.rows.relaxations.doubly_nonnegative.penalty import PenaltyCourse
from certify.bounds.rows.relaxations.doubly_nonnegative.product_method import products
from certify.bounds.rows.relaxations.doubly_nonnegative.product_program import product_program
from certify.bounds.rows.relaxations.doubly_nonnegative.products import product_form
from certify.bounds.rows.relaxations.doubly_nonnegative.proven import doubly_nonnegative_upper
from certify.bounds.rows.relaxations.doubly_nonnegative.proximal import LossStep, proximal
from certify.bounds.rows.relaxations.doubly_nonnegative.splitting import Splitting
from certify.problem import LOSSES, ConvexPart, LossSpec, Objective
from certify.problem.dual import best_scale, feasible_dual

from .objectives import KINDS, RECTIFIERS, best_found, branch_of, instance, plain_convex, task_at, task_of


def normal(seed, *shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("outputs", [1, 3])
def test_the_basis_is_orthonormal_and_spans_the_subspace(outputs):
    rows = normal(0, 7, 3)
    lift = lift_of(rows, outputs)
    core, above, below = lift.expanded(torch.eye(lift.size, dtype=torch.float64))
    basis = torch.cat([core, above, below])
    torch.testing.assert_close(basis.T @ basis, torch.eye(lift.size, dtype=torch.float64))
    torch.testing.assert_close(above - below, lift.unit * rows @ core[outputs:])


@pytest.mark.parametrize("outputs", [1, 3])
def test_compression_is_the_product_with_the_basis(outputs):
    lift, p = lift_of(normal(0, 7, 3), outputs), outputs + 3
    whole = normal(1, p + 14, p + 14)
    whole = whole + whole.T
    basis = torch.cat(lift.expanded(torch.eye(lift.size, dtype=torch.float64)))
    above, below = slice(p, p + 7), slice(p + 7, None)
    rim = torch.stack([whole[above, :p], whole[below, :p]])
    blocks = Symmetric(whole[:p, :p], rim, whole[above, above], whole[above, below], whole[below, below])
    torch.testing.assert_close(lift.compressed(blocks), basis.T @ whole @ basis)


@pytest.mark.parametrize("kind", sorted(RECTIFIERS))
@pytest.mark.parametrize(("outputs", "split"), [(1, 1), (2, 0), (2, 1), (2, 2)])
def test_the_form_is_what_it_is_said_to_be(kind, outputs, split):
    rows, scores = normal(0, 6, 3), normal(1, 6, outputs)
    form = branch_of(KINDS[kind], rows).form
    both, cross, none = (normal(seed, 6, 6) for seed in (2, 3, 4))
    both, none = both + both.T, none + none.T
    heights, tilts = normal(5, 2, 6, split), normal(6, 2, 6, 3) if outputs == 1 else None
    region = direction_region(form.view, rows.new_zeros(0), 1.0)
    built = product_form(region, form.slopes, scores, ProductMultipliers(both, cross, none, heights, tilts, (0, 0), 1))
    v, u, g = normal(7, outputs), normal(8, 3), normal(9, 6)
    above, below = g + rows @ u / 2, g - rows @ u / 2
    expected = -(v @ scores.T) @ (form.slopes.positive * above - form.slopes.negative * below)
    expected = expected - above @ both @ above - 2 * above @ cross @ below - below @ none @ below
    for z, height in zip((above, below), heights, strict=True):
        expected = expected - z @ height @ v[:split]
    if outputs == 1:
        expected = expected - above @ tilts[0] @ u - below @ tilts[1] @ u
    core = torch.cat([v, u])
    found = core @ built.core @ core + 2 * g @ built.rim @ core + g @ built.products @ g
    assert float(found) == pytest.approx(float(expected), rel=1e-12)


@pytest.mark.parametrize("free", [0, 1])
@pytest.mark.parametrize(("outputs", "split"), [(1, 1), (2, 0), (2, 1), (2, 2)])
@pytest.mark.parametrize("kind", sorted(RECTIFIERS))
def test_no_multipliers_prove_less_than_brute_force_finds(kind, outputs, split, free):
    for seed in range(4):
        rows, dual = instance(seed, free, outputs=outputs)
        task = task_of(branch_of(KINDS[kind], rows, free), dual)
        (n, h), size = rows.shape, 10.0 ** (seed - 2)
        center = center_of(task.branch.view, torch.ones(n, dtype=torch.bool))
        signs = []
        for sign in range(2**split):
            values = [size * normal(10 * seed + 3 * sign + part, n, n) for part in range(3)]
            heights = size * normal(seed, 2, n, split)
            tilts = size * normal(seed + 1, 2, n, h - free) if outputs == 1 else None
            signs.append(ProductMultipliers(*values, heights, tilts))
        upper, proof = doubly_nonnegative_upper(task.form, task.scores, DoublyNonnegative(tuple(signs), center))
        lengths = torch.linalg.vector_norm(rows, dim=1)
        rounding = 1e-11 * float((torch.linalg.vector_norm(task.scores, dim=1) * lengths).sum())
        assert upper >= best_found(task) - rounding
        if upper < math.inf:
            assert all(bool((sign.both >= 0).all() & (sign.none >= 0).all()) for sign in proof.signs)


def test_levels_may_exceed_single_precision():
    """Tiny products leave a level of v as large as they are small."""
    rows, dual = normal(0, 5, 2), normal(1, 5, 2)
    task = task_of(branch_of(KINDS["relu"], rows), dual)
    products_of_rows = (1e-120 * normal(2 + part, 5, 5).abs() for part in range(3))
    signs = (ProductMultipliers(*products_of_rows, rows.new_zeros(2, 5, 0), None),)
    upper, _ = doubly_nonnegative_upper(task.form, task.scores, DoublyNonnegative(signs, rows.new_zeros(0)))
    assert upper >= best_found(task)


def some_targets(name, n):
    draw = normal(1, n, 3)
    if name == "cross-entropy":
        return draw.argmax(1)
    if name in ("soft-margin", "squared-hinge"):
        return torch.where(draw > 0, 1.0, -1.0).double()
    return {"binary-cross-entropy": (draw > 0).double(), "poisson": draw.abs().round()}.get(name, draw)


@pytest.mark.parametrize("pull", [1e-3, 1.0, 1e3])
@pytest.mark.parametrize("name", sorted(LOSSES))
def test_the_step_of_a_loss_is_stationary(name, pull):
    loss = LossSpec(name).bind(some_targets(name, 20), 3)
    point = 5 * normal(2, 20, 3)
    for start in (point, 20 * normal(3, 20, 3)):
        z = proximal(loss, point, pull, start)
        slope = loss.gradient(z) + pull * (z - point)
        assert float(slope.abs().max()) <= 1e-9 * (1 + pull)


def test_the_step_approaches_the_coefficients_of_the_convex_part():
    n = 20
    features, ridge = normal(0, n, 3), torch.tensor([0.0, 0.1, 2.0], dtype=torch.float64)
    loss = LossSpec("cross-entropy").bind(some_targets("cross-entropy", n), 3)
    branch = branch_of(KINDS["relu"], normal(1, n, 2))
    step = LossStep(Objective((branch,), ConvexPart(features, ridge), loss))
    point = normal(3, n, 3)
    for _ in range(300):
        z, gradient = step(point, 0.1)
    torch.testing.assert_close(gradient + 0.1 * (z - point), torch.zeros(n, 3, dtype=torch.float64), atol=1e-9, rtol=0)
    moments = features.T @ gradient + ridge[:, None] * step.coefficients
    assert float(moments.abs().max()) <= 1e-8


def solver_value(rows, targets, strength, slopes, split):
    """The relaxation as cvxpy has it, over one lift for each pattern of signs of outputs; half squared error."""
    (n, d), m = rows.shape, targets.shape[1]
    outputs, cost, constraints = 0, 0, []
    for pattern in itertools.product((1, -1), repeat=split):
        signs = np.array([*pattern, *[1] * (m - split)])
        reduced = cp.Variable((m + d + n, m + d + n), PSD=True)
        odd, even = np.hstack([np.zeros((n, m)), rows / 2, np.zeros((n, n))]), np.eye(n, m + d + n, m + d)
        basis = np.vstack([np.eye(m + d, m + d + n), even + odd, even - odd])
        lift = basis @ reduced @ basis.T
        v, u, z = slice(0, m), slice(m, m + d), slice(m + d, None)
        above, below = slice(m + d, m + d + n), slice(m + d + n, None)
        constraints += [lift[z, z] >= 0, cp.diag(lift[above, below]) == 0, lift[z, :split] >= 0]
        if m == 1:
            constraints += [lift[0, 0] == cp.trace(lift[u, u]), cp.SOC(lift[z, 0], lift[u, z], axis=0)]
        outputs = outputs + (slopes.positive * lift[above, v] - slopes.negative * lift[below, v]) @ np.diag(signs)
        cost = cost + strength / 2 * (cp.trace(lift[v, v]) + cp.trace(lift[u, u]))
    loss = cp.sum_squares(outputs - targets) / targets.size
    return cp.Problem(cp.Minimize(loss + cost), constraints).solve(solver=cp.CLARABEL)


@pytest.mark.parametrize(
    ("kind", "outputs", "split"),
    [(kind, outputs, int(outputs == 1)) for kind in ("relu", "leaky 0.1", "abs") for outputs in (1, 2)]
    + [("relu", 2, 2)],
)
def test_iterates_approach_the_value_of_a_solver_and_bounds_stay_below_it(kind, outputs, split):
    rows, targets = normal(0, 8, 3), normal(1, 8, outputs)
    branch = branch_of(KINDS[kind], rows, strength=0.05)
    objective = Objective((branch,), plain_convex(8), LossSpec("mse").bind(targets, outputs))
    expected = solver_value(rows.numpy(), targets.numpy(), branch.strength, branch.form.slopes, split)
    splitting = Splitting(objective, (rows,))
    splitting.rescale(2)
    (part,) = splitting.parts
    if split > part.split:
        part.divide(split)
    for _ in range(3000):
        splitting.step()
    dual = feasible_dual(objective, splitting.gradient)
    assert -objective.loss.conjugate(dual) == pytest.approx(expected, rel=0.01)
    raw = DoublyNonnegative(splitting.parts[0].multipliers(), rows.new_zeros(0))
    upper, _ = doubly_nonnegative_upper(branch.form, branch.scores(dual), raw)
    value = best_scale(objective, dual, branch.strength / upper).value
    assert 0.98 * expected <= value <= expected * (1 + 1e-7)


@pytest.mark.parametrize(("outputs", "split"), [(1, 1), (2, 0), (2, 2)])
def test_the_program_proves_the_value_of_a_solver_and_signs_of_outputs_only_add_to_it(outputs, split):
    rows, targets = normal(0, 8, 3), normal(1, 8, outputs)
    branch = branch_of(KINDS["relu"], rows, strength=0.05)
    objective = Objective((branch,), plain_convex(8), LossSpec("mse").bind(targets, outputs))
    expected = solver_value(rows.numpy(), targets.numpy(), branch.strength, branch.form.slopes, int(outputs == 1))
    task = task_at(objective, objective.loss.gradient(torch.zeros_like(targets)), 60.0)
    candidate, multipliers = product_program(task, rows, split, 60.0)
    dual = feasible_dual(objective, candidate)
    raw = DoublyNonnegative(multipliers, rows.new_zeros(0))
    upper, _ = doubly_nonnegative_upper(branch.form, branch.scores(dual), raw)
    value = best_scale(objective, dual, branch.strength / upper).value
    if split == outputs == 2:
        assert value > expected * 1.01
    else:
        assert value == pytest.approx(expected, rel=2e-3)
    assert value <= objective_of_a_descent(objective, rows)


@pytest.mark.parametrize("name", ["cross-entropy", "mse", "poisson"])
def test_the_program_serves_free_biases_and_losses(name):
    n = 8
    rows = torch.cat([normal(0, n, 2), torch.ones(n, 1, dtype=torch.float64)], 1)
    loss = LossSpec(name).bind(some_targets(name, n), 3)
    objective = Objective((branch_of(KINDS["relu"], rows, 1),), plain_convex(n), loss)
    zero = torch.zeros(n, 3, dtype=torch.float64)
    task = task_at(objective, feasible_dual(objective, loss.gradient(zero)), 60.0)
    ((dual, bound),) = products(task)
    assert bound.upper <= 1.01 * objective.branches[0].strength
    assert -loss.conjugate(dual) <= loss.value(zero) + 1e-9


def objective_of_a_descent(objective, rows):
    """Of a network of ten subnetworks after some steps."""
    weights = [normal(9, 10, width).requires_grad_() for width in (rows.shape[1], objective.outputs)]
    optimizer = torch.optim.LBFGS(weights, max_iter=50)

    def closure():
        optimizer.zero_grad()
        outputs = (rows @ weights[0].T).relu() @ weights[1]
        squares = sum((weight**2).sum() for weight in weights)
        total = objective.loss.value_terms(outputs).sum() + objective.branches[0].strength / 2 * squares
        total.backward()
        return total

    optimizer.step(closure)
    return float(closure().detach())


def test_a_network_at_hand_is_where_it_starts():
    rows, dual = instance(3, outputs=2)
    task = task_of(branch_of(KINDS["relu"], rows), dual)
    splitting = Splitting(task.objective, (rows,))
    hidden, second = normal(0, 4, rows.shape[1]), normal(1, 4, 2)
    (part,) = splitting.parts
    part.start((hidden, second), rows.new_zeros(0))
    (block,) = part.blocks
    outputs = block.loss[0] / part.lift.unit
    torch.testing.assert_close(outputs, (rows @ hidden.T).clamp_min(0) @ second)
    assert not bool(block.cross.diagonal().any())


def test_blocks_with_signs_start_from_the_bound_of_the_one_before():
    rows, targets = normal(0, 12, 3), normal(1, 12, 3)
    branch = branch_of(KINDS["leaky 0.1"], rows)
    objective = Objective((branch,), plain_convex(12), LossSpec("mse").bind(targets, 3))
    splitting = Splitting(objective, (rows,))
    for _ in range(200):
        splitting.step()
    scores, uppers = branch.scores(feasible_dual(objective, splitting.gradient)), []
    for split in (0, 2):
        if split:
            splitting.parts[0].divide(split)
        raw = DoublyNonnegative(splitting.parts[0].multipliers(), rows.new_zeros(0))
        uppers.append(doubly_nonnegative_upper(branch.form, scores, raw)[0])
    assert uppers[1] == pytest.approx(uppers[0], rel=1e-6)
    assert [block.cone.shape[2] for block in splitting.parts[0].blocks] == [6] * 4


def test_signs_of_outputs_are_taken_where_one_block_has_stalled(monkeypatch):
    monkeypatch.setattr(product_search, "SOLVED_ROWS", 0)
    rows, targets = normal(0, 8, 3), normal(1, 8, 2)
    branch = branch_of(KINDS["relu"], rows, strength=0.05)
    objective = Objective((branch,), plain_convex(8), LossSpec("mse").bind(targets, 2))
    alone = solver_value(rows.numpy(), targets.numpy(), branch.strength, branch.form.slopes, 0)
    task = replace(task_at(objective, objective.loss.gradient(torch.zeros_like(targets)), 600.0), needed=1.005 * alone)
    ((dual, bound),) = products(task)
    assert best_scale(objective, dual, branch.strength / bound.upper).value >= task.needed


def test_penalties_fall_while_scaling_costs_much_and_rise_once_it_does_not():
    course = PenaltyCourse(0.0)
    course.steer(1.0, 0.01, 0.0)
    assert course.factor > 1
    course.steer(1.0, 0.5, 0.0)
    assert course.factor < 1
    course.steer(1.1, 0.1, 0.0)
    assert course.factor < 1
    course.steer(1.2, 0.01, 0.0)
    assert course.factor > 1
    assert course.is_low


def test_single_precision_is_refined_to_the_same_bound():
    rows, targets = normal(0, 30, 3), normal(1, 30, 2)
    objective = Objective((branch_of(KINDS["relu"], rows),), plain_convex(30), LossSpec("mse").bind(targets, 2))
    found = []
    for precision in (torch.float32, torch.float64):
        splitting = Splitting(objective, (rows,), precision)
        splitting.rescale(8)
        for _ in range(300):
            splitting.step()
        splitting.refine()
        for _ in range(20):
            splitting.step()
        found.append(splitting.gradient)
    torch.testing.assert_close(*found, rtol=1e-4, atol=1e-6)


def test_absolute_values_start_from_nothing_in_single_precision():
    """There Y_zu stays exactly zero for a while."""
    rows, targets = normal(0, 9, 3), normal(1, 9, 1)
    objective = Objective((branch_of(KINDS["abs"], rows),), plain_convex(9), LossSpec("mse").bind(targets, 1))
    splitting = Splitting(objective, (rows,), torch.float32)
    for _ in range(5):
        splitting.step()
    assert all(bool(torch.isfinite(block.cone).all()) for block in splitting.parts[0].blocks)


def test_it_stops_where_the_bound_decides():
    rows, targets = normal(0, 20, 3), normal(1, 20, 1)
    objective = Objective((branch_of(KINDS["relu"], rows),), plain_convex(20), LossSpec("mse").bind(targets, 1))
    task = task_at(objective, objective.loss.gradient(torch.zeros_like(targets)), 60.0)
    ((dual, bound),) = products(replace(task, needed=0.0))
    assert best_scale(objective, dual, 0.1 / bound.upper).value >= 0
    assert task.seconds_left > 30


def test_a_search_goes_on_where_the_task_before_left_it():
    """Every bound that it tells of is better than the last; one that began again would tell of its first."""
    rows, targets = normal(0, 26, 3), normal(1, 26, 1)
    objective = Objective((branch_of(KINDS["relu"], rows),), plain_convex(26), LossSpec("mse").bind(targets, 1))
    dual, kept, told = objective.loss.gradient(torch.zeros_like(targets)), {}, []
    for _ in range(3):
        task = replace(task_at(objective, dual, 600.0), kept=kept, needed=told[-1] + 1e-3 if told else 0.0)
        products(replace(task, listener=lambda event: told.append(event.lower_bound)))
        assert told[-1] >= task.needed
    assert sorted(told) == told
    assert len(told) >= 3
    assert len(kept) == 1
