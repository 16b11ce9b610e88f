"""Weight decay by parameter: the objective is torch's loss + Σ wd/2 |p|² over named parameters."""

import math
from fnmatch import fnmatchcase

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from certify.errors import UnsupportedError, UsageError
from certify.models.loading import Problem
from certify.models.spec.problem_file import load_problem_file
from certify.models.theory.decays import Decays
from certify.problem import WeightDecay
from tests.models.writers.widened import widened, written
from tests.models.zoo import Branches, mlp

EVERY = {"0.weight": 0.3, "0.bias": 0.05, "2.weight": 0.2, "2.bias": 0.7}


@pytest.fixture
def arrays():
    rng = np.random.default_rng(0)
    return rng.normal(size=(30, 3)), rng.normal(size=(30, 2))


def two_layers(activation=nn.ReLU):
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 5), activation(), nn.Linear(5, 2)).double()


def two_branches():
    torch.manual_seed(0)
    return Branches(mlp(3, 4, 2), mlp(3, 5, 2), nn.Linear(3, 2, bias=False)).double()


def convolution():
    torch.manual_seed(0)
    layers = nn.Conv1d(1, 4, 2), nn.ReLU(), nn.AvgPool1d(2), nn.Flatten(), nn.Linear(4, 2)
    return nn.Sequential(*layers).double()


def decay_of(name, decays):
    return next(wd for pattern, wd in decays.items() if fnmatchcase(name, pattern))


def torch_objective(module, arrays, decays):
    inputs, targets = map(torch.from_numpy, arrays)
    with torch.no_grad():
        penalty = sum(decay_of(name, decays) / 2 * p.square().sum() for name, p in module.named_parameters())
        return float(functional.mse_loss(module(inputs), targets) + penalty)


def problem_of(module, arrays, decays, **settings):
    return Problem.from_torch(module, *arrays, weight_decay=decays, **settings)


@pytest.mark.parametrize(
    ("make", "decays"),
    [
        (two_layers, {"*": 0.1}),
        (two_layers, EVERY),
        (two_layers, EVERY | {"0.bias": 0.0}),
        (two_layers, EVERY | {"2.bias": 0.0}),
        (two_layers, {"*.bias": 0.0, "0.*": 0.3, "*": 0.2}),
        (lambda: two_layers(nn.Identity), EVERY),
        (lambda: two_layers(nn.Identity), EVERY | {"0.bias": 0.0}),
        (lambda: two_layers(lambda: nn.LeakyReLU(0.2)), EVERY),
        (two_branches, {"branches.0.*": 0.3, "branches.1.0.bias": 0.01, "branches.1.*": 0.1, "branches.2.*": 0.5}),
        (two_branches, {"branches.2.weight": 0.0, "*": 0.1}),
        (convolution, {"0.bias": 0.05, "0.*": 0.3, "*": 0.2}),
    ],
)
def test_the_objective_is_loss_and_decay_of_named_parameters(arrays, make, decays):
    module = make()
    given = (arrays[0][:, None, :], arrays[1]) if make is convolution else arrays
    problem = problem_of(module, given, decays)
    found = problem.objective.evaluate(problem.network).objective
    assert found == pytest.approx(torch_objective(module, given, decays), rel=1e-13)


def test_the_two_weights_of_a_subnetwork_have_their_own_strength(arrays):
    (branch,) = problem_of(two_layers(), arrays, EVERY).objective.branches
    assert branch.penalty == WeightDecay((0.3, 0.2))
    # min over a > 0 of (0.3 a² |u|² + 0.2 |v|²/a²)/2 is √(0.3 · 0.2) |u||v|.
    assert branch.strength == pytest.approx(math.sqrt(0.3 * 0.2), rel=1e-14)


def test_a_hidden_bias_of_its_own_decay_scales_its_constant_input(arrays):
    problem = problem_of(two_layers(), arrays, EVERY)
    (branch,) = problem.objective.branches
    assert branch.view.free_inputs == 0
    torch.testing.assert_close(branch.view.rows[:, -1], torch.full((30,), math.sqrt(0.3 / 0.05)).double())


def test_a_bias_that_is_not_penalized_is_free(arrays):
    problem = problem_of(two_layers(), arrays, EVERY | {"0.bias": 0.0, "2.bias": 0.0})
    (branch,) = problem.objective.branches
    assert branch.view.free_inputs == 1
    assert problem.objective.convex.ridge.tolist() == [0.0]


def test_output_biases_and_skips_have_their_own_ridge(arrays):
    decays = {"branches.0.2.bias": 0.7, "branches.1.2.bias": 0.0, "branches.2.weight": 0.5, "*": 0.1}
    ridge = problem_of(two_branches(), arrays, decays).objective.convex.ridge.tolist()
    assert ridge == [0.7, 0.0, 0.5, 0.5, 0.5]


def test_subnetworks_of_other_decays_are_other_branches(arrays):
    alike = problem_of(two_branches(), arrays, {"*": 0.1})
    assert alike.network.widths == (9,)
    apart = problem_of(two_branches(), arrays, {"branches.0.*": 0.2, "*": 0.1})
    assert apart.network.widths == (4, 5)
    assert [branch.strength for branch in apart.objective.branches] == [pytest.approx(0.2), pytest.approx(0.1)]


@pytest.mark.parametrize("name", ["0.weight", "2.weight"])
def test_a_weight_without_decay_has_no_certificate(arrays, name):
    with pytest.raises(UnsupportedError, match=f"'{name}' has weight decay 0") as caught:
        problem_of(two_layers(), arrays, EVERY | {name: 0.0})
    assert caught.value.code == "unpenalized-weight"


@pytest.mark.parametrize(
    ("decays", "words"),
    [
        ({"0.*": 0.1, "2.weight": 0.1}, "says nothing of '2.bias'"),
        (EVERY | {"1.weight": 0.1}, "names '1.weight', which matches no parameter; there are 0.weight, 0.bias"),
    ],
)
def test_every_parameter_is_spoken_of_and_every_pattern_speaks_of_one(arrays, decays, words):
    with pytest.raises(UsageError, match=words) as caught:
        problem_of(two_layers(), arrays, decays)
    assert caught.value.code == "unknown-parameter"


def test_the_first_pattern_that_matches_holds():
    decays = Decays({"fc1.bias": 0.0, "fc*": 1.0, "*": 2.0})
    assert [decays.of(name) for name in ("fc1.bias", "fc1.weight", "out.weight")] == [0.0, 1.0, 2.0]


@pytest.mark.parametrize("decays", [EVERY, EVERY | {"0.bias": 0.0, "2.bias": 0.0}, {"*.bias": 0.0, "*": 0.1}])
def test_a_written_problem_file_keeps_the_mapping(tmp_path, data_file, write_problem, network, decays):
    torch.save(network.state_dict(), tmp_path / "model.pt")
    spec = load_problem_file(write_problem(penalty=f"{{weight_decay: {decays}}}"))
    problem = Problem.from_files(spec)
    beside, again = written(spec, problem, widened(problem), tmp_path / "wide.pt")
    assert beside.penalty.weight_decay == decays
    assert again.objective.branches[0].penalty == problem.objective.branches[0].penalty


def test_names_are_those_of_the_file_with_what_wrappers_put_before_them(tmp_path, data_file, write_problem, network):
    torch.save({f"module.{name}": tensor for name, tensor in network.state_dict().items()}, tmp_path / "model.pt")
    decays = {f"module.{name}": decay for name, decay in EVERY.items()}
    problem = Problem.from_files(load_problem_file(write_problem(penalty=f"{{weight_decay: {decays}}}")))
    assert problem.objective.branches[0].penalty == WeightDecay((0.3, 0.2))


@pytest.mark.parametrize(
    ("biases", "decays", "name"),
    [
        ({"hidden": "penalized"}, EVERY | {"0.bias": 0.0}, "0.bias"),
        ({"hidden": "free"}, EVERY, "0.bias"),
        ({"output": "penalized"}, EVERY | {"2.bias": 0.0}, "2.bias"),
        ({"output": "free"}, EVERY, "2.bias"),
    ],
)
def test_policies_that_contradict_decay_by_name_are_refused(arrays, biases, decays, name):
    with pytest.raises(UsageError, match=f"gives '{name}'") as caught:
        problem_of(two_layers(), arrays, decays, biases=biases)
    assert caught.value.code == "bias-mismatch"


def test_policies_that_agree_with_decay_by_name_change_nothing(arrays):
    decays = EVERY | {"0.bias": 0.0}
    said, silent = (
        problem_of(two_layers(), arrays, decays, **settings)
        for settings in ({"biases": {"hidden": "free", "output": "penalized"}}, {})
    )
    assert said.objective.penalty(said.network) == silent.objective.penalty(silent.network)
    assert said.decomposition.policy.output == silent.decomposition.policy.output
