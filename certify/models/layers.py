"""LayerGraph: a model as a short list of operations, named as in ATen, and its parameters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import final

import torch
from torch import Tensor

from certify.errors import CertifyError, UsageError
from certify.models.layer_inference import infer_entries
from certify.models.layer_list import LayerEntry
from certify.models.problem_validation import did_you_mean
from certify.models.readers.weight_file import Format, WeightFile


@final
@dataclass(frozen=True, slots=True)
class Layer:
    """One operation.

    Attributes:
        op: `linear`, `relu`, `square`, … as in ATen.
        name: what the user calls it; the operation where it has no name of its own.
        weight: name of its weight among the parameters, or None.
        bias: name of its bias among the parameters, or None.
    """

    op: str
    name: str
    weight: str | None = None
    bias: str | None = None

    @property
    def title(self) -> str:
        """How messages call it."""
        return f"layer '{self.name}'"


@final
@dataclass(frozen=True, slots=True)
class LayerGraph:
    """A chain of layers, and perhaps a linear layer from the inputs to the outputs beside it.

    Attributes:
        layers: the chain, in the order in which it runs.
        skip: the linear layer beside the chain, or None.
        parameters: float64 tensors by name.
        prefix: what the file has before every name.
        format: where it came from.
        path: the file, or None.
        sha256: digest of the file, or of the parameters of a live module.
        notes: assumptions and conversions, for the report.
    """

    layers: tuple[Layer, ...]
    skip: Layer | None
    parameters: Mapping[str, Tensor]
    prefix: str
    format: Format
    path: Path | None
    sha256: str
    notes: tuple[str, ...]

    @property
    def label(self) -> str:
        """How messages call the model."""
        return str(self.path) if self.path else "model"

    def weight(self, layer: Layer) -> Tensor:
        """Weight of a layer, (outputs, inputs)."""
        return self.parameters[layer.weight or ""]

    def bias(self, layer: Layer) -> Tensor | None:
        """Bias of a layer, (outputs,), or None."""
        return None if layer.bias is None else self.parameters[layer.bias]

    def forward(self, inputs: Tensor) -> Tensor:
        """Outputs (n, c) for inputs (n, d), layer by layer: the reference for every other form of the model."""
        hidden = inputs
        for layer in self.layers:
            hidden = self._applied(layer, hidden)
        return hidden if self.skip is None else hidden + self._applied(self.skip, inputs)

    def _applied(self, layer: Layer, hidden: Tensor) -> Tensor:
        match layer.op:
            case "linear":
                return torch.nn.functional.linear(hidden, self.weight(layer), self.bias(layer))
            case "relu":
                return torch.relu(hidden)
            case "square":
                return torch.square(hidden)
            case _:
                raise CertifyError(f"{self.label}: no forward pass for '{layer.op}'; please report")


def build_graph(weights: WeightFile, entries: tuple[LayerEntry, ...] | None) -> LayerGraph:
    """Layers and weights together.

    Args:
        weights: the parameters.
        entries: the `layers:` list; None to infer it from the names.

    Raises:
        UsageError: the list and the weights do not fit, or the names do not tell the layers.
    """
    where = str(weights.path or "model")
    notes = weights.notes
    if entries is None:
        entries, assumed = infer_entries(weights.parameters, weights.format, where)
        notes = (*notes, *assumed)
    layers = [_layer(entry, weights, where) for entry in entries]
    skips = [layer for layer, entry in zip(layers, entries, strict=True) if entry.op == "skip"]
    if len(skips) > 1:
        raise UsageError(f"{where}: model.layers: at most one skip layer, found {len(skips)}", code="layers-needed")
    chain = tuple(layer for layer in layers if layer not in skips and layer.op != "identity")
    _require_all_used(layers, weights, where)
    return LayerGraph(
        layers=chain,
        skip=skips[0] if skips else None,
        parameters=weights.parameters,
        prefix=weights.prefix,
        format=weights.format,
        path=weights.path,
        sha256=weights.sha256,
        notes=notes,
    )


def _layer(entry: LayerEntry, weights: WeightFile, where: str) -> Layer:
    if entry.name is None:
        return Layer(entry.op, entry.op)
    name = entry.name.removeprefix(weights.prefix)
    # A module that is one layer has a nameless layer.
    weight, bias = (f"{name}.weight", f"{name}.bias") if name else ("weight", "bias")
    if entry.op in ("linear", "skip") and weight not in weights.parameters:
        layers = [key.removesuffix(".weight") for key in weights.parameters if key.endswith(".weight")]
        raise UsageError(
            f"{where}: no parameter '{weight}' for layer '{entry.name}'" + did_you_mean(name, layers),
            code="missing-parameter",
        )
    op = "linear" if entry.op == "skip" else entry.op
    found = weights.parameters
    return Layer(op, name or op, weight if weight in found else None, bias if bias in found else None)


def _require_all_used(layers: list[Layer], weights: WeightFile, where: str) -> None:
    used = [name for layer in layers for name in (layer.weight, layer.bias) if name is not None]
    others = {layer.name for layer in layers if layer.op != "linear"}
    unused = [n for n in weights.parameters if n not in used and n.rpartition(".")[0] not in others]
    if unused:
        raise UsageError(
            f"{where}: parameter '{unused[0]}' belongs to no layer of model.layers; list every layer, or save the "
            "weights without it",
            code="unused-parameters",
        )
    if len(used) != len(set(used)):
        raise UsageError(f"{where}: model.layers: a layer is listed twice", code="tied-weights")
