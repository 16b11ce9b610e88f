"""The head of a model, its last weight layers reading one value of all layers before, and the features that they read.

With the layers before it frozen, what they make of the data is data too: features (n, …). What is then asked, and
answered, is about the head given its features, whatever the frozen layers are.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import final

import torch
from torch import Tensor

from certify.errors import RefusedError, UnsupportedError, UsageError
from certify.models.graph.layers import Layer, LayerGraph
from certify.models.graph.operations import OPERATIONS
from certify.models.graph.ranks import ranks_of
from certify.models.graph.simplify import live_layers
from certify.models.theory.degrees import WITH_WEIGHT
from certify.models.theory.standing import require_layout, standing_of

# Two layers and a linear skip beside them.
MOST_WEIGHT_LAYERS = 3
# Samples that the frozen layers see at a time.
BATCH = 256
# Largest accepted difference between the features of a sample alone and among others, as a share of the largest.
ALONE_TOLERANCE = 1e-9


@final
@dataclass(frozen=True, slots=True)
class Head:
    """A model cut in two.

    Attributes:
        trunk: the layers before, frozen; its output are the features.
        graph: the layers after, whose input are the features.
    """

    trunk: LayerGraph
    graph: LayerGraph

    @property
    def layers(self) -> tuple[str, ...]:
        """Names of the head's layers with weights."""
        return tuple(layer.name for layer in self.graph.layers if layer.op in WITH_WEIGHT)

    @property
    def frozen_parameters(self) -> int:
        """Number of scalars in the trunk."""
        return sum(tensor.numel() for tensor in self.trunk.parameters.values())


def head_of(graph: LayerGraph) -> Head | None:
    """The largest head of two layers, or of one, that a bound serves; None if nothing lies before it.

    Raises:
        UnsupportedError: there is none (`no-head`), or what keeps the last layers from being one.
    """
    plain = replace(graph, layers=live_layers(graph))
    weights, found, last = 0, None, None
    for place in _cuts(plain):
        after = plain.layers[place:]
        count = sum(layer.op in WITH_WEIGHT for layer in after)
        if count > MOST_WEIGHT_LAYERS:
            break
        if count <= weights:
            continue
        head = _cut(plain, place)
        last = last or head
        if standing_of(head.graph).layout is not None:
            weights, found = count, head
    if found is None and last is not None:
        require_layout(last.graph)
    if found is None:
        raise UnsupportedError(
            f"{graph.label}: no last layers with weights that read one value of the layers before; scope: head needs a "
            "model that ends in linear layers",
            code="no-head",
        )
    return found if found.trunk.layers else None


def _cuts(graph: LayerGraph) -> Iterator[int]:
    """Places, the last first, from which on the layers read one value of those before."""
    read: set[str] = set()
    for place in range(len(graph.layers) - 1, -1, -1):
        layer = graph.layers[place]
        read = (read - {layer.name}) | set(layer.inputs)
        before = {graph.layers[place - 1].name} if place else set(graph.inputs)
        if read == before and len(read) == 1:
            yield place


def _cut(graph: LayerGraph, place: int) -> Head:
    before, after = graph.layers[:place], graph.layers[place:]
    value = before[-1].name if before else graph.inputs[0]
    trunk = replace(graph, layers=before, parameters=_used(graph, before), notes=())
    ranks = {value: ranks_of(graph)[value]}
    return Head(trunk, replace(graph, layers=after, parameters=_used(graph, after), inputs=(value,), ranks=ranks))


def _used(graph: LayerGraph, layers: tuple[Layer, ...]) -> dict[str, Tensor]:
    names = {name for layer in layers for name in layer.parameters.values()}
    return {name: tensor for name, tensor in graph.parameters.items() if name in names}


def features_of(trunk: LayerGraph, inputs: Tensor, device: torch.device, where: str) -> Tensor:
    """What the frozen layers make of the inputs, (n, …) float64 on the device, computed in batches.

    Args:
        trunk: the frozen layers.
        inputs: (n, …) float64.
        device: where to compute.
        where: the data, for messages.

    Raises:
        UnsupportedError: an operation that is not known, or features that are not those of the samples.
        UsageError: inputs of another shape than the layers read.
        RefusedError: features that are not finite.
    """
    _require_known(trunk)
    placed = replace(trunk, parameters={name: t.to(device) for name, t in trunk.parameters.items()})
    starts = range(0, len(inputs), BATCH)
    parts = [_forward(placed, inputs[start : start + BATCH].to(device), where) for start in starts]
    features = torch.cat(parts)
    if features.ndim < 2 or len(features) != len(inputs):
        raise UnsupportedError(
            f"{trunk.label}: the head reads features of shape {tuple(features.shape)}; need those of each of the "
            f"{len(inputs)} samples, along the first axis",
            code="no-head",
        )
    if not bool(torch.isfinite(features).all()):
        raise RefusedError(f"{where}: the features that the head reads overflow float64", code="non-finite")
    change = (_forward(placed, inputs[:1].to(device), where) - features[:1]).abs().max()
    if not bool(change <= ALONE_TOLERANCE * (1 + features.abs().max())):
        raise UnsupportedError(
            f"{trunk.label}: the features of a sample depend on the samples beside it; the head has no data of its own",
            code="no-head",
        )
    return features.contiguous()


def features_digest(features: Tensor) -> str:
    """SHA-256 of the features' bytes, row by row."""
    return hashlib.sha256(features.cpu().contiguous().numpy().tobytes()).hexdigest()


def _require_known(trunk: LayerGraph) -> None:
    unknown = next((layer for layer in trunk.layers if layer.op not in OPERATIONS), None)
    if unknown is not None:
        raise UnsupportedError(
            f"{trunk.label}: {unknown.title} is '{unknown.op}', an operation that certify does not know, so that it "
            "cannot compute the features of the head. Compute them yourself, and check the head alone on them",
            code="unknown-layer",
        )
    bare = next((x for x in trunk.layers if x.op == "batch_norm" and "running_var" not in x.parameters), None)
    if bare is not None:
        raise UnsupportedError(
            f"{trunk.label}: {bare.title} is batch_norm without running statistics; the features of a sample then "
            "depend on the samples beside it",
            code="no-head",
        )


def _forward(trunk: LayerGraph, inputs: Tensor, where: str) -> Tensor:
    try:
        return trunk.forward(inputs)
    except (RuntimeError, IndexError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UsageError(
            f"{where}: the layers before the head cannot read inputs of shape (n, "
            f"{', '.join(map(str, inputs.shape[1:]))}): {reason}",
            code="shape-mismatch",
        ) from error
