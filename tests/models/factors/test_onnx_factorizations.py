"""Models of embeddings in ONNX are the factorizations that they are live, as both of torch's exporters write them."""

import warnings

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from onnx import TensorProto, helper, numpy_helper, save

from certify.cli.main import cli
from certify.models.factors.factor_model import is_factorization
from certify.models.loading import Problem
from certify.models.model_file import graph_of_file
from certify.models.spec.overrides import Overrides
from certify.models.spec.problem_file import spec_from_flags

from .modules import OTHERS, PAIRS, TABLES, module
from .test_embeddings import DECAY, PLACES, VALUES, arguments, torch_objective

# What torch's older exporter writes with operators that compute shapes.
COMPUTED = ("columns", "unbound")


def exported(made, name, path, dynamo=True):
    given = arguments(made, name)
    names = [f"places{at}" for at in range(len(given))]
    chosen = {"dynamic_shapes": ({0: torch.export.Dim.AUTO},) * len(given)}
    older = {"input_names": names, "dynamic_axes": {name: {0: "n"} for name in names}}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(made.eval(), given, path, dynamo=dynamo, verbose=False, **(chosen if dynamo else older))
    return path


@pytest.mark.parametrize("dynamo", [True, False])
@pytest.mark.parametrize("name", [*PAIRS, *TABLES])
def test_an_exported_module_has_its_own_objective(name, dynamo, tmp_path):
    if not dynamo and name in COMPUTED:
        pytest.skip("written with computed shapes")
    made = module({**PAIRS, **TABLES}[name])
    path = exported(made, name, tmp_path / "m.onnx", dynamo)
    np.savez(tmp_path / "d.npz", X=PLACES, y=VALUES)
    given = Overrides(data=str(tmp_path / "d.npz"), inputs="X", targets="y", weight_decay=DECAY)
    problem = Problem.from_files(spec_from_flags(path, given))
    assert problem.source.family == "matrix-factorization"
    found = problem.objective.evaluate(problem.network).objective
    # Exporters rename tables that are indexed as tensors, and may write a number as a table of one.
    held = [tensor.flatten() for tensor in problem.graph.parameters.values()]
    used = [n for n, own in made.named_parameters() if any(torch.equal(own.flatten(), tensor) for tensor in held)]
    assert len(used) == len(held)
    assert found == pytest.approx(torch_objective(made, name, used), rel=1e-12)
    live = made(*arguments(made, name)).detach().reshape(-1)
    torch.testing.assert_close(problem.objective.forward(problem.network)[:, 0], live, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("name", OTHERS)
def test_what_only_looks_like_one_is_none(name, tmp_path):
    path = exported(module(OTHERS[name]), name, tmp_path / "m.onnx")
    assert not is_factorization(graph_of_file(path, None))


def test_it_is_grown_and_verified(tmp_path):
    name = "last axis, squeezed, with a mean"
    path = exported(module(PAIRS[name]), name, tmp_path / "m.onnx")
    np.savez(tmp_path / "d.npz", X=PLACES, y=VALUES)
    out, proof = str(tmp_path / "out.pt"), str(tmp_path / "proof")
    runner, data = CliRunner(), ["--data", str(tmp_path / "d.npz")]
    given = [*data, "--weight-decay", "0.01", "--inputs", "X", "--targets", "y"]
    grown = runner.invoke(cli, ["grow", str(path), *given, "-o", out, "--certificate", proof])
    assert grown.exit_code == 0, grown.output
    assert runner.invoke(cli, ["verify", proof, *data, "--model", out]).exit_code == 0
    assert runner.invoke(cli, ["check", out]).exit_code == 0


def written(path, nodes, **weights):
    """Two vectors of places, and these nodes to `y`."""
    whole = [helper.make_tensor_value_info(name, TensorProto.INT64, ["n"]) for name in ("u", "i")]
    held = [numpy_helper.from_array(np.asarray(values), name) for name, values in weights.items()]
    outputs = [helper.make_tensor_value_info("y", TensorProto.DOUBLE, None)]
    graph = helper.make_graph([helper.make_node(*node[:3], **node[3]) for node in nodes], "g", whole, outputs, held)
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    return path


TABLE = np.arange(12.0).reshape(4, 3)
END = [("Mul", ["a", "b"], ["p"], {}), ("ReduceSum", ["p", "one"], ["y"], {"keepdims": 0})]


def looked_up(*first, **weights):
    nodes = [*first, ("Gather", ["V", "i"], ["b"], {}), *END]
    return nodes, {"U": TABLE, "V": TABLE + 1, "one": np.array([1])} | weights


@pytest.mark.parametrize(
    ("nodes", "weights", "served"),
    [
        (*looked_up(("Gather", ["U", "u"], ["a"], {})), True),
        # Columns of the table in place of rows.
        (*looked_up(("Gather", ["U", "u"], ["a"], {"axis": 1})), False),
        # Numbers with an axis before them: the first of the two places would choose.
        (
            *looked_up(
                ("Unsqueeze", ["u", "zero"], ["v"], {}), ("GatherND", ["U", "v"], ["a"], {}), zero=np.array([0])
            ),
            False,
        ),
        (*looked_up(("Unsqueeze", ["u", "one"], ["v"], {}), ("GatherND", ["U", "v"], ["a"], {})), True),
        (*looked_up(("Unsqueeze", ["u", "last"], ["v"], {}), ("GatherND", ["U", "v"], ["a"], {}), last=[-1]), True),
    ],
)
def test_look_ups_along_other_axes_are_none(nodes, weights, served, tmp_path):
    path = written(tmp_path / "m.onnx", nodes, **weights)
    assert is_factorization(graph_of_file(path, None)) is served


@pytest.mark.parametrize(("equation", "served"), [("nk,nk->n", True), ("nk,nk->k", False), ("nk,mk->nm", False)])
def test_only_inner_products_of_rows_are_one(equation, served, tmp_path):
    nodes = [("Gather", ["U", "u"], ["a"], {}), ("Gather", ["V", "i"], ["b"], {})]
    nodes.append(("Einsum", ["a", "b"], ["y"], {"equation": equation}))
    path = written(tmp_path / "m.onnx", nodes, U=TABLE, V=TABLE + 1)
    assert is_factorization(graph_of_file(path, None)) is served
