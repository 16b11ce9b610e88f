import pytest
import safetensors.torch
import torch

from certify.errors import ExitCode, UnsupportedError, UsageError
from certify.models.inspect import inspect_model
from certify.models.lowering.listed_layers import build_graph
from certify.models.model_file import read_model_file as read_weights
from certify.models.spec.layer_list import parse_layers
from certify.models.theory.standing import require_layout
from certify.problem.kinds import Absolute, LeakyReLU, Quadratic, ReLU


@pytest.fixture
def graph(tmp_path):
    def _graph(parameters, layers=None, save=torch.save):
        path = tmp_path / "model.pt"
        save({name: torch.ones(shape).double() for name, shape in parameters.items()}, path)
        return build_graph(read_weights(path), None if layers is None else parse_layers(layers))

    return _graph


SHAPES = {"fc1.weight": (4, 3), "fc1.bias": (4,), "fc2.weight": (2, 4), "fc2.bias": (2,)}


def chain(graph):
    return [layer.op if layer.weight is None else layer.name for layer in graph.layers]


@pytest.mark.parametrize(
    ("parameters", "found", "assumed"),
    [
        (SHAPES, ["fc1", "relu", "fc2"], "relu between 'fc1' and 'fc2'"),
        ({"0.weight": (4, 3), "2.weight": (2, 4)}, ["0", "relu", "2"], "relu between '0' and '2'"),
        ({"0.weight": (4, 3), "1.weight": (2, 4)}, ["0", "1"], "no activation between '0' and '1'"),
        ({"net.0.weight": (4, 3), "net.2.weight": (2, 4)}, ["net.0", "relu", "net.2"], "relu"),
        ({"encoder.weight": (4, 3), "decoder.weight": (2, 4)}, ["encoder", "relu", "decoder"], "relu"),
        ({"decoder.weight": (2, 4), "encoder.weight": (4, 3)}, ["encoder", "relu", "decoder"], "relu"),
        ({"a.weight": (3, 3), "b.weight": (3, 3)}, ["a", "relu", "b"], "relu"),
        ({"fc2.weight": (3, 3), "fc1.weight": (3, 3)}, ["fc1", "relu", "fc2"], "relu"),
    ],
)
def test_two_layers_are_inferred_and_the_assumption_is_said(graph, parameters, found, assumed):
    inferred = graph(parameters)
    assert chain(inferred) == found
    assert any(note.startswith("assumed") and assumed in note for note in inferred.notes)


@pytest.mark.parametrize(
    "parameters",
    [
        {"0.weight": (4, 3), "3.weight": (2, 4)},
        {"0.weight": (4, 3)},
        {"0.weight": (4, 3), "2.weight": (4, 4), "4.weight": (2, 4)},
        {"a.weight": (4, 3), "b.weight": (5, 5)},
        {"2.weight": (4, 3), "0.weight": (2, 4)},
        {"first": (4, 3), "second": (2, 4)},
        {"0.weight": (4, 3, 3, 3), "2.weight": (2, 4)},
    ],
)
def test_what_names_do_not_tell_is_asked_for_with_lines_to_paste(graph, parameters):
    with pytest.raises(UsageError, match="layers: .*linear: ") as caught:
        graph(parameters)
    assert caught.value.code == "layers-needed"


def test_safetensors_keep_no_order_so_square_weights_are_asked_for(graph):
    with pytest.raises(UsageError, match="either of the two weights may come first") as caught:
        graph({"enc.weight": (3, 3), "dec.weight": (3, 3)}, save=safetensors.torch.save_file)
    assert caught.value.code == "layers-needed"


def test_layers_may_be_named_with_the_prefix_of_a_wrapper(graph):
    parameters = {f"module.{name}": shape for name, shape in SHAPES.items()}
    assert chain(graph(parameters, [{"linear": "module.fc1"}, "relu", {"linear": "fc2"}])) == ["fc1", "relu", "fc2"]


def test_layers_of_a_sequential_may_be_numbers(graph):
    parameters = {"0.weight": (4, 3), "2.weight": (2, 4)}
    assert chain(graph(parameters, [{"linear": 0}, "square", {"linear": 2}])) == ["0", "square", "2"]


@pytest.mark.parametrize(
    ("layers", "code", "words"),
    [
        ([{"linear": "fc1"}, "relu", {"linear": "fc3"}], "missing-parameter", "did you mean"),
        ([{"linear": "fc1"}], "unused-parameters", "'fc2.weight'"),
        ([{"linear": "fc1"}, {"linear": "fc2"}, {"linear": "fc1"}], "tied-weights", "listed twice"),
        ([{"skip": "fc1"}, {"skip": "fc2"}], "layers-needed", "at most one skip"),
    ],
)
def test_layers_and_weights_must_fit(graph, layers, code, words):
    with pytest.raises(UsageError, match=words) as caught:
        graph(SHAPES, layers)
    assert caught.value.code == code


@pytest.mark.parametrize("op", ["sigmoid", "tanh", "gelu", "softmax", "Sigmoid", "silu", "softplus"])
def test_functions_that_are_not_homogeneous_are_named(graph, op):
    built = graph(SHAPES, [{"linear": "fc1"}, op, {"linear": "fc2"}])
    with pytest.raises(UnsupportedError, match=r"not positively homogeneous; the certificate needs φ\(aW\)") as caught:
        require_layout(built)
    assert caught.value.code == "not-homogeneous"
    assert caught.value.exit_code == ExitCode.UNSUPPORTED


def test_normalization_layers_are_named(graph):
    built = graph(SHAPES | {"ln.weight": (4,), "ln.bias": (4,)}, [{"linear": "fc1"}, {"layer_norm": "ln"}, "relu",
                                                                 {"linear": "fc2"}])  # fmt: skip
    with pytest.raises(UnsupportedError, match="layer 'ln' is layer_norm") as caught:
        require_layout(built)
    assert caught.value.code == "not-homogeneous"


@pytest.mark.parametrize(
    ("layers", "code"),
    [
        ([{"linear": "fc1"}, "frobnicate", {"linear": "fc2"}], "unknown-layer"),
        ([{"linear": "fc1"}, "relu", {"linear": "fc2"}, "relu"], "deep-bias"),
        (["relu", {"linear": "fc1"}, {"linear": "fc2"}], "no-bound-yet"),
    ],
)
def test_other_architectures_are_unsupported(graph, layers, code):
    with pytest.raises(UnsupportedError) as caught:
        require_layout(graph(SHAPES, layers))
    assert caught.value.code == code


def test_a_single_weight_under_a_function_is_no_sum_of_subnetworks(graph):
    with pytest.raises(UnsupportedError, match=r"the layers are \(linear, relu\)") as caught:
        require_layout(graph({"fc1.weight": (4, 3)}, [{"linear": "fc1"}, "relu"]))
    assert caught.value.code == "unsupported-architecture"


def test_two_layers_beside_each_other_need_as_many_columns(graph):
    layers = [{"linear": "fc1"}, {"skip": "fc2"}]
    with pytest.raises(UsageError, match="as many columns in both") as caught:
        require_layout(graph(SHAPES, layers))
    assert caught.value.code == "shape-mismatch"
    layout = require_layout(graph({"fc1.weight": (2, 3), "fc2.weight": (2, 3)}, layers))
    assert [layer.name for layer in layout.outside.skips] == ["fc1", "fc2"]


@pytest.mark.parametrize(
    ("between", "kind"),
    [
        ({"leaky_relu": 0.1}, LeakyReLU(0.1)),
        ({"leakyrelu": "-2"}, LeakyReLU(-2.0)),
        ("leaky_relu", LeakyReLU(0.01)),
        ("abs", Absolute()),
        ("square", Quadratic()),
        ("relu", ReLU()),
    ],
)
def test_each_kind_is_listed_by_its_function(graph, between, kind):
    layout = require_layout(graph(SHAPES, [{"linear": "fc1"}, between, {"linear": "fc2"}]))
    assert [neuron.kind for neuron in layout.neurons] == [kind]


def test_three_weight_layers_are_one_deep_subnetwork(graph):
    parameters = {"0.weight": (4, 3), "2.weight": (5, 4), "4.weight": (2, 5)}
    layers = [{"linear": "0"}, "relu", {"linear": "2"}, "relu", {"linear": "4"}]
    (neuron,) = require_layout(graph(parameters, layers)).neurons
    assert (neuron.kind.name, neuron.kind.channels, neuron.kind.degrees) == ("deep", (4, 5), (1, 1, 1))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"fc2.weight": (2, 5)}, r"\(4, 3\).*\(2, 5\).*4 columns"),
        ({"fc1.bias": (5,)}, r"'fc1.bias' has shape \(5,\)"),
        ({"fc2.weight": (4,)}, r"'fc2.weight' has shape \(4,\)"),
        ({"fc1.weight": (4, 0)}, "no inputs"),
    ],
)
def test_shapes_that_do_not_chain_are_usage_errors(graph, change, words):
    with pytest.raises(UsageError, match=words) as caught:
        require_layout(graph(SHAPES | change, [{"linear": "fc1"}, "relu", {"linear": "fc2"}]))
    assert caught.value.code == "shape-mismatch"


@pytest.mark.parametrize("layers", [["relu", 3], ["linear"], [{"linear": True}], [{}], [None]])
def test_entries_that_are_no_layers_are_usage_errors(model_file, layers):
    with pytest.raises(UsageError):
        inspect_model(model_file, layers)


def test_inspection_shows_layers_degrees_and_family(model_file):
    found = inspect_model(model_file, [{"linear": 0}, "square", {"linear": 2}])
    assert [(row.op, row.degree) for row in found.layers] == [("linear", 1), ("square", 2), ("linear", 1)]
    assert (found.family, found.degree, found.width) == ("quadratic", 3, 4)
    assert found.weight_degrees == {"0.weight": 2, "0.bias": 2, "2.weight": 1, "2.bias": 1}
    assert found.layers[0].shapes == {"0.weight": (4, 3), "0.bias": (4,)}
    assert found.penalized == ("0.weight", "0.bias", "2.weight", "2.bias")
    assert found.problems == ()
    assert any("powers [2, 1]" in note for note in found.notes)


def test_inspection_tells_problems_instead_of_raising(model_file, tmp_path):
    found = inspect_model(model_file, [{"linear": 0}, "sigmoid", {"linear": 2}])
    assert [problem.code for problem in found.problems] == ["not-homogeneous"]
    assert found.family is None
    torch.save({"0.weight": torch.ones(2, 2)}, tmp_path / "one.pt")
    found = inspect_model(tmp_path / "one.pt")
    assert [problem.code for problem in found.problems] == ["layers-needed"]
    assert found.parameters == {"0.weight": (2, 2)}


def test_inspection_of_a_live_module_agrees_with_its_file(network, model_file):
    live, file = inspect_model(network), inspect_model(model_file)
    assert (live.family, live.width, live.weight_degrees) == (file.family, file.width, file.weight_degrees)
    assert live.format == "live"


def test_an_empty_state_dict_holds_no_weights(tmp_path):
    torch.save({}, tmp_path / "m.pt")
    with pytest.raises(UsageError, match="holds no weights"):
        inspect_model(tmp_path / "m.pt")
