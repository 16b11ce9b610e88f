import numpy as np
import pytest
import torch
from torch import nn

import certify
from certify.errors import CertifyError, RefusedError, UnsupportedError, UsageError
from certify.models.loading import Problem
from certify.models.spec.problem_file import load_problem_file


class Named(nn.Module):
    def __init__(self, activation=nn.ReLU):
        super().__init__()
        torch.manual_seed(0)
        self.fc1 = nn.Linear(3, 4)
        if activation is not None:
            self.act = activation()
        self.fc2 = nn.Linear(4, 2)

    def forward(self, inputs):
        hidden = self.fc1(inputs)
        return self.fc2(self.act(hidden) if hasattr(self, "act") else hidden**2)


class Nested(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(3, 4), nn.Identity(), nn.ReLU(), nn.Linear(4, 2))

    def forward(self, *inputs):
        return self.net(inputs[0])


def problem_of(model, arrays, **arguments):
    return Problem.from_torch(model, *arrays, **{"weight_decay": 1e-3} | arguments)


@pytest.mark.parametrize(
    ("loss", "reduction", "scale"), [("mse", "mean", 1.0), ("mse", "sum", 0.5), ("huber", "mean", 2.0)]
)
def test_a_live_module_and_its_file_are_one_problem(network, model_file, data_file, arrays, write_problem, loss, reduction, scale):  # fmt: skip  # noqa: E501
    path = write_problem(biases="{hidden: free}")
    path.write_text(path.read_text() + f"loss: {{name: {loss}, reduction: {reduction}, scale: {scale}}}\n")
    file = Problem.from_files(load_problem_file(path))
    live = problem_of(network, arrays, loss=loss, reduction=reduction, scale=scale, biases={"hidden": "free"})
    one, other = (p.objective.evaluate(p.network) for p in (file, live))
    assert one.objective == other.objective
    assert torch.equal(one.outputs, other.outputs)
    assert torch.equal(one.gradient, other.gradient)
    assert live.source.model_path is None
    assert live.source.data_path is None
    assert file.tolerance == live.tolerance


def test_tensors_and_arrays_give_the_same_problem(network, arrays):
    tensors = [torch.tensor(a, requires_grad=True) for a in arrays]
    one, other = problem_of(network, arrays), problem_of(network, tensors)
    assert one.source == other.source


def test_digests_follow_values(network, arrays):
    before = problem_of(network, arrays).source
    with torch.no_grad():
        network[0].weight[0, 0] += 1
    after = problem_of(network, (arrays[0] + 1, arrays[1])).source
    assert before.model_sha256 != after.model_sha256
    assert before.data_sha256 != after.data_sha256


def test_a_forward_of_ones_own_is_traced(arrays):
    problem = problem_of(Named(), arrays)
    assert problem.source.family == "relu"
    assert [layer.name for layer in problem.graph.layers] == ["fc1", "relu", "fc2"]
    assert not any(note.startswith("assumed") for note in problem.source.notes)


def test_nested_sequentials_and_identities_are_seen_through(arrays):
    assert problem_of(Nested(), arrays).source.family == "relu"
    nested = nn.Sequential(nn.Sequential(nn.Linear(3, 4)), nn.Sequential(nn.Linear(4, 2)))
    problem = problem_of(nested, arrays)
    assert problem.source.family == "linear"
    assert not any(note.startswith("assumed") for note in problem.source.notes)


def test_a_function_that_is_no_child_is_traced_or_named(arrays):
    assert problem_of(Named(None), arrays).source.family == "quadratic"
    layers = [{"linear": "fc1"}, "square", {"linear": "fc2"}]
    assert problem_of(Named(None), arrays, layers=layers).source.family == "quadratic"


class Branches(Named):
    def forward(self, inputs):
        return self.fc2(self.fc1(inputs)) if inputs.sum() > 0 else self.fc2(torch.relu(self.fc1(inputs)))


class ReadsValues(Named):
    def forward(self, inputs):
        return self.fc2(torch.relu(self.fc1(inputs)) + float(inputs.new_zeros(1).item()))


class CountsSamples(Named):
    def forward(self, inputs):
        hidden = torch.relu(self.fc1(inputs))
        return self.fc2(hidden if len(inputs) < 10 else 2 * hidden)


@pytest.mark.parametrize("kind", [Branches, ReadsValues, CountsSamples])
def test_a_forward_that_depends_on_values_or_on_the_number_of_samples_is_unsupported(arrays, kind):
    module = kind()
    with pytest.raises(UnsupportedError, match=r"Name its layers|Or name them") as caught:
        problem_of(module, arrays)
    assert caught.value.code == "not-traceable"
    assert "\n" not in str(caught.value)
    assert all(part.training for part in module.modules())


class Overwrites(Named):
    def forward(self, inputs):
        hidden = self.fc1(inputs)
        part = hidden[:, :2]
        hidden.relu_()
        return self.fc2(torch.cat([part, hidden[:, 2:]], 1))


def test_a_value_that_is_overwritten_and_read_again_is_unsupported(arrays):
    with pytest.raises(UnsupportedError, match="overwrites a value"):
        problem_of(Overwrites(), arrays)


def test_an_activation_that_runs_twice_is_not_left_out():
    act = nn.ReLU()
    found = certify.inspect(nn.Sequential(nn.Linear(3, 4), act, nn.Linear(4, 4), act, nn.Linear(4, 2)))
    assert [row.op for row in found.layers] == ["linear", "relu", "linear", "relu", "linear"]


class Convolutional(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 2, 3)

    def forward(self, inputs):
        return torch.relu(self.conv(inputs)).mean((2, 3))


def test_a_module_is_inspected_with_the_inputs_that_it_reads():
    with pytest.raises(UsageError, match="give inputs=X"):
        certify.inspect(Convolutional())
    found = certify.inspect(Convolutional(), inputs=torch.zeros(2, 1, 5, 5))
    assert [row.op for row in found.layers] == ["conv2d", "relu", "mean"]
    assert [row.op for row in certify.inspect(Named()).layers] == ["linear", "relu", "linear"]


def test_a_sequential_of_linear_layers_is_a_factorization(arrays):
    assert problem_of(nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2)), arrays).source.family == "linear"


@pytest.mark.parametrize(
    ("module", "code", "words"),
    [
        (nn.Sequential(nn.Linear(3, 4), nn.Sigmoid(), nn.Linear(4, 2)), "not-homogeneous", "layer '1' is sigmoid"),
        (nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.LayerNorm(4), nn.Linear(4, 2)), "not-homogeneous", "'2'"),
        (nn.Sequential(nn.LSTM(3, 4), nn.Linear(4, 2)), "unknown-layer", "'LSTM'"),
    ],
)
def test_modules_outside_the_theory_are_named(arrays, module, code, words):
    with pytest.raises(UnsupportedError, match=words) as caught:
        problem_of(module, arrays)
    assert caught.value.code == code


def test_hooks_are_traced_and_tied_weights_unsupported(arrays):
    module = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))
    module[0].register_forward_hook(lambda _module, _inputs, outputs: torch.relu(outputs))
    assert problem_of(module, arrays).source.family == "relu"
    tied = nn.Sequential(nn.Linear(3, 3), nn.ReLU(), nn.Linear(3, 3))
    tied[2].weight = tied[0].weight
    with pytest.raises(UnsupportedError, match="share one tensor"):
        problem_of(tied, (arrays[0], arrays[0]))


def test_parametrized_layers_are_not_taken_for_linear(arrays):
    module = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    nn.utils.parametrizations.orthogonal(module[0])
    with pytest.raises(CertifyError):
        problem_of(module, arrays)


def test_lazy_layers_are_refused(arrays):
    with pytest.raises(RefusedError, match="not initialized"):
        problem_of(nn.Sequential(nn.LazyLinear(4), nn.ReLU(), nn.Linear(4, 2)), arrays)


def test_wrapped_modules_are_unwrapped(network, arrays):
    assert problem_of(nn.DataParallel(network), arrays).source.family == "relu"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"weight_decay": None}, "Problem.from_torch: penalty: give exactly one"),
        ({"weight_decay": 0.0}, "no certificate without a penalty"),
        ({"loss": "l2"}, "unknown loss 'l2'"),
        ({"biases": {"hiden": "free"}}, "did you mean 'hidden'?"),
        ({"layers": ["linear"]}, "needs the name"),
        ({"relative_gap": -1.0}, "relative_gap"),
        ({"device": "tpu"}, "unknown device"),
        ({"skip": "free"}, "has no skip"),
    ],
)
def test_unfit_arguments_are_usage_errors(network, arrays, arguments, words):
    with pytest.raises(UsageError) as caught:
        problem_of(network, arrays, **arguments)
    assert words in str(caught.value)


def test_things_that_are_no_modules_are_usage_errors(arrays):
    with pytest.raises(UsageError, match="needs a torch.nn.Module"):
        problem_of({"a": 1}, arrays)


def test_non_finite_parameters_and_data_are_refused(network, arrays):
    with pytest.raises(RefusedError, match="inputs hold 1 non-finite of 60"):
        problem_of(network, (np.where(np.arange(60).reshape(20, 3) == 7, np.nan, arrays[0]), arrays[1]))
    with torch.no_grad():
        network[2].bias[1] = torch.inf
    with pytest.raises(RefusedError, match="'2.bias'"):
        problem_of(network, arrays)


def test_product_of_norms_is_given_as_in_a_file(arrays):
    module = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2, bias=False))
    problem = problem_of(module, arrays, weight_decay=None, penalty={"product_of_norms": {"strength": 0.5}})
    assert [branch.strength for branch in problem.objective.branches] == [0.5]


def test_the_module_is_left_as_it_was(network, arrays):
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    problem = problem_of(network, arrays)
    problem.network.stacks[0][0].zero_()
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())
    assert all(p.requires_grad for p in network.parameters())
