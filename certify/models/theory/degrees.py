"""Degrees of homogeneity: of every layer in its input, of every value in all parameters, of the outputs in each one.

A value has degree k where h(aW) = aᵏ h(W) for a > 0 in all parameters W before it; what reads the inputs alone has
degree 0. Positively homogeneous functions multiply degrees, products and weights add them, and sums need equal ones
(Haeffele and Vidal 2015, Definition 1).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from certify.models.graph.layers import Layer, LayerGraph
from certify.models.theory.terms import LINEAR_MAPS, terms_of

HOMOGENEOUS = (
    *("relu", "leaky_relu", "abs", "maxout", "amax", "max_pool1d", "max_pool2d"),
    *("adaptive_max_pool1d", "adaptive_max_pool2d"),
)
NOT_HOMOGENEOUS = (
    *("sigmoid", "tanh", "gelu", "silu", "swish", "mish", "elu", "selu", "celu", "softplus", "softsign", "softmax"),
    *("log_softmax", "hardtanh", "relu6", "hardswish", "hardsigmoid", "layer_norm", "layernorm", "batch_norm"),
    *("batchnorm", "batchnorm1d", "group_norm", "instance_norm", "exp", "sin", "cos", "trunc"),
)
WITH_WEIGHT = ("linear", "conv1d", "conv2d", "embedding", "tied")
JOINING = ("add", "cat", "mul")
# Degree of each known operation in its input, None where it is not positively homogeneous.
INPUT_DEGREES: dict[str, int | None] = {
    **dict.fromkeys((*WITH_WEIGHT, *JOINING, *LINEAR_MAPS, *HOMOGENEOUS), 1),
    "no_units": 1,
    "square": 2,
    "squared_relu": 2,
    # Homogeneous in its input, but its trained slope adds a degree on one side only.
    "prelu": 1,
    # A step: a gate where what it reads is fixed, and not served elsewhere.
    "gt": 0,
    **dict.fromkeys(NOT_HOMOGENEOUS),
}


@final
@dataclass(frozen=True, slots=True)
class Break:
    """Where homogeneity ends.

    Attributes:
        layer: the layer.
        kind: what is wrong with it; a key of the table of obstacles.
        degrees: degrees that meet there.
    """

    layer: Layer
    kind: str
    degrees: tuple[int, ...] = ()


@final
@dataclass(frozen=True, slots=True)
class Degrees:
    """What is known of a graph's degrees.

    Attributes:
        values: degree of every layer's output, by name, in all parameters before it; biases of the outputs aside.
            None after a break.
        parameters: degree of the outputs in every weight and bias alone; None where there is none.
        breaks: where homogeneity ends, in the order of the layers.
    """

    values: dict[str, int | None]
    parameters: dict[str, int | None]
    breaks: tuple[Break, ...]


def layer_degree(layer: Layer) -> int | None:
    """Degree of a layer in its input, bias aside; None where it has none or is unknown."""
    return INPUT_DEGREES.get(layer.op)


def degrees_of(graph: LayerGraph) -> Degrees:
    """All degrees of a graph."""
    values: dict[str, int | None] = dict.fromkeys(graph.inputs, 0)
    breaks = []
    outer = {name for term in terms_of(graph) for name in (*([term.node] if term.weighted else []), *term.sums)}
    for layer in graph.layers:
        found = tuple(values[name] for name in layer.inputs)
        value, broken = _value(layer, found, int(not graph.is_frozen(layer)), layer.name in outer)
        values[layer.name] = value
        breaks += [] if broken is None else [broken]
    return Degrees(values, _of_parameters(graph), tuple(breaks))


def _value(
    layer: Layer, found: tuple[int | None, ...], trained: int, is_outer: bool
) -> tuple[int | None, Break | None]:
    """Degree of a layer's output, and what is wrong.

    Args:
        layer: the layer.
        found: degrees of what it reads.
        trained: what a weight adds: 1, or 0 where it is not trained.
        is_outer: whether it is a term or a sum of the model's output.
    """
    if layer.op not in INPUT_DEGREES:
        return None, Break(layer, "unknown")
    own, known = INPUT_DEGREES[layer.op], [degree for degree in found if degree is not None]
    if len(known) == len(found) and not any(known) and not (layer.parameters and trained):
        return 0, None
    if own is None or layer.op in ("prelu", "gt"):
        return None, Break(layer, layer.op if layer.op in ("batch_norm", "prelu", "gt") else "function")
    if len(known) < len(found):
        return None, None
    if layer.op == "mul":
        return sum(known), None
    if layer.op in ("add", "cat"):
        unequal = len(set(known)) > 1 and not is_outer
        return (None, Break(layer, "sum", tuple(known))) if unequal else (max(known), None)
    if layer.op in WITH_WEIGHT and layer.bias is not None and known[0] > 0 and not is_outer:
        return None, Break(layer, "bias", (known[0] + 1, 1))
    return own * known[0] + trained * _own_weights(layer), None


def _own_weights(layer: Layer) -> int:
    """How often a layer multiplies by a weight of its own."""
    return 2 if layer.op == "tied" else int(layer.op in WITH_WEIGHT)


def _of_parameters(graph: LayerGraph) -> dict[str, int | None]:
    """What comes after a parameter counts; several uses of one parameter add nothing to the largest."""
    degrees: dict[str, int | None] = {}
    after: dict[str, int | None] = {}
    for layer in reversed(graph.layers):
        here, own = after.get(layer.name, 1), layer_degree(layer)
        for role in ("bias", "hidden_bias", "weight"):
            if role in layer.parameters and not graph.is_frozen(layer):
                degrees[layer.parameters[role]] = None if own is None else _of_role(layer, role, here)
        for name in layer.inputs:
            after[name] = None if here is None or own is None else here * own
    return dict(reversed(degrees.items()))


def _of_role(layer: Layer, role: str, after: int | None) -> int | None:
    return after if after is None or role != "weight" else after * max(_own_weights(layer), 1)
