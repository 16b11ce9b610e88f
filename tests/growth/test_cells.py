"""Activation cells and the convex program over them: formulas against plain forward passes, minima against cvxpy."""

import time

import cvxpy as cp
import numpy as np
import pytest
import torch

from certify.growth.block_program import input_blocks, output_blocks
from certify.growth.cells import cells_of, unit_rows
from certify.growth.interior_point import minimize_blocks
from certify.growth.newton_system import NewtonSystem
from certify.growth.polish import polished
from certify.models.loading import Problem

NOTHING = torch.zeros(0, dtype=torch.float64)


def regression(seed, n=12, d=3, c=1, hidden="absent", output="absent", loss="mse"):
    rng = np.random.default_rng(seed)
    inputs, targets = rng.standard_normal((n, d)), rng.standard_normal((n, c))
    model = torch.nn.Sequential(
        torch.nn.Linear(d, 4, bias=hidden != "absent"),
        torch.nn.ReLU(),
        torch.nn.Linear(4, c, bias=output != "absent"),
    ).double()
    biases = {"hidden": hidden, "output": output}
    return Problem.from_torch(model, inputs, targets, loss=loss, weight_decay=0.1, biases=biases).objective


def atoms(objective, count, seed=0):
    generator = torch.Generator().manual_seed(seed)
    first = torch.randn(count, objective.inputs.shape[1], generator=generator, dtype=torch.float64)
    second = torch.randn(count, objective.outputs, generator=generator, dtype=torch.float64)
    return torch.nn.functional.normalize(first, dim=1), torch.nn.functional.normalize(second, dim=1)


def starting(objective, cells):
    inside = cells.start + 0.1 * cells.interior
    return torch.cat([inside.flatten(), inside.new_zeros(objective.convex.features.shape[1] * objective.outputs)])


@pytest.mark.parametrize("seed", range(5))
def test_a_direction_lies_in_its_cell_and_the_interior_is_strictly_inside(seed):
    objective = regression(seed)
    directions = atoms(objective, 10)
    cells = cells_of(objective.inputs, directions, torch.ones(10))
    signs = torch.where(cells.patterns, 1.0, -1.0).double()
    assert cells.count == 10
    assert bool((signs * (cells.interior @ unit_rows(objective.inputs).T) > 0).all())
    assert bool((signs * (cells.start @ objective.inputs.T) > 0).all())
    assert torch.allclose(cells.start.sum(0), directions[0].sum(0))


def test_a_new_direction_on_kinks_gets_cells_on_opposite_sides_that_contain_it():
    objective = regression(3)
    normals = objective.inputs[:2].numpy()
    edge = torch.from_numpy(np.cross(normals[0], normals[1]))[None]
    directions = (edge / edge.norm(), torch.ones(1, 1, dtype=torch.float64))
    cells = cells_of(objective.inputs, directions, torch.zeros(1))
    assert cells.count == 2
    assert bool((cells.patterns[0] != cells.patterns[1])[:2].all())
    signs = torch.where(cells.patterns, 1.0, -1.0).double()
    assert bool((signs * (edge @ objective.inputs.T) >= -1e-12).all())


def test_flat_cells_are_left_out_and_equal_ones_put_together():
    inputs = torch.tensor([[1.0, 0.0], [-1.0, 0.0]], dtype=torch.float64)
    kink = (torch.tensor([[0.0, 1.0]], dtype=torch.float64), torch.ones(1, 1, dtype=torch.float64))
    assert all(cell.sum() == 1 for cell in cells_of(inputs, kink, torch.zeros(1)).patterns)
    twice = (torch.tensor([[1.0, 1.0], [1.0, 2.0]], dtype=torch.float64), torch.ones(2, 1, dtype=torch.float64))
    together = cells_of(inputs, twice, torch.tensor([1.0, 2.0], dtype=torch.float64))
    assert together.count == 1
    assert together.start.tolist() == [[3.0, 5.0]]


@pytest.mark.parametrize("c", [1, 3])
def test_inside_its_cells_the_program_is_the_network(c):
    objective = regression(4, c=c, hidden="penalized", output="penalized")
    cells = cells_of(objective.inputs, atoms(objective, 6), torch.ones(6))
    program = input_blocks(objective, cells)
    point = starting(objective, cells)
    weights, _ = program.split(point)
    expected = (weights @ objective.inputs.T).clamp_min(0).T @ cells.outgoing
    assert bool((program.slack(point) > 0).all())
    assert torch.allclose(program.outputs(point), expected, rtol=1e-12)


@pytest.mark.parametrize("hidden", ["absent", "free"])
@pytest.mark.parametrize("kind", ["input", "output"])
def test_derivatives_are_those_of_finite_differences(kind, hidden):
    objective = regression(5, c=2, hidden=hidden, loss="huber")
    directions = atoms(objective, 4)
    cells = cells_of(objective.inputs, directions, torch.ones(4))
    program = input_blocks(objective, cells) if kind == "input" else output_blocks(objective, directions[0])
    point = starting(objective, cells) if kind == "input" else directions[1].flatten() + 0.1
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
    cells = cells_of(objective.inputs, atoms(objective, 8, seed), torch.ones(8))
    program = input_blocks(objective, cells)
    found = minimize_blocks(program, starting(objective, cells), time.perf_counter() + 20)
    blocks, constant = cp.Variable((cells.count, 3)), cp.Variable()
    inputs, targets = objective.inputs.numpy(), objective.loss.targets.numpy()[:, 0]
    outputs, walls = constant, []
    for k in range(cells.count):
        pattern = cells.patterns[k].numpy()
        outputs = outputs + float(cells.outgoing[k]) * cp.multiply(pattern.astype(float), inputs @ blocks[k])
        walls.append(cp.multiply(np.where(pattern, 1.0, -1.0), inputs @ blocks[k]) >= 0)
    penalty = 0.1 * cp.sum(cp.norm(blocks, axis=1)) + 0.05 * constant**2
    asked = cp.Problem(cp.Minimize(cp.sum_squares(outputs - targets) / len(targets) + penalty), walls)
    asked.solve(solver=cp.CLARABEL, tol_gap_abs=1e-11, tol_gap_rel=1e-11, tol_feas=1e-11)
    assert program.smooth_value(found, 0.0) == pytest.approx(asked.value, rel=1e-7)


@pytest.mark.parametrize("c", [1, 2])
@pytest.mark.parametrize("output", ["absent", "free", "penalized"])
@pytest.mark.parametrize("hidden", ["absent", "free", "penalized"])
def test_after_polishing_no_direction_of_a_given_cell_violates(c, hidden, output):
    objective = regression(8, n=15, c=c, hidden=hidden, output=output)
    directions = atoms(objective, 12)
    network = polished(objective, objective.empty_network(), directions, time.perf_counter() + 20)
    assert objective.evaluate(network).objective < objective.evaluate(objective.empty_network()).objective
    if c > 1:
        return
    dual = objective.evaluate(network).gradient
    cells = cells_of(objective.inputs, directions, torch.zeros(12))
    generator = torch.Generator().manual_seed(1)
    around = torch.randn(2000, objective.inputs.shape[1], generator=generator, dtype=torch.float64)
    patterns = around @ objective.inputs.T > 0
    for pattern, sign in zip(cells.patterns, cells.outgoing, strict=True):
        inside = around[(patterns == pattern).all(1)]
        size = inside[:, : inside.shape[1] - objective.free_inputs].norm(dim=1)
        pairing = -float(sign) * ((inside @ objective.inputs.T).clamp_min(0) @ dual)[:, 0]
        assert bool((pairing <= 0.1 * size * (1 + 1e-5) + 1e-9).all())
