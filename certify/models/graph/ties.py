"""A weight that two linear layers in a row read, once as it is and once transposed, as one layer: `tied`.

(x Wᵀ + b) W + c is all of a linear autoencoder whose decoder is its transposed encoder. Any other second use of a
parameter stays as it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from certify.models.graph.layers import Layer
from certify.models.readers.aten_program import Constant

Constants = Mapping[str, Mapping[str, Constant]]
# Operations of a model of tied weights, but for biases that are added by themselves.
_PAIR = ["linear", "linear"]
_BIASES = ("hidden_bias", "bias")


def tied_layer(
    layers: Sequence[Layer], constants: Constants, inputs: Sequence[str], added: str
) -> tuple[Layer, Mapping[str, Constant]] | None:
    """The layer that a whole program is, with its constants by role; None where it is something else.

    Args:
        layers: of the program, in order.
        constants: of every layer by name, by role.
        inputs: of the program.
        added: the operation that adds a constant.
    """
    weighted = [layer for layer in layers if layer.op != added]
    reads = (inputs[0], *(layer.name for layer in layers[:-1]))
    chained = all(layer.inputs == (name,) for layer, name in zip(layers, reads, strict=True))
    if [layer.op for layer in weighted] != _PAIR or len(inputs) != 1 or not chained or layers[0].op == added:
        return None
    first, second = weighted
    one, other = (constants[layer.name]["weight"] for layer in weighted)
    if one.name != other.name or one.flipped == other.flipped:
        return None
    place = layers.index(second)
    around = (layers[:place], layers[place:])
    parts = [[constants[x.name]["bias"] for x in part if "bias" in constants[x.name]] for part in around]
    pairs = zip((one, other), parts, strict=True)
    if any(len(found) > 1 or any(b.tensor.shape != w.tensor.shape[:1] for b in found) for w, found in pairs):
        return None
    weight = one.transposed if one.flipped else one
    held = {"weight": weight, **{role: b for role, found in zip(_BIASES, parts, strict=True) for b in found}}
    names = {role: constant.name for role, constant in held.items()}
    return Layer("tied", first.name, first.inputs, names, {"transposed": True} if one.flipped else {}), held


def copied_weight(layers: Sequence[Layer], parameters: Mapping[str, Tensor]) -> tuple[str, str] | None:
    """Names of two weights in a row that are each other's transpose, bit for bit: one weight, before it was copied."""
    by_name = {layer.name: layer for layer in layers if layer.op == "linear"}
    for layer in by_name.values():
        before = by_name.get(layer.inputs[0])
        if before is None:
            continue
        names = before.parameters["weight"], layer.parameters["weight"]
        if all(name.endswith("weight") for name in names):
            # Parameters of two modules; a copy has a name of the exporter's.
            continue
        one, other = (parameters[name] for name in names)
        if one.shape == other.T.shape and bool(one.any()) and torch.equal(one, other.T):
            return names
    return None
