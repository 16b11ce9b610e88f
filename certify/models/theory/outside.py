"""What a model adds to its subnetworks: biases of the outputs, linear layers beside them, and the inputs themselves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from certify.models.graph.layers import Layer, LayerGraph
from certify.models.theory.degrees import degrees_of
from certify.models.theory.terms import CHANNEL, Term, terms_of


@final
@dataclass(frozen=True, slots=True)
class Outside:
    """The terms of the outputs that are no subnetworks.

    Attributes:
        biases: names of the parameters that are added to the outputs as they are.
        skips: linear layers from the inputs to the outputs; their biases are among `biases`.
        identity: whether the inputs are added to the outputs.
        fixed: linear layers from the inputs to the outputs that are not trained.
    """

    biases: tuple[str, ...]
    skips: tuple[Layer, ...]
    identity: bool
    fixed: tuple[Layer, ...] = ()


def outside_of(graph: LayerGraph) -> Outside | None:
    """The terms outside the sum; None if there is one of another sort.

    Args:
        graph: simplified, without breaks of homogeneity.
    """
    values, biases, skips, identities = degrees_of(graph).values, [], [], 0
    fixed: list[Layer] = []
    for term in terms_of(graph):
        layer, degree = graph.layer(term.node), values[term.node] or 0
        if layer is not None and graph.is_frozen(layer):
            if not _is_skip(graph, layer) or term.after:
                return None
            fixed.append(layer)
            continue
        if degree >= 2:
            if layer is not None and layer.bias and not (term.weighted and _keeps_constants(graph, term)):
                return None
            biases += [layer.bias] if layer is not None and layer.bias else []
        elif degree == 1 and layer is not None and _is_skip(graph, layer) and not term.after:
            skips.append(layer)
            biases += [layer.bias] if layer.bias else []
        elif layer is None and not term.after and graph.ranks.get(term.node, 2) == 2:
            identities += 1
        else:
            return None
    return Outside(tuple(biases), tuple(skips), identities == 1, tuple(fixed)) if identities <= 1 else None


def _is_skip(graph: LayerGraph, layer: Layer) -> bool:
    return layer.op == "linear" and layer.inputs == graph.inputs and len(graph.inputs) == 1


def _keeps_constants(graph: LayerGraph, term: Term) -> bool:
    """Whether the maps after a term give a constant back as it is: averages without padding, and rearrangements."""
    return all(_keeps(graph, layer, term) for layer in graph.layers if layer.name in term.after)


def _keeps(graph: LayerGraph, layer: Layer, term: Term) -> bool:
    if layer.op == "sum":
        node = graph.layer(term.node)
        return node is not None and len(graph.weight(node)) == 1 and layer.axes == (CHANNEL,)
    averaging = layer.op in ("mean", "avg_pool1d", "avg_pool2d", "adaptive_avg_pool1d", "adaptive_avg_pool2d")
    padded = layer.attributes.get("padding", 0) not in (0, (0,), (0, 0))
    return (averaging and not padded) or layer.op in ("flatten", "squeeze", "unsqueeze", "identity", "dropout")
