"""Which channels of a network share parameters: the finest split into subnetworks.

Every output channel of a weighted layer is an atom that owns its row of the weight and of the bias. A weight joins an
output channel with the input channels that it multiplies (with those of its group in a convolution; where a weight
has zeros, only with the others). Atoms that are joined, however indirectly, are in one subnetwork. Frozen weights of
the inputs own nothing; where a product takes their outputs as gates, one for each channel, each goes with its channel.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, final

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from torch import Tensor

from certify.models.graph.layers import Layer, LayerGraph
from certify.models.graph.ranks import ranks_of
from certify.models.theory.degrees import HOMOGENEOUS, WITH_WEIGHT
from certify.models.theory.gates import labels_with_gates
from certify.models.theory.terms import Term

Labels = npt.NDArray[np.int64]

_REDUCTIONS = ("mean", "sum", "amax")
_CHANNELWISE = (
    *(op for op in HOMOGENEOUS if op not in ("maxout", "amax")),
    *("square", "squared_relu", "scale", "identity", "dropout", "prelu"),
    *("avg_pool1d", "avg_pool2d", "adaptive_avg_pool1d", "adaptive_avg_pool2d"),
)


@final
@dataclass(frozen=True, slots=True)
class Channels:
    """A split.

    Attributes:
        labels: for every layer, the subnetwork of each of its output channels; None for what has no trained parameters
            before it, unless it is a gate. A layer whose channels are no longer told apart has one.
        count: number of subnetworks, not all of which need to reach the output.
    """

    labels: dict[str, Labels | None]
    count: int


@dataclass(slots=True)
class _Atoms:
    """Atoms handed out so far and the pairs joined; lives within `split_channels`."""

    count: int = 0
    pairs: list[tuple[Labels, Labels]] = field(default_factory=list)

    def new(self, number: int) -> Labels:
        self.count += number
        return np.arange(self.count - number, self.count)

    def join(self, one: Labels, other: Labels) -> None:
        self.pairs.append((one, other))

    def merged(self, *parts: Labels | None) -> Labels:
        """All atoms of the parts in one subnetwork, told by its first atom."""
        atoms = np.concatenate([part for part in parts if part is not None])
        self.join(np.full(len(atoms), atoms[0]), atoms)
        return atoms[:1]

    def components(self) -> tuple[int, Labels]:
        one = np.concatenate([np.zeros(0, np.int64), *(pair[0] for pair in self.pairs)])
        other = np.concatenate([np.zeros(0, np.int64), *(pair[1] for pair in self.pairs)])
        graph = coo_array((np.ones(len(one), bool), (one, other)), shape=(self.count, self.count))
        count, labels = connected_components(graph, directed=False)
        return int(count), labels.astype(np.int64)


def split_channels(graph: LayerGraph, terms: tuple[Term, ...], *, zeros: bool) -> Channels:
    """The split of a graph.

    Args:
        graph: simplified.
        terms: of its output; a weight that makes one joins nothing, since its columns are added up.
        zeros: whether weights that are zero join nothing.
    """
    atoms, ranks = _Atoms(), ranks_of(graph)
    found: dict[str, Labels | None] = dict.fromkeys(graph.inputs)
    ends = {term.node for term in terms if term.by_inputs}
    outer = {name for term in terms for name in (*term.after, *term.sums)}
    for layer in graph.layers:
        values = [found[name] for name in layer.inputs]
        if layer.op in WITH_WEIGHT and not (graph.is_frozen(layer) and values[0] is None):
            weight = graph.weight(layer)
            own = atoms.new(weight.shape[1 if layer.op == "embedding" or layer.attributes.get("transposed") else 0])
            found[layer.name] = own
            if ranks[layer.name] > 2 and layer.op in ("linear", "embedding"):
                # Their channels lie on the last axis, not on axis 1: they are not told apart.
                atoms.merged(own, values[0])
            elif layer.name not in ends:
                _join_weight(atoms, layer, (own, values[0]), weight, zeros=zeros)
        elif layer.name not in outer and any(value is not None for value in values):
            gated = labels_with_gates(graph, layer, found, ranks[layer.name])
            found |= {layer.name: _passed_on(atoms, layer, values, ranks)} if gated is None else gated
        else:
            found[layer.name] = None
    for term in terms:
        whole = found[term.node]
        if whole is not None and not (term.contracted or term.by_inputs):
            atoms.merged(whole)
    _join_tied(atoms, graph, found)
    count, component = atoms.components()
    return Channels({name: None if part is None else component[part] for name, part in found.items()}, count)


def spread(labels: Labels, features: int) -> Labels | None:
    """Labels of the inputs of a weight: every channel repeated over its positions; None if that does not fit."""
    return np.repeat(labels, features // len(labels)) if features % len(labels) == 0 else None


def _join_weight(
    atoms: _Atoms, layer: Layer, labels: tuple[Labels, Labels | None], weight: Tensor, *, zeros: bool
) -> None:
    own, before = labels
    if before is None:
        return
    groups = layer.groups
    rows, columns = len(own) // groups, weight.shape[1]
    inputs = spread(before, columns * groups)
    if inputs is None:
        atoms.merged(own, before)
        return
    for group in range(groups):
        outs, ins = own[group * rows : (group + 1) * rows], inputs[group * columns : (group + 1) * columns]
        read = _read(weight[group * rows : (group + 1) * rows]) if zeros and not weight.is_meta else None
        if read is None or read.all() or not read.any():
            atoms.merged(outs, ins)
        else:
            # A channel that reads nothing goes with the input in its place.
            read[np.arange(rows), np.arange(rows) * columns // rows] |= ~read.any(1)
            row, column = np.nonzero(read)
            atoms.join(outs[row], ins[column])


def _read(weight: Tensor) -> npt.NDArray[np.bool_]:
    """(outputs, inputs): whether an output reads an input."""
    used: npt.NDArray[np.bool_] = (weight != 0).flatten(2).any(2).numpy() if weight.ndim > 2 else (weight != 0).numpy()
    return used


def _passed_on(atoms: _Atoms, layer: Layer, values: list[Labels | None], ranks: dict[str, int]) -> Labels:
    labels = [value for value in values if value is not None]
    first, rank = labels[0], ranks[layer.inputs[0]]
    axes = layer.axes
    match layer.op:
        case "maxout" if len(first) % (pieces := _whole(layer, "pieces")) == 0:
            blocks = first.reshape(-1, pieces)
            atoms.join(blocks[:, :1].repeat(pieces, 1).ravel(), blocks.ravel())
            return blocks[:, 0]
        case "flatten" if layer.attributes.get("start_dim") == 1 or rank == 2:
            return first
        case op if op in _REDUCTIONS and axes and 0 not in axes and 1 not in axes:
            return first
        case "squeeze" | "unsqueeze" if axes and axes[0] >= 2:
            return first
        case "add" | "mul" if len(labels) == len(values) and len({len(part) for part in labels}) == 1:
            for other in labels[1:]:
                atoms.join(first, other)
            return first
        case "cat" if axes == (1,) and len(labels) == len(values):
            return np.concatenate(labels)
        case op if op in _CHANNELWISE:
            return first
    return atoms.merged(*labels)


def _join_tied(atoms: _Atoms, graph: LayerGraph, found: dict[str, Labels | None]) -> None:
    """A parameter that two layers share is in one subnetwork."""
    owners: dict[str, Labels] = {}
    for layer in graph.layers:
        for name in layer.parameters.values():
            own = found[layer.name]
            if own is not None:
                atoms.merged(own, owners.setdefault(name, own)) if name in owners else owners.setdefault(name, own)


def _whole(layer: Layer, name: str) -> int:
    value: Any = layer.attributes[name]
    return int(value)
