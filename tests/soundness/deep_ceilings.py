"""A branch of three weights and more, as a certificate states it, evaluated layer by layer in numpy."""

from __future__ import annotations

import numpy as np

from .layers import SLOPES, number, windows

WEIGHTS = ("linear", "convolution")


def is_deep(layers):
    """Whether there are three weights or more."""
    return sum(layer["op"] in WEIGHTS for layer in layers) > 2


class DeepBranch:
    """Weights (r, ·) each, the first with biases (r, m_0), are taken as arguments."""

    def __init__(self, entry, shape, kind):
        self.layers, self.shape, self.bias = entry["layers"], tuple(shape), entry["bias"]
        penalty = entry["penalty"]
        self.weights = sum(layer["op"] in WEIGHTS for layer in self.layers)
        self.product = penalty["name"] == "product-of-norms"
        stated = [penalty["strength"]] if self.product else penalty["strengths"]
        self.strengths = [kind(number(strength)) for strength in stated]
        own = None if self.product else penalty["bias"]
        self.decay = kind(0) if own is None else kind(number(own))

    def factors(self, parameters, index, kind):
        """Weights and biases by their names."""
        weights = [parameters[f"F{index}.{place}"].astype(kind) for place in range(self.weights)]
        bias = parameters.get(f"F{index}.bias")
        return weights, None if bias is None else bias.astype(kind)

    def outputs(self, inputs, given):
        """Z of this branch."""
        weights, bias = given
        parts = [
            self._one(inputs, [weight[i] for weight in weights], None if bias is None else bias[i])
            for i in range(len(weights[0]))
        ]
        return sum(parts) if parts else 0.0

    def _one(self, inputs, weights, bias):
        left = iter(weights)
        values = inputs.reshape(len(inputs), *self.shape) if len(self.shape) > 1 else inputs[:, :, None]
        first = True
        for layer in self.layers:
            match layer["op"]:
                case "select":
                    values = values.reshape(len(values), -1)[:, layer["columns"], None]
                case "average_pool":
                    found, inside = windows(values, layer)
                    values = found.sum(-1) / (found.shape[-1] if layer["counts_padding"] else inside.sum(-1))
                case "linear" | "convolution":
                    dense = layer["op"] == "linear"
                    read = values.reshape(*values.shape[:2], 1, -1) if dense else windows(values, layer)[0]
                    grid, own = read.shape[2:-1], next(left)
                    flat = read.reshape(*read.shape[:2], -1, read.shape[-1])
                    kernel = own.reshape(-1, flat.shape[1], flat.shape[-1])
                    values = np.einsum("nbqk,mbk->nmq", flat, kernel)
                    values = values + bias[None, :, None] if first and bias is not None else values
                    values, first = values.reshape(*values.shape[:2], *grid), False
                case name:
                    above, below = SLOPES.get(name) or (1.0, number(layer.get("slope", 1.0)))
                    values = above * np.maximum(values, 0) + below * np.minimum(values, 0)
        return values.reshape(len(values), -1)

    def penalty(self, given):
        """The penalty of all subnetworks."""
        weights, bias = given
        squares = [(weight**2).sum(1) for weight in weights]
        own = np.zeros(len(weights[0])) if bias is None else (bias.reshape(len(bias), -1) ** 2).sum(1)
        if self.product:
            first = squares[0] + own * (self.bias == "penalized")
            return self.strengths[0] * np.sqrt(np.prod([first, *squares[1:]], axis=0)).sum()
        decayed = sum(strength * part for strength, part in zip(self.strengths, squares, strict=True))
        return (decayed + self.decay * own).sum() / 2
