"""Wider networks in the format that their model came in, read by certify and by the library that owns the format."""

import warnings

import numpy as np
import onnx
import pytest
import torch
from onnx.reference import ReferenceEvaluator
from torch import nn

from certify.errors import UsageError
from certify.models.loading import Problem
from certify.models.spec.problem_file import load_problem_file
from certify.models.writers import output_format, output_notes
from certify.problem import ParallelNetwork
from tests.models.writers.widened import SAMPLES, outputs, widened, written
from tests.models.zoo import BiasedPairs, Pairs


class Skipping(nn.Module):
    """Squares between two layers, and a linear layer beside them."""

    def __init__(self):
        super().__init__()
        self.body = nn.ModuleDict({"first": nn.Linear(3, 4), "second": nn.Linear(4, 2)})
        self.beside = nn.Linear(3, 2, bias=False)

    def forward(self, features):
        return self.body["second"](self.body["first"](features) ** 2) + self.beside(features)


def relu():
    return nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))


def linear():
    return nn.Sequential(nn.Linear(3, 4, bias=False), nn.Linear(4, 2))


def pictured():
    return nn.Sequential(nn.Flatten(), *relu())


MODULES = [relu, linear, Skipping]
QUADRATIC = "{product_of_norms: {strength: 0.1, powers: [2, 1]}}"


def save_pt2(module, path, inputs=None):
    inputs = torch.randn(5, 3) if inputs is None else inputs
    torch.export.save(torch.export.export(module.eval(), (inputs,), dynamic_shapes=({0: torch.export.Dim.AUTO},)), path)


def save_onnx(module, path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(module.eval(), (torch.randn(5, 3),), path, dynamo=True, verbose=False, input_names=["rows"])


def save_pt(module, path):
    torch.save(module, path)


SAVED = {"pt2": save_pt2, "onnx": save_onnx, "pt": save_pt}


@pytest.fixture
def problem_of(write_problem, data_file, tmp_path):
    """The problem of a module, saved in a format, or of a file that is there."""

    def made(module, suffix):
        torch.manual_seed(0)
        if module is not None:
            SAVED[suffix](module, tmp_path / f"model.{suffix}")
        product = isinstance(module, Skipping)
        free = "{hidden: penalized, output: free}" if product else "{}"
        path = write_problem(f"model.{suffix}", penalty=QUADRATIC if product else "{weight_decay: 0.1}", biases=free)
        if product:
            path.write_text(path.read_text() + "skip: free\n")
        spec = load_problem_file(path)
        return spec, Problem.from_files(spec)

    return made


def onnx_outputs(path, samples):
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    session = ReferenceEvaluator(model)
    (name,) = session.input_names
    return name, torch.from_numpy(session.run(None, {name: samples.numpy()})[0])


@pytest.mark.parametrize("module", MODULES)
def test_onnx_models_stay_onnx_models(tmp_path, problem_of, module):
    spec, problem = problem_of(module(), "onnx")
    network = widened(problem)
    beside, again = written(spec, problem, network, tmp_path / "wide.onnx")
    name, found = onnx_outputs(tmp_path / "wide.onnx", SAMPLES)
    torch.testing.assert_close(found, outputs(problem, network), rtol=1e-12, atol=1e-12)
    assert beside.model.layers is None
    assert name == "rows"
    assert list(again.graph.parameters) == list(problem.graph.parameters)
    assert (again.graph.format, again.graph.ends.output) == ("onnx", problem.graph.ends.output)


@pytest.mark.parametrize("module", MODULES)
def test_exported_programs_stay_exported_programs(tmp_path, problem_of, module):
    spec, problem = problem_of(module(), "pt2")
    network = widened(problem)
    beside, again = written(spec, problem, network, tmp_path / "wide.pt2")
    program = torch.export.load(tmp_path / "wide.pt2")
    for count in (1, 7):
        found = program.module()(SAMPLES[:count]).detach()
        torch.testing.assert_close(found, outputs(problem, network)[:count], rtol=1e-12, atol=1e-12)
    assert beside.model.layers is None
    assert set(program.state_dict) == set(module().state_dict())
    assert again.graph.ends.input == problem.graph.ends.input == ("features" if module is Skipping else "input")
    assert again.graph.format == "pt2"


@pytest.mark.parametrize("suffix", ["onnx", "pt2"])
def test_a_network_without_units_is_written_too(tmp_path, problem_of, suffix):
    spec, problem = problem_of(relu(), suffix)
    none = ParallelNetwork(problem.objective.empty_stacks(), problem.network.coefficients)
    written(spec, problem, none, tmp_path / f"none.{suffix}")


@pytest.mark.parametrize(
    ("source", "suffix"), [("pt", "onnx"), ("onnx", "pt2"), ("pt2", "onnx"), ("onnx", "safetensors"), ("pt2", "ckpt")]
)
def test_the_suffix_names_another_format(tmp_path, problem_of, source, suffix):
    spec, problem = problem_of(Skipping() if source == "pt2" else relu(), source)
    beside, again = written(spec, problem, widened(problem), tmp_path / f"wide.{suffix}")
    assert again.graph.format == suffix
    assert (beside.model.layers is None) == (suffix in ("onnx", "pt2"))


def test_a_whole_module_becomes_weights_without_code_and_says_so(tmp_path, problem_of):
    spec, problem = problem_of(relu(), "pt")
    network = widened(problem)
    out = tmp_path / "wide.pt"
    written(spec, problem, network, out)
    module = nn.Sequential(nn.Linear(3, 7), nn.ReLU(), nn.Linear(7, 2)).double()
    module.load_state_dict(torch.load(out, weights_only=True))
    torch.testing.assert_close(module(SAMPLES).detach(), outputs(problem, network), rtol=1e-12, atol=1e-12)
    (note,) = output_notes(out, problem.graph)
    assert "holds its weights and no code" in note


def test_a_flattened_input_is_written_as_a_table_with_a_note(tmp_path, write_problem, data_file):
    save_pt2(pictured(), tmp_path / "model.pt2", torch.randn(5, 1, 3))
    spec = load_problem_file(write_problem("model.pt2"))
    problem = Problem.from_files(spec)
    out = tmp_path / "wide.pt2"
    written(spec, problem, widened(problem), out)
    (note,) = output_notes(out, problem.graph)
    assert "reads tables" in note
    assert output_notes(tmp_path / "wide.pt", problem.graph) == ()


def normalized():
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Linear(4, 2))


class Branches(nn.Module):
    def __init__(self):
        super().__init__()
        self.left, self.right = relu(), nn.Sequential(nn.Linear(3, 5), nn.ReLU(), nn.Linear(5, 2, bias=False))

    def forward(self, rows):
        return self.left(rows) + self.right(rows)


@pytest.mark.parametrize("suffix", ["onnx", "pt2", "ckpt"])
def test_a_single_layer_stays_one(tmp_path, problem_of, suffix):
    spec, problem = problem_of(nn.Sequential(nn.Linear(3, 2)), "pt2")
    network, out = ParallelNetwork((), problem.network.coefficients + 0.5), tmp_path / f"o.{suffix}"
    written(spec, problem, network, out)
    if suffix == "onnx":
        found = onnx_outputs(out, SAMPLES)[1]
        torch.testing.assert_close(found, outputs(problem, network), rtol=1e-12, atol=1e-12)
    if suffix == "pt2":
        assert set(torch.export.load(out).state_dict) == {"0.weight", "0.bias"}


def test_frozen_layers_before_a_head_are_written_as_weights_alone(tmp_path, write_problem, data_file):
    save_pt2(nn.Sequential(nn.Linear(3, 3), nn.Tanh(), *relu()), tmp_path / "model.pt2")
    path = write_problem("model.pt2")
    path.write_text(path.read_text() + "scope: head\n")
    problem = Problem.from_files(load_problem_file(path))
    with pytest.raises(UsageError, match=r"name a \.pt") as caught:
        problem.write(tmp_path / "wide.onnx", problem.network)
    assert caught.value.code == "unwritable"
    problem.write(tmp_path / "wide", problem.network)
    assert len(torch.load(tmp_path / "wide", weights_only=True)) == 6


def own_outputs(path, samples):
    """By the library that owns the format."""
    if path.suffix == ".onnx":
        return onnx_outputs(path, samples)[1]
    return torch.export.load(path).module()(samples).detach()


def test_folded_normalization_is_written_folded_with_a_note(tmp_path, problem_of):
    # The exporter to ONNX folds normalization itself.
    spec, problem = problem_of(normalized(), "pt2")
    network, out = widened(problem), tmp_path / "wide.pt2"
    written(spec, problem, network, out)
    torch.testing.assert_close(own_outputs(out, SAMPLES), outputs(problem, network), rtol=1e-12, atol=1e-12)
    (note,) = output_notes(out, problem.graph)
    assert "has the layers that" in note
    assert "was reduced to" in note


@pytest.mark.parametrize("suffix", ["pt2", "onnx"])
def test_parallel_branches_are_written_with_their_own_layers(tmp_path, problem_of, suffix):
    spec, problem = problem_of(Branches(), suffix)
    network, out = widened(problem), tmp_path / f"wide.{suffix}"
    _, again = written(spec, problem, network, out)
    torch.testing.assert_close(own_outputs(out, SAMPLES), outputs(problem, network), rtol=1e-12, atol=1e-12)
    assert [layer.op for layer in again.graph.layers] == [layer.op for layer in problem.graph.layers]
    assert list(again.graph.parameters) == list(problem.graph.parameters)
    assert [again.graph.parameters[f"{side}.0.weight"].shape for side in ("left", "right")] == [(4, 3), (8, 3)]
    assert output_notes(out, problem.graph) == ()


@pytest.mark.parametrize("biased", [False, True])
def test_embeddings_are_written_as_look_ups_that_read_places(tmp_path, write_problem, biased):
    torch.manual_seed(0)
    indices = (torch.zeros(7, dtype=torch.long), torch.ones(7, dtype=torch.long))
    samples = ({0: torch.export.Dim.AUTO},) * 2
    module = BiasedPairs(2, 3, biased=True) if biased else Pairs(2, 3)
    torch.export.save(torch.export.export(module, indices, dynamic_shapes=samples), tmp_path / "model.pt2")
    rows, columns = np.divmod(np.arange(25), 5)
    np.savez(tmp_path / "train.npz", rows=rows, cols=columns, values=np.arange(25.0), shape=np.array([5, 5]))
    path = write_problem("model.pt2")
    path.write_text(path.read_text().replace(", inputs: X, targets: y", ""))
    spec = load_problem_file(path)
    problem = Problem.from_files(spec)
    network = widened(problem)
    _, again = written(spec, problem, network, tmp_path / "wide.pt2")
    places = torch.from_numpy(np.stack([rows, columns], 1)).double()
    expected = problem.objective.forward(network).reshape(-1)
    found = own_outputs(tmp_path / "wide.pt2", places).reshape(-1)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(again.graph.forward(places), expected, rtol=1e-12, atol=1e-12)
    assert "places (samples, 2)" in " ".join(output_notes(tmp_path / "wide.pt2", problem.graph))


def test_only_an_estimator_becomes_an_estimator(tmp_path, problem_of):
    _, problem = problem_of(relu(), "pt2")
    with pytest.raises(UsageError, match="not read from one") as caught:
        output_format(tmp_path / "wide.skops", problem.graph)
    assert caught.value.code == "unwritable"


def test_names_that_no_module_can_have_are_refused(tmp_path, write_problem, data_file):
    torch.save({"forward.weight": torch.ones(4, 3), "head.weight": torch.ones(2, 4)}, tmp_path / "model.pt")
    layers = "[{linear: forward}, relu, {linear: head}]"
    problem = Problem.from_files(load_problem_file(write_problem(layers=layers)))
    with pytest.raises(UsageError, match="'forward.weight' cannot be a parameter"):
        problem.write(tmp_path / "wide.pt2", problem.network)
    problem.write(tmp_path / "wide.onnx", problem.network)
