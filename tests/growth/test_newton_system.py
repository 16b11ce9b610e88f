"""Newton systems of block programs are solved alike through the outputs and densely."""

import numpy as np
import pytest
import torch
from scipy.linalg import block_diag

from certify.growth.block_program import input_blocks
from certify.growth.cells import cells_of
from certify.growth.newton_system import NewtonSystem
from tests.soundness.two_layers import TwoLayers, Weights


@pytest.mark.parametrize("output", ["absent", "penalized", "free"])
@pytest.mark.parametrize("width", [1, 12])
def test_the_solution_is_that_of_the_assembled_matrix(width, output):
    rng = np.random.default_rng(0)
    n, d = 10, 4
    chosen = TwoLayers(
        rng.standard_normal((n, d)), rng.standard_normal((n, 1)), "mse", "mean", 0.5, 0.1, "absent", output
    )
    start = Weights(rng.standard_normal((width, d)), np.zeros(width), rng.choice([-1.0, 1.0], (width, 1)), np.zeros(1))
    problem = chosen.problem(start)
    first, second = problem.network.factors
    program = input_blocks(problem.objective, cells_of(problem.objective.inputs, (first, second), torch.ones(width)))
    roots = rng.standard_normal((program.blocks, d, d))
    blocks = roots @ roots.transpose(0, 2, 1) + 0.01 * np.eye(d)
    maps = program.maps.flatten(1).numpy()
    tail = program.ridge.numpy()[program.blocks * d :]
    assembled = block_diag(*blocks, np.diag(tail)) if len(tail) else block_diag(*blocks)
    assembled = assembled + maps @ maps.T / n
    right = rng.standard_normal(len(maps))
    solution = NewtonSystem(program, torch.zeros(n, 1, dtype=torch.float64), torch.from_numpy(blocks)).solve(
        torch.from_numpy(right)
    )
    assert np.allclose(solution.numpy(), np.linalg.solve(assembled, right), rtol=1e-8)
