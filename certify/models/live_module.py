"""A live `torch.nn.Module` as a LayerGraph, from its registered children and parameters; it is not run."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence

from torch import Tensor, nn

from certify.errors import UnsupportedError, UsageError
from certify.models.layer_inference import layers_needed
from certify.models.layer_list import LayerEntry, parse_layers
from certify.models.layers import LayerGraph
from certify.models.listed_layers import build_graph
from certify.models.readers.exact_weights import exact_parameters
from certify.models.readers.weight_file import WeightFile, strip_wrappers

# Exact types only: a subclass may compute something else.
OPERATIONS: dict[type[nn.Module], str] = {
    nn.Linear: "linear",
    nn.ReLU: "relu",
    nn.Identity: "identity",
    nn.LeakyReLU: "leaky_relu",
    nn.Sigmoid: "sigmoid",
    nn.Tanh: "tanh",
    nn.GELU: "gelu",
    nn.SiLU: "silu",
    nn.ELU: "elu",
    nn.SELU: "selu",
    nn.Softplus: "softplus",
    nn.Softmax: "softmax",
    nn.LogSoftmax: "log_softmax",
    nn.Hardtanh: "hardtanh",
    nn.LayerNorm: "layer_norm",
    nn.BatchNorm1d: "batch_norm",
}

Children = list[tuple[str, nn.Module]]


def graph_of_module(model: nn.Module, layers: Sequence[object] | None = None) -> LayerGraph:
    """The layers of a module.

    Args:
        model: an `nn.Sequential`, or a module whose children run in the order in which they are registered.
        layers: what the module computes, as in a problem file; needed where the children do not show it.

    Raises:
        UsageError: the children do not show what the module computes.
        UnsupportedError: hooks or tied weights.
        RefusedError: parameters that are not finite real numbers.
    """
    if not isinstance(model, nn.Module):
        raise UsageError(f"model is a {type(model).__name__}; needs a torch.nn.Module, or Problem.from_files for files")
    parameters, conversions = exact_parameters(dict(model.named_parameters(remove_duplicate=False)), "model")
    for name, module in model.named_modules():
        _require_no_hooks(name, module)
    prefix, stripped = strip_wrappers(parameters)
    no_notes: tuple[str, ...] = ()
    entries, assumed = (_parsed(layers), no_notes) if layers is not None else _entries(model, prefix, list(stripped))
    notes = (*conversions, *assumed)
    return build_graph(WeightFile(stripped, prefix, "live", None, digest_of(stripped), notes), entries)


def digest_of(parameters: Mapping[str, Tensor]) -> str:
    """SHA-256 of names, shapes and float64 values."""
    digest = hashlib.sha256()
    for name, tensor in parameters.items():
        digest.update(f"{name} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.contiguous().numpy().tobytes())
    return digest.hexdigest()


def _parsed(layers: Sequence[object]) -> tuple[LayerEntry, ...]:
    try:
        return parse_layers(layers)
    except ValueError as error:
        raise UsageError(f"layers: {error}", code="layers-needed") from error


def _entries(model: nn.Module, prefix: str, parameters: list[str]) -> tuple[tuple[LayerEntry, ...], tuple[str, ...]]:
    leaves = list(_leaves(model, ""))
    entries = tuple(LayerEntry(_operation(leaf), name.removeprefix(prefix)) for name, leaf in leaves)
    if _is_sequential(model):
        return entries, ()
    ops = [entry.op for entry in entries if entry.op != "identity"]
    if ops == ["linear"] * len(ops):
        reason = f"{type(model).__name__}.forward may apply functions between its linear layers"
        raise layers_needed("model", parameters, reason)
    names = ", ".join(f"'{entry.name}'" for entry in entries)
    return entries, (f"assumed: {type(model).__name__} runs its children in the order registered ({names})",)


def _leaves(module: nn.Module, name: str) -> Iterator[tuple[str, nn.Module]]:
    children = list(module.named_children())
    if not children or type(module) in OPERATIONS:
        yield name, module
    for child, inner in children if type(module) not in OPERATIONS else []:
        yield from _leaves(inner, f"{name}.{child}" if name else child)


def _is_sequential(module: nn.Module) -> bool:
    """Whether the module is made of plain `nn.Sequential` all the way down."""
    return type(module) in OPERATIONS or (
        type(module) is nn.Sequential and all(_is_sequential(child) or _is_leaf(child) for child in module)
    )


def _is_leaf(module: nn.Module) -> bool:
    return not list(module.children())


def _operation(module: nn.Module) -> str:
    return OPERATIONS.get(type(module), type(module).__name__)


def _require_no_hooks(name: str, module: nn.Module) -> None:
    if module._forward_hooks or module._forward_pre_hooks:
        raise UnsupportedError(
            f"model: module '{name or type(module).__name__}' has forward hooks, which may change what it computes; "
            "remove them (for weight_norm: torch.nn.utils.remove_weight_norm)",
            code="unknown-layer",
        )
