"""What a model is, layer by layer, and what keeps it from a certificate; needs no data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import final

import torch

from certify.errors import UsageError
from certify.models.homogeneity import Obstacle, layer_degree, obstacles, weight_degrees
from certify.models.layer_list import parse_layers
from certify.models.layers import Layer, LayerGraph
from certify.models.listed_layers import bare_graph
from certify.models.live_module import graph_of_module
from certify.models.model_file import layered, read_model_file
from certify.models.readers.weight_file import WeightFile
from certify.models.two_layer import two_layer_form
from certify.problem import SUBNETWORKS

QUADRATIC_NOTE = (
    "degree 3: weight decay has degree 2, so the certificate needs penalty: "
    "{product_of_norms: {strength: LAMBDA, norms: [2, 2], powers: [2, 1]}}"
)


@final
@dataclass(frozen=True, slots=True)
class LayerRow:
    """One line of the table of layers.

    Attributes:
        op: operation.
        name: name of the layer.
        shapes: shapes of its parameters, by name.
        degree: of homogeneity in its input; None where it has none or is unknown.
    """

    op: str
    name: str
    shapes: dict[str, tuple[int, ...]]
    degree: int | None


@final
@dataclass(frozen=True, slots=True)
class Inspection:
    """What was found.

    Attributes:
        layers: the layers in order; a linear layer beside the others has operation `skip`.
        family: name of the subnetwork kind, or None.
        degree: its degree of homogeneity, or None.
        width: number r of subnetworks, or None.
        parameters: shapes by name.
        weight_degrees: degree of the outputs in every weight of the chain; None where there is none.
        penalized: names of the parameters that weight decay reaches by default.
        format: format of the file, or `live`.
        path: the file, or None.
        sha256: digest of the file, or of a live module's parameters.
        notes: assumptions and conversions.
        problems: what keeps the model from a certificate; empty if nothing does.
    """

    layers: tuple[LayerRow, ...]
    family: str | None
    degree: int | None
    width: int | None
    parameters: dict[str, tuple[int, ...]]
    weight_degrees: dict[str, int | None]
    penalized: tuple[str, ...]
    format: str
    path: Path | None
    sha256: str
    notes: tuple[str, ...]
    problems: tuple[Obstacle, ...]


def inspect_model(model: str | Path | torch.nn.Module, layers: Sequence[object] | None = None) -> Inspection:
    """Inspect a file or a live module.

    Args:
        model: path of a model file, or a module.
        layers: the `layers:` list, if there is one.

    Raises:
        UsageError: a missing file, or layers that the weights do not have.
        RefusedError: unsafe, corrupt or non-finite content.
    """
    if isinstance(model, torch.nn.Module):
        return inspection_of(graph_of_module(model, layers))
    found = read_model_file(Path(model))
    try:
        return inspection_of(layered(found, None if layers is None else parse_layers(layers)))
    except UsageError as error:
        if error.code != "layers-needed" or layers is not None or not isinstance(found, WeightFile):
            raise
        problem = Obstacle(error.code, str(error), "", is_usage=True)
    except ValueError as error:
        raise UsageError(f"{model}: layers: {error}", code="layers-needed") from error
    return _inspection(bare_graph(found), (problem,))


def inspection_of(graph: LayerGraph) -> Inspection:
    """The inspection of a graph."""
    return _inspection(graph, obstacles(graph))


def _inspection(graph: LayerGraph, problems: tuple[Obstacle, ...]) -> Inspection:
    form = None if problems else two_layer_form(graph)
    family = None if form is None else form.family
    skip = None if form is None else form.skip
    rows = [_row(graph, layer, "skip" if layer is skip else layer.op) for layer in graph.layers]
    return Inspection(
        layers=tuple(rows),
        family=family,
        degree=None if family is None else SUBNETWORKS[family].degree,
        width=None if form is None else graph.weight(form.first).shape[0],
        parameters={name: tuple(tensor.shape) for name, tensor in graph.parameters.items()},
        weight_degrees=weight_degrees(graph),
        penalized=_penalized(graph),
        format=graph.format,
        path=graph.path,
        sha256=graph.sha256,
        notes=(*graph.notes, *((QUADRATIC_NOTE,) if family == "quadratic" else ())),
        problems=problems,
    )


def _penalized(graph: LayerGraph) -> tuple[str, ...]:
    """All parameters but the statistics that a layer keeps."""
    kept = {name for layer in graph.layers for role, name in layer.parameters.items() if role.startswith("running_")}
    return tuple(name for name in graph.parameters if name not in kept)


def _row(graph: LayerGraph, layer: Layer, op: str) -> LayerRow:
    shapes = {name: tuple(graph.parameters[name].shape) for name in layer.parameters.values()}
    return LayerRow(op, layer.name, shapes, layer_degree(layer))
