"""Activation cells and the convex program over them: formulas against plain forward passes, minima against cvxpy."""

import time

import cvxpy as cp
import numpy as np
import pytest
import torch

from certify.growth.block_group import input_blocks, output_blocks
from certify.growth.block_program import block_program
from certify.growth.cells import cells_of, one_cell, unit_rows
from certify.growth.interior_point import minimize_blocks
from certify.growth.newton_system import NewtonSystem
from certify.growth.polish import polished
from certify.problem import Branch, ProductOfNorms, Readout, Rows, Slopes, View, WeightDecay
from certify.problem.kinds import Absolute, LeakyReLU, Linear, Quadratic, ReLU
from tests.growth.reference import drawn, objective_of, view_of

RIDGES = {"absent": None, "penalized": 0.1, "free": 0.0}
KINKED = {"relu": ReLU(), "leaky-relu": LeakyReLU(0.2), "rising-left": LeakyReLU(-0.5), "abs": Absolute()}
DECAY = WeightDecay((0.1, 0.1))


def regression(seed, n=12, d=3, c=1, hidden="absent", output="absent", loss="mse", kind=KINKED["relu"]):
    branch = Branch(kind, view_of(drawn(n, d, seed=seed), hidden), DECAY)
    return objective_of(branch, targets=drawn(n, c, seed=seed + 100), ridge=RIDGES[output], loss=loss)


def atoms(objective, count, seed=0, index=0):
    branch = objective.branches[index]
    sizes = branch.kind.sizes(branch.view, objective.outputs)
    drawings = (drawn(count, size, seed=seed + place) for place, size in enumerate(sizes))
    return tuple(torch.nn.functional.normalize(f, dim=1) for f in drawings)


def cells_and_program(objective, directions, scales=None):
    (branch,) = objective.branches
    cells = cells_of(branch.form, directions, torch.ones(len(directions[0])) if scales is None else scales)
    return cells, block_program(objective, (input_blocks(branch, cells),))


def starting(objective, cells):
    inside = cells.start + 0.1 * cells.interior
    return torch.cat([inside.flatten(), inside.new_zeros(objective.convex.features.shape[1] * objective.outputs)])


def blocks_of(program, point):
    return program.split(point)[0][0]


@pytest.mark.parametrize("seed", range(5))
def test_a_direction_lies_in_its_cell_and_the_interior_is_strictly_inside(seed):
    objective = regression(seed)
    directions = atoms(objective, 10)
    cells, _ = cells_and_program(objective, directions)
    assert len(cells.slopes) == 10
    assert bool((cells.signs * (cells.interior @ cells.walls.T) > 0).all())
    assert bool((cells.signs * (cells.start @ cells.walls.T) > 0).all())
    assert torch.allclose(cells.start.sum(0), directions[0].sum(0))


def test_a_new_direction_on_kinks_gets_cells_on_opposite_sides_that_contain_it():
    objective = regression(3)
    normals = objective.branches[0].view.rows[:2].numpy()
    edge = torch.from_numpy(np.cross(normals[0], normals[1]))[None]
    directions = (edge / edge.norm(), torch.ones(1, 1, dtype=torch.float64))
    cells, _ = cells_and_program(objective, directions, torch.zeros(1))
    assert len(cells.slopes) == 2
    assert bool((cells.signs[0] != cells.signs[1])[:2].all())
    assert bool((cells.signs * (edge @ cells.walls.T) >= -1e-12).all())


def test_flat_cells_are_left_out_and_equal_ones_put_together():
    form = Rows(View(torch.tensor([[1.0, 0.0], [-1.0, 0.0]], dtype=torch.float64)), Slopes(1.0, 0.0))
    kink = (torch.tensor([[0.0, 1.0]], dtype=torch.float64), torch.ones(1, 1, dtype=torch.float64))
    assert all(slopes.sum() == 1 for slopes in cells_of(form, kink, torch.zeros(1)).slopes)
    twice = (torch.tensor([[1.0, 1.0], [1.0, 2.0]], dtype=torch.float64), torch.ones(2, 1, dtype=torch.float64))
    together = cells_of(form, twice, torch.tensor([1.0, 2.0], dtype=torch.float64))
    assert len(together.slopes) == 1
    assert together.start.tolist() == [[3.0, 5.0]]


@pytest.mark.parametrize("kind", KINKED.values(), ids=KINKED)
@pytest.mark.parametrize("c", [1, 3])
def test_inside_its_cells_the_program_is_the_network(c, kind):
    objective = regression(4, c=c, hidden="penalized", output="penalized", kind=kind)
    cells, program = cells_and_program(objective, atoms(objective, 6))
    point = starting(objective, cells)
    expected = kind.activation(blocks_of(program, point) @ objective.branches[0].view.rows.T).T @ cells.outgoing
    assert bool((program.slack(point) > 0).all())
    assert torch.allclose(program.outputs(point), expected, rtol=1e-12, atol=1e-14)


READOUTS = {
    "mean-pool": (Readout(torch.full((1, 3, 1), 1 / 3, dtype=torch.float64)), 2, 2),
    "flatten": (Readout(torch.eye(3, dtype=torch.float64)[None]), 2, 6),
    "convolution": (Readout(drawn(2, 3, 2, seed=5)), 4, 4),
    "masks": (Readout(drawn(8, 1, 3, 2, seed=6)), 2, 4),
}


@pytest.mark.parametrize(("readout", "c", "weights"), READOUTS.values(), ids=READOUTS)
@pytest.mark.parametrize("kind", [ReLU(), Linear(), Quadratic()], ids=lambda kind: kind.name)
def test_programs_see_the_readout_and_the_offset(kind, readout, c, weights):
    view = view_of(drawn(8 * 3, 2, seed=1), readout=readout)
    offset = drawn(8, c, seed=2)
    branch = Branch(kind, view, ProductOfNorms(0.1, kind.degrees))
    objective = objective_of(branch, targets=drawn(8, c, seed=3), offset=offset)
    directions, scales = atoms(objective, 5), drawn(5, seed=4).abs()
    group = output_blocks(branch, directions, scales)
    network_outputs = torch.einsum("r,rnc->nc", scales, kind.outputs(view, directions)) + offset
    assert group.start.shape == (5, weights)
    assert torch.allclose(block_program(objective, (group,)).outputs(group.start.flatten()), network_outputs)
    if kind.degrees == (1, 1):
        cells = one_cell if kind.name == "linear" else cells_of
        group = input_blocks(branch, cells(branch.form, directions, scales))
        assert torch.allclose(block_program(objective, (group,)).outputs(group.start.flatten()), network_outputs)


@pytest.mark.parametrize("hidden", ["absent", "free"])
@pytest.mark.parametrize("side", ["input", "output"])
def test_derivatives_are_those_of_finite_differences(side, hidden):
    objective = regression(5, c=2, hidden=hidden, loss="huber")
    directions = atoms(objective, 4)
    cells, program = cells_and_program(objective, directions)
    point = starting(objective, cells)
    if side == "output":
        program = block_program(objective, (output_blocks(objective.branches[0], directions, torch.ones(4)),))
        point = directions[1].flatten() + 0.1
    barrier, step = 1e-3, 1e-6
    gradient, curvature = program.smooth_derivatives(point, barrier)
    hessian = NewtonSystem(program, program.outputs(point), curvature).matrix()
    for j in range(len(point)):
        move = torch.zeros_like(point)
        move[j] = step
        ahead, behind = (program.smooth_value(point + s * move, barrier) for s in (1, -1))
        assert float(gradient[j]) == pytest.approx((ahead - behind) / (2 * step), rel=1e-5, abs=1e-8)
        slopes = [program.smooth_derivatives(point + s * move, barrier)[0] for s in (1, -1)]
        assert torch.allclose(hessian[:, j], (slopes[0] - slopes[1]) / (2 * step), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("seed", range(4))
def test_the_minimum_is_that_of_a_conic_solver(seed):
    objective = regression(seed, n=10, output="penalized")
    cells, program = cells_and_program(objective, atoms(objective, 8, seed))
    found = minimize_blocks(program, starting(objective, cells), time.perf_counter() + 20)
    blocks, constant = cp.Variable((len(cells.slopes), 3)), cp.Variable()
    inputs, targets = objective.branches[0].view.rows.numpy(), objective.loss.targets.numpy()[:, 0]
    outputs, walls = constant, []
    for k in range(len(cells.slopes)):
        pattern = cells.slopes[k].numpy()
        outputs = outputs + float(cells.outgoing[k, 0]) * cp.multiply(pattern, inputs @ blocks[k])
        walls.append(cp.multiply(2 * pattern - 1, inputs @ blocks[k]) >= 0)
    penalty = 0.1 * cp.sum(cp.norm(blocks, axis=1)) + 0.05 * constant**2
    asked = cp.Problem(cp.Minimize(cp.sum_squares(outputs - targets) / len(targets) + penalty), walls)
    asked.solve(solver=cp.CLARABEL, tol_gap_abs=1e-11, tol_gap_rel=1e-11, tol_feas=1e-11)
    assert program.smooth_value(found, 0.0) == pytest.approx(asked.value, rel=1e-7)


@pytest.mark.parametrize("kind", KINKED.values(), ids=KINKED)
@pytest.mark.parametrize("c", [1, 2])
@pytest.mark.parametrize(("hidden", "output"), [("absent", "free"), ("penalized", "absent"), ("free", "penalized")])
def test_after_polishing_no_direction_of_a_given_cell_violates(c, hidden, output, kind):
    objective = regression(8, n=15, c=c, hidden=hidden, output=output, kind=kind)
    (branch,), directions = objective.branches, atoms(objective, 12)
    network = polished(objective, objective.empty_network(), (directions,), time.perf_counter() + 20)
    assert objective.evaluate(network).objective < objective.evaluate(objective.empty_network()).objective
    if c > 1:
        return
    dual, rows = objective.evaluate(network).gradient, branch.view.rows
    cells, _ = cells_and_program(objective, directions, torch.zeros(12))
    around = drawn(2000, rows.shape[1], seed=1)
    signs = torch.where(around @ unit_rows(rows).T > 0, 1.0, -1.0)
    for cell, sign in zip(cells.signs, cells.outgoing, strict=True):
        inside = around[(signs == cell).all(1)]
        pairing = branch.pairing(dual, (inside, sign.expand(len(inside), 1)))
        assert bool((pairing <= 0.1 * branch.norms((inside,))[0] * (1 + 1e-5) + 1e-9).all())
