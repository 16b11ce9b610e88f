"""Parameters of known operations have the roles and the shapes that the operation reads, whatever a file says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor

from certify.errors import RefusedError
from certify.models.graph.layers import Layer

# Axes of the weight of operations that need one.
_WEIGHT_AXES = {"linear": 2, "conv1d": 3, "conv2d": 4, "embedding": 2, "prelu": 1}
_STATISTICS = ("running_mean", "running_var")


def require_parameter_shapes(layers: Sequence[Layer], parameters: Mapping[str, Tensor], where: str) -> None:
    """Refuse layers without their weight, or with parameters of shapes that do not go together.

    Raises:
        RefusedError: names the layer.
    """
    for layer in layers:
        found = {role: parameters[name] for role, name in layer.parameters.items()}
        if layer.op in _WEIGHT_AXES and not _is_weighted(found, _WEIGHT_AXES[layer.op]):
            raise _unfit(layer, found, where)
        if layer.op == "tied" and not is_tied(found, transposed=bool(layer.attributes.get("transposed"))):
            raise _unfit(layer, found, where)
        if layer.op == "batch_norm" and not _is_normalization(found):
            raise _unfit(layer, found, where)


def _is_weighted(found: Mapping[str, Tensor], axes: int) -> bool:
    weight, bias = found.get("weight"), found.get("bias")
    if weight is None or weight.ndim != axes or not set(found) <= {"weight", "bias"}:
        return False
    return bias is None or bias.shape == weight.shape[:1]


def is_tied(found: Mapping[str, Tensor], *, transposed: bool) -> bool:
    """Whether parameters by role are a weight (r, d), or (d, r), a hidden bias (r,) and an output bias (d,)."""
    weight, hidden, bias = (found.get(role) for role in ("weight", "hidden_bias", "bias"))
    if weight is None or weight.ndim != 2:
        return False
    units, inputs = reversed(weight.shape) if transposed else weight.shape
    return (hidden is None or hidden.shape == (units,)) and (bias is None or bias.shape == (inputs,))


def _is_normalization(found: Mapping[str, Tensor]) -> bool:
    shapes = {tensor.shape for tensor in found.values()}
    known = set(found) <= {"weight", "bias", *_STATISTICS}
    return known and set(_STATISTICS) <= set(found) and len(shapes) == 1 and len(next(iter(shapes))) == 1


def _unfit(layer: Layer, found: Mapping[str, Tensor], where: str) -> RefusedError:
    shapes = ", ".join(f"{role} {tuple(tensor.shape)}" for role, tensor in found.items()) or "no parameters"
    return RefusedError(
        f"{where}: corrupt: {layer.title} is '{layer.op}', which has other parameters than {shapes}",
        code="corrupt-file",
    )
