"""Newton systems of block programs are solved alike through the outputs and densely."""

import numpy as np
import pytest
import torch
from scipy.linalg import block_diag

from certify.growth.block_group import input_blocks, output_blocks
from certify.growth.block_program import block_program
from certify.growth.cells import cells_of
from certify.growth.newton_system import NewtonSystem
from certify.problem import Branch, View, WeightDecay
from certify.problem.kinds import ReLU
from tests.growth.reference import drawn, objective_of

N, D = 10, 4


@pytest.mark.parametrize("ridge", [None, 0.1, 0.0])
@pytest.mark.parametrize("width", [1, 12])
@pytest.mark.parametrize("branches", [1, 2])
def test_the_solution_is_that_of_the_assembled_matrix(branches, width, ridge):
    rng = np.random.default_rng(0)
    branch = Branch(ReLU(), View(drawn(N, D)), WeightDecay((0.1, 0.1)))
    objective = objective_of(*[branch] * branches, targets=drawn(N, 1, seed=1), ridge=ridge)
    directions = (drawn(width, D, seed=2), drawn(width, 1, seed=3).sign())
    groups = (
        input_blocks(branch, cells_of(branch.form, directions, torch.ones(width))),
        output_blocks(branch, directions, torch.ones(width)),
    )[:branches]
    program = block_program(objective, groups)
    blocks = []
    for group in groups:
        roots = rng.standard_normal((*group.start.shape, group.start.shape[1]))
        blocks.append(roots @ roots.transpose(0, 2, 1) + 0.01 * np.eye(roots.shape[1]))
    maps, tail = program.maps.flatten(1).numpy(), program.tail.numpy()
    assembled = block_diag(*(block for group in blocks for block in group), *([np.diag(tail)] if len(tail) else []))
    assembled = assembled + maps @ maps.T * (2 / N)
    right = rng.standard_normal(len(maps))
    system = NewtonSystem(program, torch.zeros(N, 1, dtype=torch.float64), tuple(map(torch.from_numpy, blocks)))
    assert np.allclose(system.solve(torch.from_numpy(right)).numpy(), np.linalg.solve(assembled, right), rtol=1e-8)
