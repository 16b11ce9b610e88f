"""Two-layer networks in other words, from the module or file to the objective: expected values from torch itself."""

import warnings

import numpy as np
import pytest
import torch

from certify import Problem, check
from certify.models.spec.overrides import Overrides
from certify.models.spec.problem_file import spec_from_flags
from tests.models.zoo import ZOO, Pairs

DECAY = 0.8


@pytest.fixture
def arrays():
    rng = np.random.default_rng(0)
    return rng.normal(size=(30, 6)), rng.normal(size=(30, 2))


def torch_objective(module, outputs, targets):
    penalty = sum(p.square().sum() for p in module.parameters())
    return float((torch.nn.functional.mse_loss(outputs, targets) + DECAY / 2 * penalty).detach())


@pytest.mark.parametrize("name", ["two-towers-joined", "parallel-two-layer-branches"])
def test_branches_have_the_objective_of_the_module(name, arrays):
    module = ZOO[name].module
    inputs, targets = (torch.from_numpy(array) for array in arrays)
    problem = Problem.from_torch(module, *arrays, weight_decay=DECAY)
    found = problem.objective.evaluate(problem.network).objective
    assert found == pytest.approx(torch_objective(module, module(inputs), targets), rel=1e-13)
    assert problem.source.family == "relu"
    assert problem.network.widths == (ZOO[name].expected.kinds[0][2],)


def test_flattened_inputs_and_a_single_output_without_an_axis_are_two_layers(arrays):
    module = ZOO["two-layer-relu-of-flattened-inputs"].module
    inputs, targets = (torch.from_numpy(array) for array in arrays)
    problem = Problem.from_torch(module, arrays[0], arrays[1][:, 0], weight_decay=DECAY)
    found = problem.objective.evaluate(problem.network).objective
    assert found == pytest.approx(torch_objective(module, module(inputs), targets[:, 0]), rel=1e-13)


def test_a_better_network_of_joined_towers_is_found_and_is_no_better_than_the_bound(arrays):
    problem = Problem.from_torch(ZOO["two-towers-joined"].module, *arrays, weight_decay=DECAY)
    result = check(problem)
    assert result.verdict == "improvable"
    # The zero network with the best output bias is a member of the family.
    targets = torch.from_numpy(arrays[1])
    bias = targets.mean(0) / (1 + DECAY)
    zero = float(((targets - bias) ** 2).mean() + DECAY / 2 * bias.square().sum())
    assert result.lower_bound <= zero


def test_an_exported_inner_product_of_embeddings_is_a_matrix_to_complete(tmp_path):
    torch.manual_seed(0)
    module = Pairs(2, 3).double()
    indices = (torch.zeros(7, dtype=torch.long), torch.ones(7, dtype=torch.long))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        samples = ({0: torch.export.Dim.AUTO},) * 2
        torch.export.save(torch.export.export(module, indices, dynamic_shapes=samples), tmp_path / "mf.pt2")
    rng = np.random.default_rng(0)
    rows, columns = (index.ravel() for index in np.meshgrid(range(5), range(5), indexing="ij"))
    seen = rng.random(25) < 0.7
    rows, columns, values = rows[seen], columns[seen], rng.normal(size=seen.sum())
    np.savez(tmp_path / "ratings.npz", rows=rows, cols=columns, values=values, shape=np.array([5, 5]))
    flags = Overrides(data=str(tmp_path / "ratings.npz"), weight_decay=DECAY)
    problem = Problem.from_files(spec_from_flags(tmp_path / "mf.pt2", flags))
    outputs = module(torch.from_numpy(rows), torch.from_numpy(columns))
    found = problem.objective.evaluate(problem.network).objective
    assert found == pytest.approx(torch_objective(module, outputs, torch.from_numpy(values)), rel=1e-13)
    # The polar is a spectral norm, so that the bound closes to what the best network reaches.
    result = check(problem)
    assert result.best_known - result.lower_bound <= 1e-3 * result.best_known
