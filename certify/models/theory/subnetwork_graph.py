"""Subnetworks cut out of a graph: the layers of one, and where the parameters of all of them lie in the model's.

Subnetworks of a term that take equally many channels of every layer compute the same function of their weights. They
are cut together: the layers of the first, and an index (r, k) into every parameter.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, final

import numpy as np

from certify.models.graph.layers import Layer, LayerGraph
from certify.models.graph.simplify import live_layers
from certify.models.theory.channels import Channels, Labels, spread
from certify.models.theory.degrees import WITH_WEIGHT
from certify.models.theory.parts import Index, Part
from certify.models.theory.terms import CHANNEL, Term


@final
@dataclass(frozen=True, slots=True)
class Cut:
    """Identical subnetworks of one term.

    Attributes:
        graph: layers of one; its parameters are stacked, (r, …).
        parts: where its trained parameters lie, by their names in `graph`.
        width: r.
        fixed: where its frozen parameters lie; all r have the same values there.
    """

    graph: LayerGraph
    parts: Mapping[str, Part]
    width: int
    fixed: Mapping[str, Part]

    @property
    def signature(self) -> object:
        """Equal for subnetworks that compute the same function of their own weights, whatever their names."""
        places = {name: i for i, name in enumerate((*self.graph.inputs, *(layer.name for layer in self.graph.layers)))}
        shapes = [tuple(tensor.shape[1:]) for tensor in self.graph.parameters.values()]
        layers = [
            (x.op, tuple(sorted(x.attributes.items())), tuple(places[name] for name in x.inputs), tuple(x.parameters))
            for x in self.graph.layers
        ]
        fixed = (self.graph.parameters[name] for name in self.fixed)
        values = [b"" if tensor.is_meta else tensor[0].cpu().numpy().tobytes() for tensor in fixed]
        return tuple(layers), tuple(shapes), tuple(values)


@dataclass(slots=True)
class _Draft:
    """Subnetworks while they are cut."""

    model: LayerGraph
    width: int
    alias: dict[str, str]
    layers: list[Layer] = field(default_factory=list)
    parts: dict[str, Part] = field(default_factory=dict)
    fixed: dict[str, Part] = field(default_factory=dict)

    def take(self, layer: Layer, inputs: tuple[str, ...], parts: Mapping[str, Part]) -> None:
        """Add a layer that reads `inputs` of the model, with its parts of the parameters by role."""
        for part in parts.values():
            held = self.fixed if part.parameter in self.model.frozen else self.parts
            held.setdefault(part.parameter, part)
        roles = {role: layer.parameters[role] for role in parts}
        self.layers.append(replace(layer, inputs=tuple(self.alias[name] for name in inputs), parameters=roles))
        self.alias[layer.name] = layer.name


def cut_subnetworks(graph: LayerGraph, term: Term, channels: Channels) -> Iterator[Cut]:
    """The subnetworks of one term of the output, identical ones together, in the order of their channels."""
    labels = _split(graph, term, channels)
    if labels is None:
        return
    kept = graph.ancestors(term.node) | set(term.after)
    layers = [layer for layer in graph.layers if layer.name in kept]
    components = np.array(list(dict.fromkeys(labels.tolist())))
    shapes = np.stack(
        [
            *_counts(layers, channels, components),
            *_groups_read(layers, channels, components),
            *_values_frozen(graph, layers, channels, components),
        ],
        axis=1,
    )
    _, kind = np.unique(shapes, axis=0, return_inverse=True)
    for number in dict.fromkeys(kind.ravel().tolist()):
        yield _cut(graph, term, channels, components[kind.ravel() == number])


def _split(graph: LayerGraph, term: Term, channels: Channels) -> Labels | None:
    """Subnetwork of each summand of a term; None if the term is a fixed function."""
    node = graph.layer(term.node)
    if node is not None and term.by_inputs:
        return channels.labels[node.inputs[0]]
    return channels.labels[term.node]


def _counts(layers: list[Layer], channels: Channels, components: Index) -> list[Index]:
    """Number of channels of every layer that each subnetwork has."""
    labels = [channels.labels[layer.name] for layer in layers]
    zero = np.zeros(len(components), np.int64)
    return [zero] + [np.bincount(part, minlength=channels.count)[components] for part in labels if part is not None]


def _groups_read(layers: list[Layer], channels: Channels, components: Index) -> list[Index]:
    """First group of input channels that each subnetwork reads in a grouped convolution of the inputs."""
    found = []
    for layer in layers:
        own, groups = channels.labels[layer.name], layer.groups
        if groups > 1 and own is not None and channels.labels[layer.inputs[0]] is None:
            first = np.full(channels.count, groups)
            np.minimum.at(first, own, np.arange(len(own)) * groups // len(own))
            found.append(first[components])
    return found


def _values_frozen(graph: LayerGraph, layers: list[Layer], channels: Channels, components: Index) -> Iterator[Index]:
    """Of each frozen weight, one number for all subnetworks that have the same values in it."""
    for layer in (layer for layer in layers if graph.is_frozen(layer)):
        own, tensors = channels.labels[layer.name], [graph.parameters[name] for name in layer.parameters.values()]
        if own is None or tensors[0].is_meta:
            continue
        order = np.argsort(own, kind="stable")
        first = np.searchsorted(own[order], components)
        last = np.searchsorted(own[order], components, side="right")
        numbers: dict[tuple[bytes, ...], int] = {}
        rows = (order[start:end] for start, end in zip(first, last, strict=True))
        values = (tuple(tensor.cpu().numpy()[index].tobytes() for tensor in tensors) for index in rows)
        yield np.array([numbers.setdefault(value, len(numbers)) for value in values])


def _cut(graph: LayerGraph, term: Term, channels: Channels, members: Index) -> Cut:
    draft = _Draft(graph, len(members), {name: name for name in graph.inputs})
    kept, last = graph.ancestors(term.node) | set(term.after), term.node
    for layer in (layer for layer in graph.layers if layer.name in kept):
        if layer.name in term.after:
            # What the sums on the way join is this term alone.
            draft.take(layer, (last,), {})
            last = layer.name
        elif layer.name == term.node and term.by_inputs:
            weight = layer.parameters["weight"]
            columns = _indices(_spread(graph, layer, channels), members)
            draft.take(layer, layer.inputs, {"weight": Part(weight, None, columns)})
        elif layer.name == term.node and term.weighted:
            # Its bias is outside the sum.
            own = {role: name for role, name in layer.parameters.items() if role != "bias"}
            _take(draft, replace(layer, parameters=own), channels, members)
        else:
            _take(draft, layer, channels, members)
    parts = {**draft.parts, **draft.fixed}
    parameters = {name: part.of(graph.parameters[name], draft.width) for name, part in parts.items()}
    whole = replace(graph, layers=tuple(draft.layers), parameters=parameters, notes=())
    one = replace(whole, layers=live_layers(whole))
    return Cut(one, draft.parts, draft.width, draft.fixed)


def _take(draft: _Draft, layer: Layer, channels: Channels, members: Index) -> None:
    """Add a layer's channels of the subnetworks, if they have any."""
    own = channels.labels[layer.name]
    if own is None:
        frozen = {role: name for role, name in layer.parameters.items() if name in draft.model.frozen}
        draft.take(layer, layer.inputs, {role: Part(name, None, None) for role, name in frozen.items()})
        return
    rows = _indices(own, members)
    if rows.shape[1] == 0:
        return
    if layer.op in WITH_WEIGHT:
        _take_weighted(draft, layer, channels, members, rows)
        return
    inputs = tuple(name for name in layer.inputs if name in draft.alias)
    if len(inputs) == 1 and layer.op in ("add", "cat"):
        draft.alias[layer.name] = draft.alias[inputs[0]]
    else:
        draft.take(layer, inputs, {})


def _take_weighted(draft: _Draft, layer: Layer, channels: Channels, members: Index, rows: Index) -> None:
    groups, names = layer.groups, layer.parameters
    if layer.op == "embedding":
        draft.take(layer, layer.inputs, {"weight": Part(names["weight"], None, rows)})
        return
    parts = {role: Part(names[role], rows, None) for role in names}
    if layer.attributes.get("transposed"):
        parts["weight"] = Part(names["weight"], None, rows)
    reads, inputs = channels.labels[layer.inputs[0]], layer.inputs
    if groups > 1:
        read = rows[0] * groups // len(draft.model.weight(layer))
        layer = replace(layer, attributes={**layer.attributes, "groups": len(np.unique(read))})
        inputs = _sliced(draft, layer, groups, read) if reads is None else inputs
    elif reads is not None:
        parts["weight"] = replace(parts["weight"], columns=_indices(_spread(draft.model, layer, channels), members))
    draft.take(layer, inputs, parts)


def _sliced(draft: _Draft, layer: Layer, groups: int, read: Index) -> tuple[str, ...]:
    """The input channels of the groups read, cut out of the inputs."""
    size = draft.model.weight(layer).shape[1]
    first, last = int(read.min()), int(read.max())
    if last - first + 1 == groups:
        return layer.inputs
    name = f"{layer.name}.input"
    window: dict[str, Any] = {"dim": CHANNEL, "start": first * size, "end": (last + 1) * size}
    draft.take(Layer("slice", name, layer.inputs, attributes=window), layer.inputs, {})
    return (name,)


def _spread(graph: LayerGraph, layer: Layer, channels: Channels) -> Labels:
    """Subnetwork of each input of a weight; those that do not fit its channels are all of the first one."""
    before = channels.labels[layer.inputs[0]]
    features = graph.weight(layer).shape[1]
    if before is None:
        return np.zeros(features, np.int64)
    found = spread(before, features)
    return np.repeat(before[:1], features) if found is None else found


def _indices(labels: Labels, members: Index) -> Index:
    """(r, k): where the labels are each of the members, which all have equally many."""
    order = np.argsort(labels, kind="stable")
    found = labels[order]
    start, end = np.searchsorted(found, members), np.searchsorted(found, members, side="right")
    index: Index = order[start[:, None] + np.arange((end - start)[0])]
    return index
