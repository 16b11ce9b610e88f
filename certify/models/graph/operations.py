"""What every operation of a `LayerGraph` computes: one table from ATen-like names to float64 torch functions.

Attributes have the names of `torch.nn.functional`. Layers that are known but not positively homogeneous are here too,
so that a model with them can be shown and run.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import reduce
from operator import add, mul
from typing import Any, final

import torch
from torch import Tensor
from torch.nn import functional

Attribute = int | float | bool | str | tuple[int, ...]


@final
@dataclass(frozen=True, slots=True)
class Operands:
    """What one operation reads.

    Attributes:
        values: outputs of earlier layers, or graph inputs.
        parameters: tensors by role (`weight`, `bias`, `running_mean`, `running_var`).
        attributes: constants by name; one left out has torch's default.
    """

    values: tuple[Tensor, ...]
    parameters: Mapping[str, Tensor]
    attributes: Mapping[str, Attribute]

    @property
    def value(self) -> Tensor:
        """The only or first value."""
        return self.values[0]

    def options(self, *names: str) -> dict[str, Any]:
        """Those of the named attributes that are given."""
        return {name: self.attributes[name] for name in names if name in self.attributes}

    def whole(self, name: str, default: int | None = None) -> int:
        """An integer attribute."""
        found: Any = self.attributes[name] if default is None else self.attributes.get(name, default)
        return int(found)


def _linear(x: Operands) -> Tensor:
    return functional.linear(x.value, x.parameters["weight"], x.parameters.get("bias"))


def _convolution(function: Callable[..., Tensor]) -> Callable[[Operands], Tensor]:
    def apply(x: Operands) -> Tensor:
        options = x.options("stride", "padding", "dilation", "groups")
        return function(x.value, x.parameters["weight"], x.parameters.get("bias"), **options)

    return apply


def _tied(x: Operands) -> Tensor:
    """A linear layer and its transpose: (x Wᵀ + b) W + c, W (r, d), or (d, r) where it is stored transposed."""
    weight, bias = x.parameters["weight"], x.parameters.get("bias")
    weight = weight.T if x.attributes.get("transposed") else weight
    hidden = functional.linear(x.value, weight, x.parameters.get("hidden_bias"))
    return functional.linear(hidden, weight.T, bias)


def _maxout(x: Operands) -> Tensor:
    """Largest of every `pieces` neighboring channels (axis 1)."""
    value, pieces = x.value, x.whole("pieces")
    return value.reshape(len(value), -1, pieces, *value.shape[2:]).amax(2)


def _called(function: Callable[..., Tensor], *names: str) -> Callable[[Operands], Tensor]:
    """A function of the first value and the named attributes."""
    return lambda x: function(x.value, **x.options(*names))


def _slice(x: Operands) -> Tensor:
    index = slice(x.whole("start", 0), x.whole("end", 2**62), x.whole("step", 1))
    return x.value[(slice(None),) * (x.whole("dim", 0) % x.value.ndim) + (index,)]


def _batch_norm(x: Operands) -> Tensor:
    """As in evaluation: with the running statistics."""
    found = x.parameters
    return functional.batch_norm(
        x.value, found["running_mean"], found["running_var"], found.get("weight"), found.get("bias"), **x.options("eps")
    )


def _layer_norm(x: Operands) -> Tensor:
    shape = list(x.options("normalized_shape")["normalized_shape"])
    return functional.layer_norm(
        x.value, shape, x.parameters.get("weight"), x.parameters.get("bias"), **x.options("eps")
    )


def _group_norm(x: Operands) -> Tensor:
    return functional.group_norm(
        x.value, x.whole("num_groups"), x.parameters.get("weight"), x.parameters.get("bias"), **x.options("eps")
    )


def _look_up(x: Operands) -> Tensor:
    """Rows of a table (n, r), columns of one (r, n), or entries of a bias of n numbers."""
    table, places = x.parameters["weight"], x.value.long()
    if not x.attributes.get("bias"):
        return functional.embedding(places, table.T if x.attributes.get("transposed") else table)
    return table.flatten()[places] if table.shape[1:] != (1,) else functional.embedding(places, table).squeeze(1)


def _constant(x: Operands) -> Tensor:
    """One number for all samples."""
    number = x.parameters["weight"]
    return number if number.ndim < 2 else number.reshape(())


def _fixed(x: Operands) -> Tensor:
    """Entries at places (N, K) of a matrix or tensor, or one number for all."""
    values = x.parameters["weight"]
    return values.reshape(()) if values.numel() == 1 else values[x.value.long().unbind(1)]


_WINDOW = ("kernel_size", "stride", "padding")
_MAX_WINDOW = (*_WINDOW, "dilation", "ceil_mode")
_MEAN_WINDOW = (*_WINDOW, "ceil_mode", "count_include_pad")

OPERATIONS: dict[str, Callable[[Operands], Tensor]] = {
    "linear": _linear,
    "conv1d": _convolution(functional.conv1d),
    "conv2d": _convolution(functional.conv2d),
    "tied": _tied,
    "embedding": lambda x: functional.embedding(x.value.long(), x.parameters["weight"]),
    "take": lambda x: x.parameters["weight"][x.value.long()],
    "trunc": _called(torch.trunc),
    "look_up": _look_up,
    "constant": _constant,
    "fixed": _fixed,
    "relu": _called(torch.relu),
    "no_units": _called(torch.zeros_like),
    "leaky_relu": _called(functional.leaky_relu, "negative_slope"),
    "prelu": lambda x: functional.prelu(x.value, x.parameters["weight"]),
    "abs": _called(torch.abs),
    "gt": lambda x: (x.value > 0).to(x.value.dtype),
    "maxout": _maxout,
    "square": _called(torch.square),
    "squared_relu": lambda x: torch.relu(x.value).square(),
    "max_pool1d": _called(functional.max_pool1d, *_MAX_WINDOW),
    "max_pool2d": _called(functional.max_pool2d, *_MAX_WINDOW),
    "avg_pool1d": _called(functional.avg_pool1d, *_MEAN_WINDOW),
    "avg_pool2d": _called(functional.avg_pool2d, *_MEAN_WINDOW, "divisor_override"),
    "adaptive_max_pool1d": _called(functional.adaptive_max_pool1d, "output_size"),
    "adaptive_max_pool2d": _called(functional.adaptive_max_pool2d, "output_size"),
    "adaptive_avg_pool1d": _called(functional.adaptive_avg_pool1d, "output_size"),
    "adaptive_avg_pool2d": _called(functional.adaptive_avg_pool2d, "output_size"),
    "mean": _called(torch.mean, "dim", "keepdim"),
    "amax": _called(torch.amax, "dim", "keepdim"),
    "sum": _called(torch.sum, "dim", "keepdim"),
    "flatten": _called(torch.flatten, "start_dim", "end_dim"),
    "reshape": lambda x: x.value.reshape(x.options("shape")["shape"]),
    "permute": lambda x: x.value.permute(x.options("dims")["dims"]),
    "squeeze": _called(torch.squeeze, "dim"),
    "unsqueeze": _called(torch.unsqueeze, "dim"),
    "slice": _slice,
    "select": _called(torch.select, "dim", "index"),
    "cat": lambda x: torch.cat(x.values, **x.options("dim")),
    "add": lambda x: reduce(add, x.values),
    "mul": lambda x: reduce(mul, x.values),
    "scale": lambda x: torch.mul(x.value, x.options("factor")["factor"]),
    "identity": lambda x: x.value,
    "dropout": lambda x: x.value,
    "batch_norm": _batch_norm,
    "layer_norm": _layer_norm,
    "group_norm": _group_norm,
    "sigmoid": _called(torch.sigmoid),
    "tanh": _called(torch.tanh),
    "gelu": _called(functional.gelu, "approximate"),
    "silu": _called(functional.silu),
    "mish": _called(functional.mish),
    "elu": _called(functional.elu, "alpha"),
    "selu": _called(functional.selu),
    "celu": _called(functional.celu, "alpha"),
    "softplus": _called(functional.softplus, "beta", "threshold"),
    "softsign": _called(functional.softsign),
    "softmax": _called(torch.softmax, "dim"),
    "log_softmax": _called(torch.log_softmax, "dim"),
    "hardtanh": _called(functional.hardtanh, "min_val", "max_val"),
    "relu6": _called(functional.relu6),
    "hardswish": _called(functional.hardswish),
    "hardsigmoid": _called(functional.hardsigmoid),
    "exp": _called(torch.exp),
    "sin": _called(torch.sin),
    "cos": _called(torch.cos),
}
