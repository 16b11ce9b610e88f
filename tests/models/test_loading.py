"""Problems from files and live modules, against torch's own forward pass, losses and weight decay."""

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from certify.errors import CertifyError, RefusedError, UnsupportedError, UsageError
from certify.models.loading import Problem
from certify.models.spec.overrides import Overrides
from certify.models.spec.problem_file import load_problem_file
from certify.models.theory import standing
from certify.problem.kinds import Linear

LAYERS = {"linear": "[{linear: 0}, {linear: 2}]", "relu": "[{linear: 0}, relu, {linear: 2}]",
          "quadratic": "[{linear: 0}, square, {linear: 2}]"}  # fmt: skip
ACTIVATIONS = {"linear": lambda z: z, "relu": torch.relu, "quadratic": torch.square}
POLICIES = ("penalized", "free", "absent")
WEIGHT_DECAY = 1e-3


def saved(path, hidden, output, width=4, outputs=2):
    torch.manual_seed(1)
    first = torch.nn.Linear(3, width, bias=hidden != "absent").double()
    second = torch.nn.Linear(width, outputs, bias=output != "absent").double()
    state = {f"0.{n}": t for n, t in first.state_dict().items()} | {f"2.{n}": t for n, t in second.state_dict().items()}
    torch.save(state, path)
    return state


def torch_objective(state, arrays, family, policies):
    X, y = map(torch.as_tensor, arrays)
    hidden = ACTIVATIONS[family](torch.nn.functional.linear(X, state["0.weight"], state.get("0.bias")))
    outputs = torch.nn.functional.linear(hidden, state["2.weight"], state.get("2.bias"))
    decayed = [state["0.weight"], state["2.weight"]]
    decayed += [state[f"{i}.bias"] for i, policy in zip("02", policies, strict=True) if policy == "penalized"]
    penalty = WEIGHT_DECAY / 2 * sum(float((p**2).sum()) for p in decayed)
    return outputs, float(torch.nn.functional.mse_loss(outputs, y)) + penalty


@pytest.mark.parametrize("family", LAYERS)
@pytest.mark.parametrize(("hidden", "output"), list(itertools.product(POLICIES, POLICIES)))
@pytest.mark.parametrize("width", [4, 1, 0])
@pytest.mark.filterwarnings("ignore:Initializing zero-element tensors")
def test_outputs_and_objective_are_those_of_torch(
    tmp_path, data_file, arrays, write_problem, family, hidden, output, width
):
    if (family, hidden) == ("quadratic", "free"):
        pytest.skip("unbounded polar, tested below")
    state = saved(tmp_path / "model.pt", hidden, output, width)
    biases = f"{{hidden: {hidden}, output: {output}}}"
    problem = Problem.from_files(load_problem_file(write_problem(layers=LAYERS[family], biases=biases)))
    outputs, objective = torch_objective(state, arrays, family, (hidden, output))
    evaluation = problem.objective.evaluate(problem.network)
    torch.testing.assert_close(evaluation.outputs, outputs, rtol=0, atol=1e-13)
    if (family, hidden) == ("linear", "free"):
        # The hidden bias is folded into a free constant; u's norm does not count it either way.
        (branch,) = problem.objective.branches
        assert branch.view.free_inputs == 0
        assert bool((problem.objective.convex.free).any())
    assert evaluation.objective == pytest.approx(objective, rel=1e-13)
    assert problem.source.family == family
    assert problem.source.width == width


@pytest.mark.parametrize("family", LAYERS)
@pytest.mark.parametrize(("hidden", "output"), list(itertools.product(POLICIES, POLICIES)))
@pytest.mark.parametrize("suffix", ["pt", "safetensors"])
def test_a_widened_network_survives_the_round_trip(tmp_path, data_file, write_problem, family, hidden, output, suffix):
    if (family, hidden) == ("quadratic", "free"):
        pytest.skip("unbounded polar")
    saved(tmp_path / "model.pt", hidden, output)
    biases = f"{{hidden: {hidden}, output: {output}}}"
    spec = load_problem_file(write_problem(layers=LAYERS[family], biases=biases))
    problem = Problem.from_files(spec)
    ((first, second),) = problem.network.stacks
    rng = torch.Generator().manual_seed(2)
    wide = type(problem.network)(
        ((torch.cat([first, torch.randn(3, first.shape[1], generator=rng, dtype=torch.float64)]),
          torch.cat([second, torch.randn(3, second.shape[1], generator=rng, dtype=torch.float64)])),),
        problem.network.coefficients + 0.1,
    )  # fmt: skip
    target = tmp_path / f"grown.{suffix}"
    problem.write(target, wide)
    again = Problem.from_files(spec.with_overrides(Overrides(model=str(target))))
    before, after = problem.objective.evaluate(wide), again.objective.evaluate(again.network)
    torch.testing.assert_close(after.outputs, before.outputs, rtol=0, atol=1e-12)
    assert after.objective == pytest.approx(before.objective, rel=1e-12)
    carried = (family, hidden) == ("linear", "free") and output != "free"
    assert again.network.width == 7 + carried
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []


def test_prefix_and_format_survive_the_round_trip(tmp_path, data_file, network, write_problem):
    torch.save({f"module.{name}": tensor for name, tensor in network.state_dict().items()}, tmp_path / "model.pt")
    problem = Problem.from_files(load_problem_file(write_problem()))
    problem.write(tmp_path / "out.bin", problem.network)
    state = torch.load(tmp_path / "out.bin", weights_only=True)
    assert list(state) == [f"module.{name}" for name in network.state_dict()]
    assert all(tensor.dtype == torch.float64 for tensor in state.values())


def test_a_grown_file_loads_into_a_module_of_the_new_width(tmp_path, data_file, model_file, write_problem):
    problem = Problem.from_files(load_problem_file(write_problem()))
    problem.write(tmp_path / "out.pt", problem.network)
    module = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.ReLU(), torch.nn.Linear(4, 2)).double()
    module.load_state_dict(torch.load(tmp_path / "out.pt", weights_only=True))


@pytest.mark.parametrize("policy", ["penalized", "free"])
def test_a_linear_skip_is_part_of_the_model(tmp_path, data_file, arrays, write_problem, policy):
    state = saved(tmp_path / "model.pt", "penalized", "penalized")
    state["skip.weight"] = torch.randn(2, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    torch.save(state, tmp_path / "model.pt")
    path = write_problem(layers="[{linear: 0}, relu, {linear: 2}, {skip: skip}]")
    path.write_text(path.read_text() + f"skip: {policy}\n")
    problem = Problem.from_files(load_problem_file(path))
    outputs, objective = torch_objective(state, arrays, "relu", ("penalized", "penalized"))
    X, y = map(torch.as_tensor, arrays)
    skipped = outputs + X @ state["skip.weight"].T
    objective += float(torch.nn.functional.mse_loss(skipped, y) - torch.nn.functional.mse_loss(outputs, y))
    objective += WEIGHT_DECAY / 2 * float((state["skip.weight"] ** 2).sum()) * (policy == "penalized")
    evaluation = problem.objective.evaluate(problem.network)
    torch.testing.assert_close(evaluation.outputs, skipped, rtol=0, atol=1e-13)
    assert evaluation.objective == pytest.approx(objective, rel=1e-13)
    problem.write(tmp_path / "out.pt", problem.network)
    again = torch.load(tmp_path / "out.pt", weights_only=True)
    assert all(torch.equal(again[name], state[name]) for name in state)


def test_unspoken_biases_are_penalized_where_there_is_one(tmp_path, data_file, write_problem):
    for hidden, output in itertools.product(("penalized", "absent"), repeat=2):
        saved(tmp_path / "model.pt", hidden, output)
        policy = Problem.from_files(load_problem_file(write_problem())).decomposition.policy
        assert (policy.hidden, policy.output) == (hidden, output)


@pytest.mark.parametrize("role", ["hidden", "output"])
@pytest.mark.parametrize(("there", "said"), [("absent", "penalized"), ("absent", "free"), ("free", "absent")])
def test_biases_that_contradict_the_file_are_usage_errors(tmp_path, data_file, write_problem, role, there, said):
    saved(tmp_path / "model.pt", **{"hidden": "free", "output": "free"} | {role: there})
    with pytest.raises(UsageError, match=f"biases.{role} is '{said}'") as caught:
        Problem.from_files(load_problem_file(write_problem(biases=f"{{{role}: {said}}}")))
    assert caught.value.code == "bias-mismatch"


def test_a_free_hidden_bias_under_a_square_is_unsupported(tmp_path, data_file, write_problem):
    saved(tmp_path / "model.pt", "free", "free")
    with pytest.raises(UnsupportedError) as caught:
        Problem.from_files(load_problem_file(write_problem(layers=LAYERS["quadratic"], biases="{hidden: free}")))
    assert caught.value.code == "unbounded-polar"


def test_product_of_norms_needs_a_free_output_bias(tmp_path, data_file, write_problem):
    saved(tmp_path / "model.pt", "penalized", "penalized")
    penalty = "{product_of_norms: {strength: 0.5}}"
    with pytest.raises(UsageError, match="biases: {output: free}"):
        Problem.from_files(load_problem_file(write_problem(penalty=penalty)))
    problem = Problem.from_files(load_problem_file(write_problem(penalty=penalty, biases="{output: free}")))
    ((u, v),) = problem.network.stacks
    expected = 0.5 * math.fsum((u.norm(dim=1) * v.norm(dim=1)).tolist())
    assert problem.objective.evaluate(problem.network).penalty == pytest.approx(expected, rel=1e-14)
    assert u.shape == (4, 4)


def test_powers_that_rescaling_defeats_are_unsupported(tmp_path, data_file, write_problem):
    saved(tmp_path / "model.pt", "penalized", "absent")
    text = write_problem(penalty="{product_of_norms: {strength: 1, powers: [1, 2]}}")
    with pytest.raises(UnsupportedError, match="degree mismatch"):
        Problem.from_files(load_problem_file(text))


def test_data_with_another_number_of_inputs_name_both_shapes(tmp_path, model_file, write_problem):
    np.savez(tmp_path / "train.npz", X=np.ones((5, 7)), y=np.ones((5, 2)))
    with pytest.raises(UsageError, match=r"\(5, 7\).*layer '0' .*reads 3 inputs") as caught:
        Problem.from_files(load_problem_file(write_problem()))
    assert caught.value.code == "shape-mismatch"


def test_targets_that_would_broadcast_are_usage_errors(tmp_path, model_file, write_problem):
    np.savez(tmp_path / "train.npz", X=np.ones((5, 3)), y=np.ones(5))
    with pytest.raises(UsageError, match="2 output"):
        Problem.from_files(load_problem_file(write_problem()))


def test_outputs_that_overflow_are_refused(tmp_path, data_file, write_problem):
    state = saved(tmp_path / "model.pt", "absent", "absent")
    torch.save({name: tensor * 1e200 for name, tensor in state.items()}, tmp_path / "model.pt")
    with pytest.raises(RefusedError, match="overflow"):
        Problem.from_files(load_problem_file(write_problem()))


def test_a_wrong_decomposition_is_caught(model_file, data_file, write_problem, monkeypatch):
    right = standing.neuron_layers
    monkeypatch.setattr(standing, "neuron_layers", lambda graph: replace(right(graph), kind=Linear()))
    with pytest.raises(CertifyError, match="differs from the layers") as caught:
        Problem.from_files(load_problem_file(write_problem()))
    assert caught.value.code == "internal"


@pytest.mark.parametrize("device", ["gpu", "mps", "meta", "cuda:99", ""])
def test_devices_that_do_not_serve_are_usage_errors(model_file, data_file, write_problem, device):
    with pytest.raises(UsageError, match="device"):
        Problem.from_files(load_problem_file(write_problem()), device)


def test_a_missing_model_is_a_usage_error(data_file, write_problem):
    with pytest.raises(UsageError, match="model file not found"):
        Problem.from_files(load_problem_file(write_problem()))


def test_an_objective_has_a_strength_for_every_degree_two_family(tmp_path, data_file, write_problem):
    saved(tmp_path / "model.pt", "penalized", "free")
    for family in ("linear", "relu"):
        problem = Problem.from_files(load_problem_file(write_problem(layers=LAYERS[family])))
        assert [branch.strength for branch in problem.objective.branches] == [pytest.approx(WEIGHT_DECAY)]
