"""In which format a network is written: that of its source, unless the suffix of the file names another."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Literal, get_args

from certify.errors import UsageError
from certify.models.factors.factor_model import is_factorization
from certify.models.graph.layers import LayerGraph
from certify.models.writers.onnx_graph import require_onnx_layers

OutputFormat = Literal["pt", "safetensors", "ckpt", "npz", "onnx", "pt2", "skops"]
# Formats that hold layers, so that a problem file must not list them.
WITH_LAYERS = ("onnx", "pt2", "skops")

# Of these, formats whose layers are built anew; they have no place for frozen layers before a head.
_REBUILT = ("onnx", "pt2")

_NAMED: dict[str, OutputFormat] = {name: name for name in get_args(OutputFormat)}
_SUFFIXES = {f".{name}": found for name, found in _NAMED.items()} | {".pth": "pt"}


def output_format(path: str | Path, graph: LayerGraph, *, headed: bool = False) -> OutputFormat:
    """The format of the file at `path` that a network of `graph` is written to.

    Args:
        path: its suffix decides, where it names a format.
        graph: what the network was loaded from.
        headed: whether it is the head of a model, with frozen layers before it.

    Raises:
        UsageError: the format cannot hold the network, or needs a package that is not installed.
    """
    named = _SUFFIXES.get(Path(path).suffix.lower())
    # What came live, or as a pickle of code, goes back as weights alone.
    found = named or _NAMED.get(graph.format, "pt")
    if headed and found in _REBUILT:
        if named is not None:
            raise UsageError(
                f"{path}: the frozen layers before the head of {graph.label} are written as their weights alone; name "
                "a .pt, .safetensors or .ckpt file",
                code="unwritable",
            )
        return "pt"
    if found == "skops" and (graph.format != "skops" or graph.path is None):
        raise UsageError(
            f"{path}: a .skops file is an estimator of scikit-learn, and {graph.label} is not read from one; name a "
            ".pt, .safetensors, .ckpt, .pt2 or .onnx file",
            code="unwritable",
        )
    if found == "onnx" and find_spec("onnx") is None:
        raise UsageError(
            f"{path}: writing ONNX files needs the onnx package; pip install 'certify-optimality[onnx]'",
            code="missing-extra",
        )
    if found == "onnx":
        require_onnx_layers(graph)
    return found


def output_notes(path: str | Path, graph: LayerGraph, *, headed: bool = False) -> tuple[str, ...]:
    """How the file at `path` differs from the model that the network came from, one sentence each.

    Raises:
        UsageError: as `output_format`, whose arguments these are.
    """
    found, name, notes = output_format(path, graph, headed=headed), Path(path).name, []
    if graph.folded:
        notes.append(f"{name} has the layers that {graph.label} was reduced to, not its own")
    if graph.ends.reshaped and found in WITH_LAYERS:
        notes.append(
            f"{name} reads tables (samples, inputs) and returns (samples, outputs): flattening and squeezing in "
            f"{graph.label} are left out"
        )
    axes = sum(layer.op == "select" for layer in graph.layers) if is_factorization(graph) else 0
    if axes and found in WITH_LAYERS:
        notes.append(f"{name} reads places (samples, {axes}), a column for each axis, and returns (samples,)")
    if graph.format == "module":
        notes.append(
            f"{graph.label} is a whole pickled module; {name} holds its weights and no code: load them into a module "
            "of the new width with load_state_dict"
            if found == "pt"
            else f"{graph.label} is a whole pickled module; {name} holds no code"
        )
    return tuple(notes)
