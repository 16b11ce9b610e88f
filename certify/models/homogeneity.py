"""Degree of homogeneity of every layer, and where a model leaves what the certificate can speak of.

The theory needs φ(aW) = aᵖφ(W) for a > 0 (Haeffele and Vidal 2015, Definition 1), which a chain of positively
homogeneous layers has; here: two linear layers with nothing, ReLU or square between them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from certify.errors import UnsupportedError, UsageError
from certify.models.layers import Layer, LayerGraph
from certify.models.two_layer import TwoLayerForm, two_layer_form

NOT_HOMOGENEOUS = (
    *("sigmoid", "tanh", "gelu", "silu", "swish", "mish", "elu", "selu", "celu", "softplus", "softsign", "softmax"),
    *("log_softmax", "hardtanh", "relu6", "hardswish", "hardsigmoid", "layer_norm", "layernorm", "batch_norm"),
    *("batchnorm", "batchnorm1d", "group_norm", "instance_norm", "exp", "sin", "cos"),
)
# Degree of each known operation in its input, None where it is not positively homogeneous.
INPUT_DEGREES: dict[str, int | None] = {
    "linear": 1,
    "relu": 1,
    "square": 2,
    "identity": 1,
    "leaky_relu": 1,
    "max_pool": 1,
    "avg_pool": 1,
    "conv": 1,
    "abs": 1,
    "maxout": 1,
    "add": 1,
    **dict.fromkeys(NOT_HOMOGENEOUS),
}
_QUALIFY = "Layers that qualify: linear, ReLU, square."


@final
@dataclass(frozen=True, slots=True)
class Obstacle:
    """Why a model has no certificate.

    Attributes:
        code: reason code.
        reason: where and what was found.
        remedy: what would mend it.
        is_usage: whether the weights contradict themselves, rather than leave the theory.
    """

    code: str
    reason: str
    remedy: str
    is_usage: bool = False

    def error(self) -> UnsupportedError | UsageError:
        """The error to raise."""
        kind = UsageError if self.is_usage else UnsupportedError
        return kind(f"{self.reason} {self.remedy}", code=self.code)


def layer_degree(layer: Layer) -> int | None:
    """Degree of a layer in its input, bias aside; None where it has none or is unknown."""
    return INPUT_DEGREES.get(layer.op)


def weight_degrees(graph: LayerGraph) -> dict[str, int | None]:
    """Degree of the outputs in every weight alone: what comes after it counts; None as for layers."""
    degrees: dict[str, int | None] = {}
    after: dict[str, int | None] = {}
    for layer in reversed(graph.layers):
        here, own = after.get(layer.name, 1), layer_degree(layer)
        if layer.weight is not None:
            degrees[layer.weight] = here
        for name in layer.inputs:
            after[name] = None if here is None or own is None else here * own
    return dict(reversed(degrees.items()))


def family_of(graph: LayerGraph) -> str | None:
    """Name of the subnetwork kind, or None."""
    form = two_layer_form(graph)
    return None if form is None else form.family


def obstacles(graph: LayerGraph) -> tuple[Obstacle, ...]:
    """Everything that keeps the model from a certificate, gravest first; empty if nothing does."""
    found = [obstacle for layer in graph.layers if (obstacle := _of_layer(layer, graph.label))]
    if found:
        return tuple(found)
    form = two_layer_form(graph)
    if form is not None:
        return tuple(_shape_faults(graph, form))
    weighted = [layer for layer in graph.layers if layer.weight is not None]
    return (_too_deep(weighted, graph.label) if len(weighted) >= 3 else _other_shape(graph),)


def require_supported(graph: LayerGraph) -> TwoLayerForm:
    """The two-layer form.

    Raises:
        UnsupportedError: `not-homogeneous`, `unknown-layer`, `degree-mismatch` or `unsupported-architecture`.
        UsageError: the shapes of the weights do not chain.
    """
    for obstacle in obstacles(graph):
        raise obstacle.error()
    form = two_layer_form(graph)
    if form is None:
        raise UnsupportedError("the layers form no known family of subnetworks", code="unsupported-architecture")
    return form


def _of_layer(layer: Layer, label: str) -> Obstacle | None:
    if layer.op not in INPUT_DEGREES:
        reason = f"{label}: {layer.title} is '{layer.op}', an operation that certify does not know."
        return Obstacle("unknown-layer", reason, _QUALIFY)
    if INPUT_DEGREES[layer.op] is None:
        reason = (
            f"{label}: {layer.title} is {layer.op}, which is not positively homogeneous; the certificate needs "
            "φ(aW) = aᵖφ(W)."
        )
        return Obstacle("not-homogeneous", reason, _QUALIFY)
    return None


def _too_deep(weighted: list[Layer], label: str) -> Obstacle:
    count = len(weighted)
    names = ", ".join(f"'{layer.name}'" for layer in weighted)
    reason = (
        f"{label}: {count} weight layers ({names}) have degree {count}, but weight decay has degree 2; the "
        "certificate needs equal degrees."
    )
    return Obstacle("degree-mismatch", reason, "Not supported yet; networks with two weight layers are.")


def _other_shape(graph: LayerGraph) -> Obstacle:
    chain = ", ".join(layer.op for layer in graph.layers) or "nothing"
    reason = f"{graph.label}: the layers are ({chain})."
    needed = "certify serves (linear, linear), (linear, relu, linear) and (linear, square, linear)."
    if [layer.op for layer in graph.layers] == ["linear"]:
        needed += " A single linear layer is a convex problem, where every stationary point is optimal."
    return Obstacle("unsupported-architecture", reason, needed)


def _shape_faults(graph: LayerGraph, form: TwoLayerForm) -> list[Obstacle]:
    where = graph.label
    faults = []
    for layer in form.weighted:
        weight, bias = graph.weight(layer), graph.bias(layer)
        if weight.ndim != 2:
            faults.append(_shape(f"{where}: '{layer.weight}' has shape {tuple(weight.shape)}.", "Need a matrix."))
        elif bias is not None and bias.shape != weight.shape[:1]:
            found = f"{where}: '{layer.bias}' has shape {tuple(bias.shape)}, '{layer.weight}' {tuple(weight.shape)}."
            faults.append(_shape(found, f"Need a bias of shape ({weight.shape[0]},)."))
    if faults:
        return faults
    first, second = graph.weight(form.first), graph.weight(form.second)
    if second.shape[1] != first.shape[0]:
        found = f"{where}: '{form.first.weight}' has shape {tuple(first.shape)}, '{form.second.weight}' "
        faults.append(_shape(f"{found}{tuple(second.shape)}.", f"Need {first.shape[0]} columns in the second."))
    if first.shape[1] == 0 or second.shape[0] == 0:
        faults.append(_shape(f"{where}: the network has no inputs or no outputs.", "Need at least one of each."))
    if form.skip and graph.weight(form.skip).shape != (second.shape[0], first.shape[1]):
        found = f"{where}: skip weight '{form.skip.weight}' has shape {tuple(graph.weight(form.skip).shape)}."
        faults.append(_shape(found, f"Need ({second.shape[0]}, {first.shape[1]})."))
    return faults


def _shape(reason: str, remedy: str) -> Obstacle:
    return Obstacle("shape-mismatch", reason, remedy, is_usage=True)
