"""`.pt2` files written by `torch.export.save`, and the same programs after decomposition."""

import copy
import json
import zipfile

import pytest
import torch
from torch import nn

from certify.errors import RefusedError, UnsupportedError
from certify.models.loading import Problem
from certify.models.model_file import read_model_file
from certify.models.spec.problem_file import load_problem_file
from tests.models.readers.test_torch_files import CHAIN


class Everything(nn.Module):
    """Two branches of convolutions with most operations that have a layer."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3, padding=1, stride=1)
        self.norm = nn.BatchNorm2d(4)
        self.narrow = nn.Conv1d(4, 3, 3, padding="same", dilation=2)
        self.first = nn.Linear(16, 5, bias=False)
        self.offset = nn.Parameter(torch.randn(5))
        self.slope = nn.PReLU(5)
        self.second = nn.Linear(8, 2)
        self.drop = nn.Dropout(0.3)

    def forward(self, image):
        hidden = self.norm(self.conv(image))
        hidden = nn.functional.max_pool2d(nn.functional.leaky_relu(hidden, 0.1), 2)
        wide = self.slope(self.first(torch.flatten(hidden, 1)) + self.offset)
        long = self.narrow(hidden.view(hidden.size(0), 4, -1)).abs().mean(-1) / 2.0
        both = torch.cat([self.drop(wide), long.square() - long**2 + 3 * long], 1)
        return self.second(both[:, :])


class Decomposed(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(3, 4), nn.Linear(4, 2)

    def forward(self, inputs):
        return self.second(torch.relu(self.first(inputs)))


class Vision(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 3, 3)
        self.head = nn.Linear(3, 2)

    def forward(self, image):
        hidden = torch.relu_(self.conv(image))
        hidden = nn.functional.avg_pool2d(hidden, 2, stride=1, padding=1, count_include_pad=False)
        return self.head(nn.functional.adaptive_avg_pool2d(hidden, 1).squeeze(-1).squeeze(-1))


def exported(tmp_path, module, *inputs, decompose=False, static=False):
    shapes = None if static else tuple({0: torch.export.Dim.AUTO} for _ in inputs)
    program = torch.export.export(module.eval(), inputs, dynamic_shapes=shapes)
    path = tmp_path / "model.pt2"
    torch.export.save(program.run_decompositions() if decompose else program, path)
    return path


def agree(graph, module, *inputs):
    with torch.no_grad():
        expected = module.double().eval()(*inputs)
    torch.testing.assert_close(graph.forward(*inputs), expected, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("static", [False, True])
@pytest.mark.parametrize(
    ("module", "shape"),
    [(Everything, (1, 4, 4)), (lambda: copy.deepcopy(CHAIN), (1, 6, 6)), (Decomposed, (3,)), (Vision, (1, 5, 6))],
)
def test_the_graph_computes_what_the_module_computes_for_any_number_of_samples(tmp_path, module, shape, static):
    torch.manual_seed(0)
    made = module()
    graph = read_model_file(exported(tmp_path, made, torch.randn(3, *shape), static=static))
    assert graph.format == "pt2"
    agree(graph, made, torch.randn(11, *shape, dtype=torch.float64))


@pytest.mark.filterwarnings("ignore:.*LeafSpec")
@pytest.mark.parametrize(("module", "shape"), [(Decomposed, (3,)), (Vision, (1, 5, 6))])
def test_core_aten_is_read_as_well(tmp_path, module, shape):
    torch.manual_seed(0)
    made = module()
    path = exported(tmp_path, made, torch.randn(3, *shape), decompose=True)
    graph = read_model_file(path)
    if module is Decomposed:
        assert [(layer.op, layer.name) for layer in graph.layers] == [
            ("linear", "first"),
            ("relu", "relu"),
            ("linear", "second"),
        ]
        assert graph.parameters["first.weight"].shape == (4, 3)
    agree(graph, made, torch.randn(5, *shape, dtype=torch.float64))


def test_a_problem_file_needs_no_layers(tmp_path, write_problem, data_file):
    torch.manual_seed(0)
    exported(tmp_path, Decomposed(), torch.randn(3, 3))
    problem = Problem.from_files(load_problem_file(write_problem(model="model.pt2")))
    assert problem.source.family == "relu"
    assert not any(note.startswith("assumed") for note in problem.source.notes)


class Erf(Decomposed):
    def forward(self, inputs):
        return self.second(torch.erf(self.first(inputs)))


class Shifted(Decomposed):
    def forward(self, inputs):
        return self.second(torch.relu(self.first(inputs)) + torch.tensor([1.0, 2.0, 3.0, 4.0]))


def test_an_operation_without_a_layer_keeps_its_name(tmp_path):
    graph = read_model_file(exported(tmp_path, Erf(), torch.randn(3, 3)))
    assert [layer.op for layer in graph.layers] == ["linear", "aten.erf.default", "linear"]
    graph = read_model_file(exported(tmp_path, Shifted(), torch.randn(3, 3)))
    assert [layer.op for layer in graph.layers] == ["linear", "relu", "aten.add.Tensor", "linear"]


class Tied(Decomposed):
    def forward(self, inputs):
        return torch.relu(self.first(inputs)) @ self.first.weight


class FixedInPart(Decomposed):
    def __init__(self):
        super().__init__()
        self.register_buffer("random", torch.randn(4, 3))

    def forward(self, inputs):
        return self.second(torch.relu(nn.functional.linear(inputs, self.random, self.first.bias)))


class TwoOutputs(Decomposed):
    def forward(self, inputs):
        hidden = self.first(inputs)
        return hidden, self.second(hidden)


class SameModuleTwice(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3, 3)

    def forward(self, inputs):
        return self.layer(torch.relu(self.layer(inputs)))


@pytest.mark.parametrize(
    ("module", "code", "words"),
    [
        (Tied, "tied-weights", "'first.weight' is used more than once"),
        (SameModuleTwice, "tied-weights", "'layer.weight' is used more than once"),
        (FixedInPart, "unsupported-architecture", "'random', the weight of layer"),
        (TwoOutputs, "unsupported-architecture", "returns 2 tensors"),
    ],
)
def test_what_weight_decay_would_see_otherwise_is_unsupported(tmp_path, module, code, words):
    with pytest.raises(UnsupportedError, match=words) as caught:
        read_model_file(exported(tmp_path, module(), torch.randn(3, 3)))
    assert caught.value.code == code


def rewritten(path, change):
    """The archive with its program changed."""
    with zipfile.ZipFile(path) as source:
        entries = {name: source.read(name) for name in source.namelist()}
    with zipfile.ZipFile(path, "w") as target:
        for name, content in entries.items():
            target.writestr(name, change(name, content))


@pytest.mark.parametrize(("major", "age"), [(9, "newer"), (7, "older")])
def test_another_version_of_the_schema_is_refused(tmp_path, major, age):
    path = exported(tmp_path, Decomposed(), torch.randn(3, 3))

    def change(name, content):
        if not name.endswith("models/model.json"):
            return content
        program = json.loads(content)
        program["schema_version"]["major"] = major
        return json.dumps(program)

    rewritten(path, change)
    with pytest.raises(RefusedError, match=rf"version {major}\.\d+ of torch's export schema, {age}") as caught:
        read_model_file(path)
    assert caught.value.code == "unsupported-schema"


def test_the_schema_that_torch_writes_is_the_one_that_is_read():
    from torch._export.serde.schema import SCHEMA_VERSION

    from certify.models.readers.pt2_file import SCHEMA_MAJOR

    assert SCHEMA_VERSION[0] == SCHEMA_MAJOR


def test_pickled_weights_are_refused(tmp_path):
    path = exported(tmp_path, Decomposed(), torch.randn(3, 3))
    rewritten(path, lambda _, content: content.replace(b'"use_pickle": false', b'"use_pickle": true'))
    with pytest.raises(RefusedError, match="pickled, not stored as plain values"):
        read_model_file(path)


def test_a_cycle_is_refused(tmp_path):
    path = exported(tmp_path, Decomposed(), torch.randn(3, 3))

    def change(name, content):
        return content.replace(
            b'"arg": {"as_tensor": {"name": "linear"}}', b'"arg": {"as_tensor": {"name": "linear_1"}}'
        )

    rewritten(path, change)
    with pytest.raises(RefusedError, match="'linear_1' is read before it is computed"):
        read_model_file(path)


def test_a_hundred_thousand_operations_are_over_the_limit(tmp_path):
    path = exported(tmp_path, Decomposed(), torch.randn(3, 3))

    def change(name, content):
        if not name.endswith("models/model.json"):
            return content
        program = json.loads(content)
        graph = program["graph_module"]["graph"]
        node = next(node for node in graph["nodes"] if "relu" in node["target"])
        for index in range(100_000):
            before = "linear" if index == 0 else f"deep_{index - 1}"
            inputs = [{"name": "self", "arg": {"as_tensor": {"name": before}}, "kind": 1}]
            graph["nodes"].insert(
                1 + index, {**node, "inputs": inputs, "outputs": [{"as_tensor": {"name": f"deep_{index}"}}]}
            )
        return json.dumps(program)

    rewritten(path, change)
    with pytest.raises(RefusedError, match="over 2000 layers") as caught:
        read_model_file(path)
    assert caught.value.code == "over-limit"
