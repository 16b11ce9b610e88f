"""Sums of branches as torch modules with given weights, and the certify problem of each."""

from __future__ import annotations

import math

import torch
from torch.nn import functional

from certify.models.loading import Problem

from .layers import number
from .sums import Parameters, Sum

POOLS = {1: functional.avg_pool1d, 2: functional.avg_pool2d}
CONVOLUTIONS = {1: torch.nn.Conv1d, 2: torch.nn.Conv2d}
WEIGHTED = ("linear", "convolution")


class Chain(torch.nn.Module):
    """One branch, with an output bias if one is given."""

    def __init__(self, layers, shape, weights, output_bias, outputs):
        super().__init__()
        self.layers, (first, bias, second) = layers, weights
        one, two = (layer for layer in layers if layer["op"] in WEIGHTED)
        self.product = any(layer["op"] == "times_inputs" for layer in layers)
        reads = shape[0] if one["op"] == "convolution" else first.shape[1]
        self.first = _filled(_module(one, reads, len(first), bias is not None), first, bias)
        if self.product:
            self.second = _filled(torch.nn.Linear(second.shape[1], len(second), bias=False), second, None)
            return
        channels = second.shape[1] // math.prod(two["kernel"]) if two["op"] == "convolution" else outputs
        reads = len(second) if two["op"] == "convolution" else len(second) * second.shape[1] // outputs
        turned = second.reshape(len(second), channels, -1).transpose(1, 0, 2)
        self.second = _filled(_module(two, reads, channels, output_bias is not None), turned, output_bias)

    def forward(self, x):
        h, weights = x, [self.first, self.second]
        for layer in self.layers:
            match layer["op"]:
                case "select":
                    h = h[:, layer["columns"][0] : layer["columns"][-1] + 1]
                case "linear" if len(weights) == 1 and self.product:
                    h = h.sum(1, keepdim=True)
                case "linear":
                    h = weights.pop(0)(_flat(h))
                case "convolution":
                    h = weights.pop(0)(h)
                case "times_inputs":
                    h = h * self.second(x)
                case "average_pool":
                    sizes = (tuple(layer[key]) for key in ("kernel", "stride", "padding"))
                    h = POOLS[len(layer["kernel"])](h, *sizes, count_include_pad=layer["counts_padding"])
                case "leaky_relu":
                    h = functional.leaky_relu(h, number(layer["slope"]))
                case name:
                    h = getattr(torch, name)(h)
        return _flat(h)


def _flat(h):
    return h.flatten(1) if h.ndim > 2 else h


def _module(layer, reads, channels, bias):
    if layer["op"] == "linear":
        return torch.nn.Linear(reads, channels, bias=bias)
    sizes = (tuple(layer[key]) for key in ("kernel", "stride", "padding", "dilation"))
    return CONVOLUTIONS[len(layer["kernel"])](reads, channels, *sizes, bias=bias)


def _filled(module, weight, bias):
    module = module.double()
    with torch.no_grad():
        module.weight.copy_(torch.from_numpy(weight).reshape(module.weight.shape))
        if bias is not None:
            module.bias.copy_(torch.from_numpy(bias).reshape(module.bias.shape))
    return module


class Summed(torch.nn.Module):
    """The sum of branches, perhaps with a linear skip, and the inputs themselves."""

    def __init__(self, chains, skip, *, adds_inputs):
        super().__init__()
        self.chains, self.skip, self.adds_inputs = torch.nn.ModuleList(chains), skip, adds_inputs

    def forward(self, x):
        z = sum((chain(x) for chain in self.chains[1:]), self.chains[0](x))
        z = z if self.skip is None else z + self.skip(x)
        return z + x if self.adds_inputs else z


def problem_of(made: Sum, parameters: Parameters, tolerance: float = 1e-3, seconds: float = 2.0) -> Problem:
    """The certify problem of a network; the n-th output bias belongs to the n-th branch."""
    statement, outputs = made.statement, made.arrays["Y"].shape[1]
    blocks = [
        (block["features"], block["decay"], parameters[f"C{at}"]) for at, block in enumerate(statement["outside"])
    ]
    biases = [(decay, values) for kind, decay, values in blocks if kind == "ones"]
    chains, decays = [], {}
    for index, branch in enumerate(statement["branches"]):
        weights = tuple(parameters.get(f"F{index}.{role}") for role in ("0", "bias", "1"))
        bias = biases[index][1] if index < len(biases) else None
        chains.append(Chain(branch["layers"], statement["inputs"], weights, bias, outputs))
        penalty, own = branch["penalty"], f"chains.{index}."
        decays |= {own + "first.weight": penalty["strengths"][0], own + "second.weight": penalty["strengths"][1]}
        decays |= {} if weights[1] is None else {own + "first.bias": penalty["bias"] or 0.0}
        decays |= {} if bias is None else {own + "second.bias": biases[index][0]}
    skips = [(decay, values) for kind, decay, values in blocks if kind == "inputs"]
    skip = None
    for decay, values in skips:
        skip = _filled(torch.nn.Linear(*values.shape, bias=False), values.T.copy(), None)
        decays["skip.weight"] = decay
    terms = statement["loss"]
    return Problem.from_torch(
        Summed(chains, skip, adds_inputs=statement["offset"] == "inputs"),
        made.arrays["X"].reshape(-1, *statement["inputs"]),
        made.arrays["Y"],
        loss=terms["name"],
        reduction=terms["reduction"],
        scale=terms["scale"],
        penalty={"weight_decay": decays},
        sample_weights=made.arrays.get("sample_weights"),
        relative_gap=tolerance,
        budget_seconds=seconds,
    )
