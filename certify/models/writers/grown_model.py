"""A grown model as two files: its weights, and beside them the problem file that makes them checkable."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from certify.errors import UsageError
from certify.models.factors.factor_model import FactorModel, is_factorization
from certify.models.graph.layers import Layer, LayerGraph
from certify.models.spec.factor_entry import TRANSPOSED
from certify.models.spec.init_file import WEIGHTS_ALONE
from certify.models.spec.problem_file import ProblemSpec, problem_file_beside
from certify.models.spec.yaml_document import yaml_text
from certify.models.theory.decompose import Decomposition
from certify.models.writers.output_format import WITH_LAYERS, output_format
from certify.problem.kinds.leaky_relu import DEFAULT_SLOPE
from certify.whole_file import write_whole


def write_problem_file(
    path: str | Path,
    spec: ProblemSpec,
    graph: LayerGraph,
    decomposition: Decomposition | FactorModel,
    *,
    headed: bool = False,
) -> Path:
    """Write the problem file beside the model at `path`; returns its path.

    Args:
        path: the model file that was written.
        spec: the problem that the model was grown for.
        graph: names the layers.
        decomposition: says which layers they are.
        headed: whether they are the head of a model, with frozen layers before it.

    Raises:
        UsageError: the file cannot be written.
    """
    target = problem_file_beside(path)
    text = "# Written by certify grow: what the model beside this file minimizes.\n" + yaml_text(
        _content(Path(path), spec, decomposition, _layers(path, spec, graph, decomposition, headed=headed))
    )
    write_whole(target, text.encode())
    return target


def require_describable(path: str | Path, graph: LayerGraph, *, headed: bool) -> None:
    """Check, before long work, that a problem file can say what the grown model computes.

    Args:
        path: the model file that is to be written.
        graph: what is grown.
        headed: whether it is the head of a model, with frozen layers before it.

    Raises:
        UsageError: the layers before a head are in a format that is not written.
    """
    chosen = output_format(path, graph, headed=headed)
    if graph.format == "sklearn" and graph.path is not None:
        raise UsageError(
            f"{graph.label}: a grown decomposition has no file that a problem file can name; grow it in Python with "
            "certify.grow(certify.Problem.from_sklearn(estimator, X))",
            code="unwritable",
        )
    # Layers of a file that holds none were listed in the problem file, or inferred as a chain.
    told = headed or chosen in WITH_LAYERS or is_factorization(graph) or graph.format in WEIGHTS_ALONE
    if not told and _entries(graph) is None:
        raise UsageError(
            f"{path}: a {chosen} file holds weights without layers, and those of {graph.label} are no chain that a "
            "problem file can list; name a .pt2 or .onnx file",
            code="unwritable",
        )
    if headed and graph.format not in WEIGHTS_ALONE and chosen not in WITH_LAYERS:
        raise UsageError(
            f"{graph.label}: grow writes weights without layers, and the frozen layers before this head have no other "
            "description; save the state dict and list its layers in the problem file, or use certify check "
            "--output-model, which writes the state dict alone",
            code="unwritable",
        )


def _content(
    path: Path, spec: ProblemSpec, decomposition: Decomposition | FactorModel, layers: Sequence[Any] | None
) -> dict[str, Any]:
    content = spec.model_dump(by_alias=True, exclude_none=True)
    content["model"] = {"path": path.name} | ({} if layers is None else {"layers": layers})
    content["data"] = _relative(content["data"], path.parent)
    policy = decomposition.policy
    content["biases"] = {"hidden": policy.hidden, "output": policy.output}
    if isinstance(spec.penalty.weight_decay, Mapping):
        # It says which are free.
        del content["biases"]
    return {key: _plain(value) for key, value in content.items()}


def _layers(
    path: str | Path,
    spec: ProblemSpec,
    graph: LayerGraph,
    decomposition: Decomposition | FactorModel,
    *,
    headed: bool,
) -> Sequence[Any] | None:
    """What `layers:` lists; None where the file holds them, or nothing was listed."""
    if output_format(path, graph, headed=headed) in WITH_LAYERS:
        return None
    # The layers of a head, those before it, and the arrays of a factorization have the names that they had.
    if headed or spec.model.layers:
        return spec.model.layers
    return [decomposition.entry] if isinstance(decomposition, FactorModel) else _entries(graph)


def _entries(graph: LayerGraph) -> list[Any] | None:
    """The `layers:` list of a chain with perhaps linear layers beside it; None for any other graph."""
    layers, skips = list(graph.layers), list[Layer]()
    while layers[-1].op == "add" and len(layers[-1].inputs) == 2:
        beside = graph.layer(layers[-1].inputs[1])
        if beside is None or beside.inputs != graph.inputs:
            return None
        skips, layers = [beside, *skips], [layer for layer in layers[:-1] if layer is not beside]
    read = (graph.inputs[0], *(layer.name for layer in layers[:-1]))
    if not all(layer.inputs == (name,) for layer, name in zip(layers, read, strict=True)):
        return None
    listed = [_entry(graph, layer) for layer in layers]
    if any(entry is None for entry in listed) or any(skip.op != "linear" for skip in skips):
        return None
    kinds = ["frozen" if graph.is_frozen(skip) else "skip" for skip in skips]
    if len(set(kinds)) < len(kinds) or any(s.bias and kind == "skip" for s, kind in zip(skips, kinds, strict=True)):
        return None
    return [*listed, *({kind: _file_name(graph, skip)} for kind, skip in zip(kinds, skips, strict=True))]


def _entry(graph: LayerGraph, layer: Layer) -> str | dict[str, Any] | None:
    if layer.op == "linear":
        return {"linear": _file_name(graph, layer)}
    if layer.op == "tied":
        return _tied(graph, layer)
    if layer.op == "leaky_relu":
        return {"leaky_relu": layer.attributes.get("negative_slope", DEFAULT_SLOPE)}
    if layer.op == "scale":
        return {"scale": layer.attributes["factor"]}
    return layer.op if layer.op in ("relu", "abs", "square") else None


def _tied(graph: LayerGraph, layer: Layer) -> dict[str, Any]:
    names = {role: graph.prefix + name for role, name in layer.parameters.items()}
    keys = {"weight": "weight", "hidden_bias": "hidden_bias", "bias": "output_bias"}
    found = {key: names[role] for role, key in keys.items() if role in names}
    found["weight"] += TRANSPOSED if layer.attributes.get("transposed") else ""
    return {"tied": found}


def _file_name(graph: LayerGraph, layer: Layer) -> str:
    return (graph.prefix + layer.parameters["weight"]).removesuffix("weight").removesuffix(".")


def _relative(data: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """The data section with its files named from the folder; of a `.npy` pair the arrays are files."""
    files = ("path",) if data.get("path") is not None else ("inputs", "targets", "sample_weights", "mask")
    return {key: os.path.relpath(value, folder) if key in files else value for key, value in data.items()}


def _plain(value: Any) -> Any:  # noqa: ANN401
    """Paths and tuples as YAML has them."""
    match value:
        case dict():
            return {key: _plain(entry) for key, entry in value.items()}
        case list() | tuple():
            return [_plain(entry) for entry in value]
        case Path():
            return str(value)
        case _:
            return value
