"""The layers of a certificate by torch, one subnetwork or many: what the checker's own evaluation is held against."""

from __future__ import annotations

import torch
from torch.nn import functional

CONVOLUTIONS = {1: functional.conv1d, 2: functional.conv2d}
POOLS = {1: functional.avg_pool1d, 2: functional.avg_pool2d}


def outputs(branch, inputs, x, first, bias, second):
    """Z (n, c) of subnetworks with weights (r, h), (r,) or None and (r, m), as `building.Branch` states them."""
    layers = [{"op": one} if isinstance(one, str) else {"op": one[0], **one[1]} for one in branch.layers]
    flat = torch.as_tensor(x)
    samples = flat.reshape(len(flat), *inputs)
    total = 0.0
    for row in range(len(first)):
        shift = None if bias is None else bias[row : row + 1]
        total = total + _one(list(layers), flat, samples, first[row], shift, second[row])
    return total


def _one(layers, flat, samples, first, bias, second):
    layer = layers.pop(0)
    if layer["op"] == "select":
        flat_first, layer = flat[:, layer["columns"]], layers.pop(0)
    else:
        flat_first = flat
    if layer["op"] == "linear":
        hidden = functional.linear(flat_first, first[None], bias)[:, None]
    else:
        weight = first.reshape(1, samples.shape[1], *layer["kernel"])
        hidden = CONVOLUTIONS[len(layer["kernel"])](samples, weight, bias, *geometry(layer))
    for layer in iter(lambda: layers.pop(0), None):
        match layer["op"]:
            case "relu":
                hidden = hidden.relu()
            case "leaky_relu":
                hidden = functional.leaky_relu(hidden, layer["slope"])
            case "abs":
                hidden = hidden.abs()
            case "square":
                hidden = hidden**2
            case "average_pool":
                hidden = _pooled(layer, hidden)
            case "times_inputs":
                hidden = hidden.reshape(-1, 1, 1) * flat[:, None]
            case "linear":
                positions = hidden.reshape(len(hidden), -1)
                return functional.linear(positions, second.reshape(-1, positions.shape[1]))
            case "convolution":
                weight = second.reshape(-1, 1, *layer["kernel"])
                hidden = CONVOLUTIONS[len(layer["kernel"])](hidden, weight, None, *geometry(layer))
                for pool in layers:
                    hidden = _pooled(pool, hidden)
                return hidden.reshape(len(hidden), -1)
    return None


def geometry(layer):
    return layer["stride"], layer["padding"], layer["dilation"]


def _pooled(layer, hidden):
    pool = POOLS[len(layer["kernel"])]
    return pool(hidden, layer["kernel"], layer["stride"], layer["padding"], count_include_pad=layer["counts_padding"])
