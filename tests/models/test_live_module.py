import numpy as np
import pytest
import torch
from torch import nn

from certify.errors import CertifyError, RefusedError, UnsupportedError, UsageError
from certify.models import Problem, load_problem_file


class Named(nn.Module):
    def __init__(self, activation=nn.ReLU):
        super().__init__()
        torch.manual_seed(0)
        self.fc1 = nn.Linear(3, 4)
        if activation is not None:
            self.act = activation()
        self.fc2 = nn.Linear(4, 2)

    def forward(self, inputs):
        raise AssertionError("the module must not be run")


class Nested(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(3, 4), nn.Identity(), nn.ReLU(), nn.Linear(4, 2))


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


def test_children_in_the_order_registered_are_taken_with_a_note(arrays):
    problem = problem_of(Named(), arrays)
    assert problem.source.family == "relu"
    assert any("order registered ('fc1', 'act', 'fc2')" in note for note in problem.source.notes)


def test_nested_sequentials_and_identities_are_seen_through(arrays):
    assert problem_of(Nested(), arrays).source.family == "relu"
    nested = nn.Sequential(nn.Sequential(nn.Linear(3, 4)), nn.Sequential(nn.Linear(4, 2)))
    problem = problem_of(nested, arrays)
    assert problem.source.family == "linear"
    assert not any(note.startswith("assumed") for note in problem.source.notes)


def test_a_module_that_may_hide_an_activation_is_asked_about(arrays):
    with pytest.raises(UsageError, match="may apply functions between") as caught:
        problem_of(Named(None), arrays)
    assert caught.value.code == "layers-needed"
    layers = [{"linear": "fc1"}, "square", {"linear": "fc2"}]
    assert problem_of(Named(None), arrays, layers=layers).source.family == "quadratic"


def test_a_sequential_of_linear_layers_is_a_factorization(arrays):
    assert problem_of(nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2)), arrays).source.family == "linear"


@pytest.mark.parametrize(
    ("module", "code", "words"),
    [
        (nn.Sequential(nn.Linear(3, 4), nn.Sigmoid(), nn.Linear(4, 2)), "not-homogeneous", "layer '1' is sigmoid"),
        (nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Linear(4, 2)), "not-homogeneous", "'1'"),
        (nn.Sequential(nn.Linear(3, 4), nn.Dropout(), nn.Linear(4, 2)), "unknown-layer", "'Dropout'"),
        (nn.Sequential(nn.LSTM(3, 4), nn.Linear(4, 2)), "unknown-layer", "'LSTM'"),
        (nn.Sequential(nn.Linear(3, 2)), "unsupported-architecture", "convex"),
        (nn.Linear(3, 2), "unsupported-architecture", "convex"),
    ],
)
def test_modules_outside_the_theory_are_named(arrays, module, code, words):
    with pytest.raises(UnsupportedError, match=words) as caught:
        problem_of(module, arrays)
    assert caught.value.code == code


def test_hooks_and_tied_weights_are_unsupported(arrays):
    module = Named()
    module.fc1.register_forward_hook(lambda *_: None)
    with pytest.raises(UnsupportedError, match="hooks"):
        problem_of(module, arrays)
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
    assert problem.objective.strength == 0.5


def test_the_module_is_left_as_it_was(network, arrays):
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    problem = problem_of(network, arrays)
    problem.network.factors[0].zero_()
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())
    assert all(p.requires_grad for p in network.parameters())
