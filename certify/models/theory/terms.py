"""The terms of a model's output: what is added up last, with nothing but linear maps after it.

Going back from the output, maps without parameters that are linear distribute over a sum, and so do sums; the layers
at which this ends are the terms. A sum over channels makes every channel a term of its own.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import final

from certify.models.graph.layers import Layer, LayerGraph

# Linear without parameters.
LINEAR_MAPS = (
    *("flatten", "reshape", "permute", "squeeze", "unsqueeze", "slice", "select", "mean", "sum", "scale", "identity"),
    *("avg_pool1d", "avg_pool2d", "adaptive_avg_pool1d", "adaptive_avg_pool2d", "dropout"),
)
# Those after which axis 1 may hold something else than channels.
_REARRANGING = ("reshape", "permute", "squeeze", "unsqueeze", "slice", "select")
# Functions at the end of a model that torch's losses contain, and the loss.
CONTAINED = {"softmax": "cross-entropy", "log_softmax": "cross-entropy", "sigmoid": "binary-cross-entropy"}
_SUMMING = ("linear", "conv1d", "conv2d", "tied")
CHANNEL = 1


@final
@dataclass(frozen=True, slots=True)
class Term:
    """One term.

    Attributes:
        node: name of the layer, or graph input, that makes it.
        after: names of the linear maps from it to the output, in the order in which they run.
        sums: names of the sums that it goes through.
        contracted: whether its channels are summed.
        weighted: whether it is the layer of a weight, whose bias is then outside the sum.
        by_inputs: whether that weight sums over all its input channels, so that each of them makes a term.
    """

    node: str
    after: tuple[str, ...]
    sums: tuple[str, ...]
    contracted: bool
    weighted: bool
    by_inputs: bool


def terms_of(graph: LayerGraph) -> tuple[Term, ...]:
    """The terms, in the order in which they are added."""
    if not graph.layers:
        return ()
    return tuple(_terms(graph, Term(graph.layers[-1].name, (), (), False, False, False)))


def _terms(graph: LayerGraph, term: Term) -> list[Term]:
    """The terms below one, those of a sum that share a parameter as one."""
    reached = _through_maps(graph, term)
    if not _is_sum(graph, reached):
        return [_ended(graph, reached)]
    found, waiting = [], [reached]
    while waiting:
        node = _through_maps(graph, waiting.pop())
        if _is_sum(graph, node):
            layer = _layer(graph, node.node)
            below = replace(node, sums=(layer.name, *node.sums))
            waiting += [replace(below, node=name) for name in reversed(layer.inputs)]
        else:
            found.append(_ended(graph, node))
    return found if _share_nothing(graph, found) else [reached]


def _through_maps(graph: LayerGraph, term: Term) -> Term:
    """Down through linear maps that nothing else reads."""
    while True:
        layer = graph.layer(term.node)
        if layer is None or len(graph.readers(term.node)) > 1:
            return term
        # What the loss contains anyway is no part of the terms, so that the biases before it are those of the outputs.
        if layer.op not in LINEAR_MAPS and not (layer.op in CONTAINED and not term.after):
            return term
        contracted = (term.contracted and layer.op not in _REARRANGING) or sums_channels(layer)
        term = replace(term, node=layer.inputs[0], after=(layer.name, *term.after), contracted=contracted)


def _is_sum(graph: LayerGraph, term: Term) -> bool:
    """Whether a layer adds what it reads: under a sum over channels, what is joined there is added as well."""
    layer = graph.layer(term.node)
    if layer is None or len(graph.readers(term.node)) > 1:
        return False
    return layer.op == "add" or (layer.op == "cat" and term.contracted and layer.axes == (CHANNEL,))


def _ended(graph: LayerGraph, term: Term) -> Term:
    layer = graph.layer(term.node)
    weighted = layer is not None and layer.op in _SUMMING and len(graph.readers(term.node)) <= 1
    if weighted and layer is not None and layer.op == "tied":
        # The units that it sums over are rows of its weight.
        return replace(term, weighted=True, contracted=True)
    return replace(term, weighted=weighted, by_inputs=weighted and layer is not None and layer.groups == 1)


def _layer(graph: LayerGraph, name: str) -> Layer:
    return next(layer for layer in graph.layers if layer.name == name)


def _share_nothing(graph: LayerGraph, terms: list[Term]) -> bool:
    used = [name for term in terms for name in _parameters_before(graph, term)]
    return len(used) == len(set(used)) and len({term.node for term in terms}) == len(terms)


def _parameters_before(graph: LayerGraph, term: Term) -> set[str]:
    """Names of the trained parameters that a term depends on."""
    before = graph.ancestors(term.node)
    layers = [layer for layer in graph.layers if layer.name in before]
    return {name for layer in layers for name in layer.parameters.values() if name not in graph.frozen}


def sums_channels(layer: Layer) -> bool:
    """Whether a layer sums or averages over channels (axis 1)."""
    return layer.op in ("sum", "mean") and CHANNEL in layer.axes
