"""A grown model as two files: its weights, and beside them the problem file that makes them checkable."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from certify.errors import UsageError
from certify.models.graph.layers import Layer, LayerGraph
from certify.models.spec.init_file import WEIGHTS_ALONE
from certify.models.spec.problem_file import ProblemSpec, problem_file_beside
from certify.models.spec.yaml_document import yaml_text
from certify.models.theory.decompose import Decomposition
from certify.models.theory.two_layer import FAMILIES
from certify.models.writers.output_format import WITH_LAYERS, output_format
from certify.whole_file import write_whole


def write_problem_file(
    path: str | Path, spec: ProblemSpec, graph: LayerGraph, decomposition: Decomposition, *, headed: bool = False
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
    try:
        write_whole(target, text.encode())
    except OSError as error:
        raise UsageError(f"{target}: cannot be written: {error.strerror}", code="unwritable") from error
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
    if headed and graph.format not in WEIGHTS_ALONE and output_format(path, graph, headed=True) not in WITH_LAYERS:
        raise UsageError(
            f"{graph.label}: grow writes weights without layers, and the frozen layers before this head have no other "
            "description; save the state dict and list its layers in the problem file, or use certify check "
            "--output-model, which writes the state dict alone",
            code="unwritable",
        )


def _content(
    path: Path, spec: ProblemSpec, decomposition: Decomposition, layers: Sequence[Any] | None
) -> dict[str, Any]:
    content = spec.model_dump(by_alias=True, exclude_none=True)
    content["model"] = {"path": path.name} | ({} if layers is None else {"layers": layers})
    content["data"] = _relative(content["data"], path.parent)
    policy = decomposition.policy
    content["biases"] = {"hidden": policy.hidden, "output": policy.output}
    return {key: _plain(value) for key, value in content.items()}


def _layers(
    path: str | Path, spec: ProblemSpec, graph: LayerGraph, decomposition: Decomposition, *, headed: bool
) -> Sequence[Any] | None:
    """What `layers:` lists; None where the file holds them, or nothing was listed."""
    if output_format(path, graph, headed=headed) in WITH_LAYERS:
        return None
    # The layers of a head, and those before it, have the names that they had.
    return spec.model.layers if headed else _entries(graph, decomposition)


def _entries(graph: LayerGraph, decomposition: Decomposition) -> list[str | dict[str, str]]:
    form = decomposition.form
    if form.family == "single-layer" and form.skip is not None:
        return [{"linear": _file_name(graph, form.skip)}]
    between = next(ops for ops, family in FAMILIES.items() if family == form.family)
    entries: list[str | dict[str, str]] = [{"linear": _file_name(graph, form.first)}, *between]
    entries.append({"linear": _file_name(graph, form.second)})
    return entries if form.skip is None else [*entries, {"skip": _file_name(graph, form.skip)}]


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
