"""ONNX files written by `torch.onnx.export` and by `onnx.helper`, compared with torch and with ONNX's reference."""

import warnings

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator
from torch import nn

from certify.errors import RefusedError, UnsupportedError
from certify.models.loading import Problem
from certify.models.model_file import read_model_file
from certify.models.spec.problem_file import load_problem_file
from tests.models.readers.test_pt2_files import Decomposed, SameModuleTwice, TwoOutputs, Vision


def exported(tmp_path, module, inputs, dynamo=True, **options):
    path = tmp_path / "model.onnx"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(module.eval(), (inputs,), path, dynamo=dynamo, verbose=False, **options)
    return path


def agree(graph, module, *inputs):
    with torch.no_grad():
        expected = module.double().eval()(*inputs)
    # The exporter folds batch normalization and constants in float32.
    torch.testing.assert_close(graph.forward(*inputs), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("dynamo", [True, False])
@pytest.mark.parametrize(
    ("module", "shape"),
    [
        (Decomposed, (3,)),
        (Vision, (1, 5, 6)),
        (lambda: nn.Sequential(nn.Linear(3, 4), nn.LeakyReLU(0.3), nn.Linear(4, 2, bias=False)), (3,)),
        (lambda: nn.Sequential(nn.Conv1d(2, 3, 2), nn.PReLU(3), nn.Flatten(), nn.Linear(12, 1)), (2, 5)),
    ],
)
def test_exports_of_torch_compute_what_the_module_computes(tmp_path, module, shape, dynamo):
    torch.manual_seed(0)
    made = module()
    graph = read_model_file(exported(tmp_path, made, torch.randn(3, *shape), dynamo))
    assert graph.format == "onnx"
    agree(graph, made, torch.randn(3, *shape, dtype=torch.float64))


def test_a_problem_file_needs_no_layers(tmp_path, write_problem, data_file):
    torch.manual_seed(0)
    made = Decomposed()
    exported(tmp_path, made, torch.randn(3, 3))
    problem = Problem.from_files(load_problem_file(write_problem(model="model.onnx")))
    assert problem.source.family == "relu"
    assert {name: tuple(t.shape) for name, t in problem.graph.parameters.items()} == {
        "first.weight": (4, 3),
        "first.bias": (4,),
        "second.weight": (2, 4),
        "second.bias": (2,),
    }


@pytest.mark.parametrize(("module", "words"), [(SameModuleTwice, "more than once"), (TwoOutputs, "2 outputs")])
def test_tied_weights_and_several_outputs_are_unsupported(tmp_path, module, words):
    with pytest.raises(UnsupportedError, match=words):
        read_model_file(exported(tmp_path, module(), torch.randn(3, 3)))


def written(tmp_path, nodes, shape, opset=21, **weights):
    """A model of the nodes, from `x` to `y`."""
    initializers = [numpy_helper.from_array(np.asarray(values), name) for name, values in weights.items()]
    inputs = [helper.make_tensor_value_info("x", TensorProto.DOUBLE, ["n", *shape])]
    outputs = [helper.make_tensor_value_info("y", TensorProto.DOUBLE, None)]
    graph = helper.make_graph(nodes, "g", inputs, outputs, initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)
    path = tmp_path / "model.onnx"
    onnx.save(model, path)
    return path


def node(op, *inputs, output="y", **settings):
    return helper.make_node(op, list(inputs), [output], **settings)


RNG = np.random.default_rng(0)
A, B, K = RNG.normal(size=(4, 3)), RNG.normal(size=4), RNG.normal(size=(2, 3, 3, 2))
SINGLE = {
    "Gemm": ([node("Gemm", "x", "w", "b", transB=1)], (3,), {"w": A, "b": B}),
    "Gemm plain": ([node("Gemm", "x", "w", "b")], (3,), {"w": A.T, "b": B[None]}),
    "MatMul+Add": ([node("MatMul", "x", "w", output="h"), node("Add", "b", "h")], (3,), {"w": A.T, "b": B}),
    "Transpose": ([node("Transpose", "w", output="v"), node("MatMul", "x", "v")], (3,), {"w": A}),
    "Conv": ([node("Conv", "x", "w", pads=[1, 0, 1, 0], strides=[2, 1])], (3, 5, 4), {"w": K}),
    "Conv groups": ([node("Conv", "x", "w", "b", group=2)], (4, 5), {"w": RNG.normal(size=(4, 2, 3)), "b": B}),
    "Relu": ([node("Relu", "x")], (3,), {}),
    "LeakyRelu": ([node("LeakyRelu", "x")], (3,), {}),
    "PRelu": ([node("PRelu", "x", "w")], (3,), {"w": A[0]}),
    "PRelu of images": ([node("PRelu", "x", "w")], (3, 2, 2), {"w": A[0].reshape(3, 1, 1)}),
    "MaxPool": ([node("MaxPool", "x", kernel_shape=[2, 3], pads=[1, 1, 1, 1])], (3, 5, 4), {}),
    "MaxPool ceil": ([node("MaxPool", "x", kernel_shape=[2], strides=[2], ceil_mode=1)], (3, 5), {}),
    "AveragePool": ([node("AveragePool", "x", kernel_shape=[3, 3], pads=[1, 1, 1, 1])], (2, 5, 4), {}),
    "AveragePool pads": ([node("AveragePool", "x", kernel_shape=[2], pads=[1, 1], count_include_pad=1)], (2, 5), {}),
    "GlobalAveragePool": ([node("GlobalAveragePool", "x")], (3, 5, 4), {}),
    "GlobalMaxPool": ([node("GlobalMaxPool", "x")], (3, 5, 4), {}),
    "Flatten": ([node("Flatten", "x")], (3, 5, 4), {}),
    "Reshape": ([node("Reshape", "x", "s")], (3, 4), {"s": [0, 2, 6]}),
    "Reshape rest": ([node("Reshape", "x", "s")], (3, 4), {"s": [0, -1]}),
    "Add": ([node("Relu", "x", output="h"), node("Add", "x", "h")], (3,), {}),
    "Sub": ([node("Relu", "x", output="h"), node("Sub", "x", "h")], (3,), {}),
    "Concat": ([node("Relu", "x", output="h"), node("Concat", "x", "h", axis=-1)], (3,), {}),
    "BatchNormalization": (
        [node("BatchNormalization", "x", "w", "b", "m", "v", epsilon=1e-3)],
        (4, 2),
        {"w": B, "b": B + 1, "m": -B, "v": B**2},
    ),
    "Mul": ([node("Mul", "c", "x")], (3,), {"c": 2.5}),
    "Mul itself": ([node("Mul", "x", "x")], (3,), {}),
    "Div": ([node("Div", "x", "c")], (3,), {"c": [4.0]}),
    "Pow": ([node("Pow", "x", "c")], (3,), {"c": 2.0}),
    "Neg": ([node("Neg", "x")], (3,), {}),
    "Abs": ([node("Abs", "x")], (3,), {}),
    "Identity": ([node("Identity", "x", output="h"), node("Relu", "h")], (3,), {}),
    "Dropout": ([node("Dropout", "x")], (3,), {}),
    "ReduceMean": ([node("ReduceMean", "x", "a", keepdims=0)], (3, 5, 4), {"a": [2, 3]}),
    "ReduceMax": ([node("ReduceMax", "x", "a")], (3, 5), {"a": [2]}),
    "Unsqueeze": ([node("Unsqueeze", "x", "a")], (3,), {"a": [1]}),
    "Squeeze": ([node("Squeeze", "x", "a")], (1, 3), {"a": [1]}),
    "Slice": ([node("Slice", "x", "s", "e", "a")], (5,), {"s": [1], "e": [2**62], "a": [1]}),
    "Permute": ([node("Transpose", "x", perm=[0, 2, 1])], (3, 5), {}),
}


@pytest.mark.parametrize("name", SINGLE)
def test_every_operator_agrees_with_the_reference_of_onnx(tmp_path, name):
    nodes, shape, weights = SINGLE[name]
    path = written(tmp_path, nodes, shape, **weights)
    inputs = np.random.default_rng(1).normal(size=(6, *shape))
    (expected,) = ReferenceEvaluator(str(path)).run(None, {"x": inputs})
    graph = read_model_file(path)
    found = graph.forward(torch.from_numpy(inputs)).numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-13)


def test_rows_picked_by_number_are_an_embedding(tmp_path):
    path = written(tmp_path, [node("Gather", "w", "x")], (2,), w=A)
    graph = read_model_file(path)
    assert [layer.op for layer in graph.layers] == ["embedding"]
    assert torch.equal(graph.forward(torch.tensor([[0.0, 3.0]])), torch.from_numpy(A)[[0, 3]][None])


@pytest.mark.parametrize(
    ("nodes", "shape", "weights", "op"),
    [
        ([node("Erf", "x")], (3,), {}, "onnx.Erf"),
        ([node("Mul", "x", "c")], (3,), {"c": A[0]}, "onnx.Mul"),
        ([node("Gemm", "x", "w", alpha=2.0)], (3,), {"w": A.T}, "onnx.Gemm"),
        ([node("Conv", "x", "w", pads=[0, 0, 1, 1])], (3, 5, 4), {"w": K}, "onnx.Conv"),
        ([node("Conv", "x", "w", auto_pad="SAME_UPPER")], (3, 5, 4), {"w": K}, "onnx.Conv"),
        ([node("PRelu", "x", "w")], (3, 3), {"w": A[0]}, "onnx.PRelu"),
        ([node("Reshape", "x", "s")], (4,), {"s": [2, -1]}, "onnx.Reshape"),
    ],
)
def test_what_has_no_layer_keeps_its_name(tmp_path, nodes, shape, weights, op):
    assert read_model_file(written(tmp_path, nodes, shape, **weights)).layers[0].op == op


def test_older_and_newer_operator_sets_are_refused(tmp_path):
    for opset in (6, 27):
        with pytest.raises(RefusedError, match=rf"version {opset} of ONNX's operators") as caught:
            read_model_file(written(tmp_path, [node("Relu", "x")], (3,), opset=opset))
        assert caught.value.code == "unsupported-schema"


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("raw", [True, False])
def test_values_are_read_exactly_in_every_form(tmp_path, dtype, raw):
    values = A.astype(dtype)
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    tensor = helper.make_tensor("w", kind, values.shape, values.tobytes() if raw else values.reshape(-1), raw=raw)
    path = written(tmp_path, [node("Gemm", "x", "w", transB=1)], (3,), w=A)
    model = onnx.load(path)
    model.graph.initializer[0].CopyFrom(tensor)
    onnx.save(model, path)
    assert torch.equal(read_model_file(path).parameters["w"], torch.from_numpy(values.astype(np.float64)))


@pytest.mark.parametrize(
    ("dtype", "word"), [(np.int8, "int8"), (np.int64, "int64"), (np.complex64, "complex64"), (np.bool_, "bool")]
)
def test_weights_of_other_types_are_refused(tmp_path, dtype, word):
    with pytest.raises(RefusedError, match=word) as caught:
        read_model_file(written(tmp_path, [node("Gemm", "x", "w", transB=1)], (3,), w=A.astype(dtype)))
    assert caught.value.code == "weight-type"


def with_external(tmp_path, location):
    """A model in a folder of its own whose weights are elsewhere."""
    folder = tmp_path / "model"
    folder.mkdir()
    path = written(folder, [node("Gemm", "x", "w", transB=1)], (3,), w=A)
    model = onnx.load(path)
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in (("location", location), ("offset", "0"), ("length", str(A.nbytes))):
        tensor.external_data.add(key=key, value=value)
    path.write_bytes(model.SerializeToString())
    return path


def test_values_beside_the_model_are_read_with_a_note(tmp_path):
    path = exported(tmp_path, Decomposed(), torch.randn(3, 3))
    model = onnx.load(path)
    onnx.save(model, path, save_as_external_data=True, location="values.bin", size_threshold=0)
    graph = read_model_file(path)
    assert not graph.digest_complete
    assert any("values read from 'values.bin' (SHA-256 " in note for note in graph.notes)
    (bias,) = (numpy_helper.to_array(t) for t in onnx.load(path).graph.initializer if t.name == "first.bias")
    assert graph.parameters["first.bias"].tolist() == bias.astype(np.float64).tolist()


@pytest.mark.parametrize("location", ["../secret.bin", "a/../../secret.bin", "..\\secret.bin", "C:secret.bin", "link"])
def test_values_outside_the_folder_are_refused(tmp_path, location):
    path = with_external(tmp_path, location)
    (tmp_path / "secret.bin").write_bytes(A.tobytes())
    (path.parent / "link").symlink_to(tmp_path / "secret.bin")
    with pytest.raises(RefusedError, match="not inside the model's folder") as caught:
        read_model_file(path)
    assert caught.value.code == "unsafe-file"


def test_an_absolute_place_of_values_is_refused(tmp_path):
    (tmp_path / "secret.bin").write_bytes(A.tobytes())
    with pytest.raises(RefusedError, match="not inside the model's folder"):
        read_model_file(with_external(tmp_path, str(tmp_path / "secret.bin")))


def test_a_cycle_is_refused(tmp_path):
    nodes = [node("Add", "x", "b", output="a"), node("Relu", "a", output="b"), node("Relu", "b")]
    with pytest.raises(RefusedError, match="'b' is read before it is computed"):
        read_model_file(written(tmp_path, nodes, (3,)))


def test_a_hundred_thousand_nodes_are_over_the_limit(tmp_path):
    names = ["x", *(f"v{index}" for index in range(100_000)), "y"]
    nodes = [node("Relu", one, output=other) for one, other in zip(names, names[1:], strict=False)]
    with pytest.raises(RefusedError, match="over 2000 layers") as caught:
        read_model_file(written(tmp_path, nodes, (3,)))
    assert caught.value.code == "over-limit"
