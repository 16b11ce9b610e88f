"""The same function with fewer layers: no identity or dropout, batch normalization folded, flattening told as such.

In evaluation mode batch normalization is the affine map t ↦ γ(t - μ)/√(σ² + ε) + β of every channel, so that it merges
with a convolution or linear layer before it that nothing else reads: W ↦ aW, b ↦ a(b - μ) + β, a = γ/√(σ² + ε).
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from certify.models.graph.layers import Layer, LayerGraph
from certify.models.graph.operations import Attribute
from certify.models.graph.ranks import ranks_of

WEIGHTED = ("linear", "conv1d", "conv2d")
# torch's default ε of batch normalization.
BATCH_NORM_EPSILON = 1e-5


def simplified(graph: LayerGraph) -> LayerGraph:
    """The graph with what does not matter removed and batch normalization folded; its notes say what was done."""
    ranks = ranks_of(graph)
    layers = (_as_flatten(_with_plain_axes(layer, ranks[layer.inputs[0]])) for layer in live_layers(graph))
    plain = replace(graph, layers=tuple(layers))
    for name in [layer.name for layer in plain.layers]:
        layer = plain.layer(name)
        if layer is not None and layer.op in ("identity", "dropout") and len(plain.layers) > 1:
            plain = bypassed(plain, layer)
            note = f"{layer.title} is dropout, which evaluation mode leaves out; so does the objective"
            plain = replace(plain, notes=(*plain.notes, *((note,) if layer.op == "dropout" else ())))
    for name in [layer.name for layer in plain.layers if layer.op == "batch_norm"]:
        layer = plain.layer(name)
        plain = plain if layer is None else _folded(plain, layer)
    return _without_chains(plain)


def _without_chains(graph: LayerGraph) -> LayerGraph:
    """Two layers in a row that are one: relu twice, the square of relu, the largest of neighboring channels."""
    for name in [layer.name for layer in graph.layers]:
        layer = graph.layer(name)
        before = None if layer is None else graph.layer(layer.inputs[0])
        if layer is None or before is None or len(graph.readers(before.name)) > 1:
            continue
        match before.op, layer.op:
            case "relu", "relu":
                graph = bypassed(graph, layer)
            case "relu", "square":
                graph = _merged(graph, before, replace(layer, op="squared_relu"))
            case "reshape", "amax" if (pieces := _pieces(graph, before, layer)) is not None:
                graph = _merged(graph, before, replace(layer, op="maxout", attributes={"pieces": pieces}))
    return graph


def _pieces(graph: LayerGraph, reshape: Layer, largest: Layer) -> int | None:
    """How many neighboring channels of a table are reduced to their largest, if that is what the two layers do."""
    shape, axes = reshape.attributes["shape"], largest.attributes.get("dim")
    table = ranks_of(graph)[reshape.inputs[0]] == 2 and isinstance(shape, tuple) and len(shape) == 3 and shape[0] == -1
    fits = table and axes in ((2,), 2) and not largest.attributes.get("keepdim")
    return shape[2] if fits and isinstance(shape, tuple) else None


def _merged(graph: LayerGraph, before: Layer, layer: Layer) -> LayerGraph:
    """With one layer in place of itself and the one before it."""
    one = replace(layer, inputs=before.inputs)
    layers = (one if x.name == layer.name else x for x in graph.layers if x.name != before.name)
    return replace(graph, layers=tuple(layers))


def live_layers(graph: LayerGraph) -> tuple[Layer, ...]:
    """The layers that the output depends on, in order."""
    live = graph.ancestors(graph.layers[-1].name) if graph.layers else set()
    return tuple(layer for layer in graph.layers if layer.name in live)


def _with_plain_axes(layer: Layer, rank: int) -> Layer:
    """Axes counted from the end become axes counted from the start."""
    found = {key: value for key, value in layer.attributes.items() if key in ("dim", "start_dim", "end_dim")}
    plain = {key: _plain_axis(value, rank + (layer.op == "unsqueeze")) for key, value in found.items()}
    return replace(layer, attributes={**layer.attributes, **plain}) if plain != found else layer


def _plain_axis(value: Attribute, rank: int) -> Attribute:
    if isinstance(value, tuple):
        return tuple(axis % rank for axis in value)
    return value % rank if isinstance(value, int) else value


def _as_flatten(layer: Layer) -> Layer:
    """`reshape` to (samples, features), or to one axis, is `flatten`."""
    shape = layer.attributes.get("shape")
    if layer.op == "reshape" and shape == (-1,):
        return replace(layer, op="flatten", attributes={"start_dim": 0})
    if layer.op == "reshape" and isinstance(shape, tuple) and len(shape) == 2 and -1 in shape:
        return replace(layer, op="flatten", attributes={"start_dim": 1})
    return layer


def bypassed(graph: LayerGraph, gone: Layer) -> LayerGraph:
    """The graph without a layer that passes its first input on."""
    source = gone.inputs[0]
    layers = [layer for layer in graph.layers if layer.name != gone.name]
    if gone.name == graph.layers[-1].name:
        # The output is that of the last layer: what the removed one read must come last.
        end = graph.layer(source)
        if end is None:
            return graph
        layers = [*(layer for layer in layers if layer.name != end.name), end]
    rewired = (
        replace(layer, inputs=tuple(source if name == gone.name else name for name in layer.inputs))
        if gone.name in layer.inputs
        else layer
        for layer in layers
    )
    return replace(graph, layers=tuple(rewired))


def _folded(graph: LayerGraph, norm: Layer) -> LayerGraph:
    before = graph.layer(norm.inputs[0])
    stored = {"running_mean", "running_var"} <= set(norm.parameters)
    if before is None or before.op not in WEIGHTED or len(graph.readers(before.name)) > 1 or not stored:
        return graph
    used = [name for layer in graph.layers for name in layer.parameters.values()]
    if graph.is_frozen(before) or any(
        used.count(name) > 1 for name in (*before.parameters.values(), *norm.parameters.values())
    ):
        return graph
    weight, bias = _affine(graph, before, norm)
    name = before.parameters["weight"]
    names = {"weight": name, "bias": before.bias or name.removesuffix("weight") + "bias"}
    kept = {name: t for name, t in graph.parameters.items() if name not in norm.parameters.values()}
    merged = replace(before, parameters=names)
    departure = (
        f"{norm.title} (batch normalization in evaluation mode) is folded into '{before.name}': the penalty is that of "
        "the folded weights, not of the file's, and a model that is written has it folded"
    )
    layers = tuple(merged if layer.name == before.name else layer for layer in graph.layers)
    parameters = kept | {names["weight"]: weight, names["bias"]: bias}
    departures = (*graph.departures, departure)
    return bypassed(replace(graph, layers=layers, parameters=parameters, departures=departures, folded=True), norm)


def _affine(graph: LayerGraph, before: Layer, norm: Layer) -> tuple[Tensor, Tensor]:
    found = {role: graph.parameters[name] for role, name in norm.parameters.items()}
    epsilon = norm.attributes.get("eps", BATCH_NORM_EPSILON)
    slope = torch.rsqrt(found["running_var"] + (epsilon if isinstance(epsilon, float) else BATCH_NORM_EPSILON))
    slope = slope * found["weight"] if "weight" in found else slope
    weight, bias = graph.weight(before), graph.bias(before)
    offset = (torch.zeros_like(slope) if bias is None else bias) - found["running_mean"]
    shifted = slope * offset + found.get("bias", torch.zeros_like(slope))
    return weight * slope.reshape(-1, *[1] * (weight.ndim - 1)), shifted
