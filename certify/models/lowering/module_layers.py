"""Layers of a module tree that is a chain by construction: torch's own layers, in `nn.Sequential` all the way down."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import final

from torch import Tensor

from certify.errors import RefusedError
from certify.models.graph.graph_builder import GraphBuilder, Origin, Output, as_trained
from certify.models.graph.layers import INPUT, Layer, LayerGraph
from certify.models.graph.operations import Attribute
from certify.models.lowering.aten_rules import CONVOLUTION, MAX_WINDOW, MEAN_WINDOW
from certify.models.readers.aten_program import Constant
from certify.models.readers.torch_files.module_tree import MODULES, ModuleNode
from certify.models.readers.weight_file import COUNTER


@final
@dataclass(frozen=True, slots=True)
class _Kind:
    """How a class of modules is a layer: its operation, which fields are attributes, and which must have one value."""

    op: str
    attributes: tuple[str, ...] = ()
    fixed: tuple[tuple[str, object], ...] = ()


_PLAIN = ("ReLU", "PReLU", "Sigmoid", "Tanh", "SiLU", "Mish", "SELU", "Softsign", "ReLU6", "Hardswish", "Hardsigmoid")
_SEQUENTIAL = f"{MODULES}container.Sequential"
_KINDS: dict[str, _Kind] = {
    "linear.Linear": _Kind("linear"),
    "linear.Identity": _Kind("identity"),
    "conv.Conv1d": _Kind("conv1d", CONVOLUTION, (("padding_mode", "zeros"),)),
    "conv.Conv2d": _Kind("conv2d", CONVOLUTION, (("padding_mode", "zeros"),)),
    "sparse.Embedding": _Kind("embedding", (), (("max_norm", None),)),
    "flatten.Flatten": _Kind("flatten", ("start_dim", "end_dim")),
    **{f"dropout.{name}": _Kind("dropout") for name in ("Dropout", "Dropout1d", "Dropout2d")},
    **{f"activation.{name}": _Kind(name.lower()) for name in _PLAIN},
    "activation.LeakyReLU": _Kind("leaky_relu", ("negative_slope",)),
    "activation.GELU": _Kind("gelu", ("approximate",)),
    "activation.ELU": _Kind("elu", ("alpha",)),
    "activation.CELU": _Kind("celu", ("alpha",)),
    "activation.Softplus": _Kind("softplus", ("beta", "threshold")),
    "activation.Softmax": _Kind("softmax", ("dim",)),
    "activation.LogSoftmax": _Kind("log_softmax", ("dim",)),
    "activation.Hardtanh": _Kind("hardtanh", ("min_val", "max_val")),
    "pooling.MaxPool1d": _Kind("max_pool1d", MAX_WINDOW, (("return_indices", False),)),
    "pooling.MaxPool2d": _Kind("max_pool2d", MAX_WINDOW, (("return_indices", False),)),
    "pooling.AvgPool1d": _Kind("avg_pool1d", MEAN_WINDOW),
    "pooling.AvgPool2d": _Kind("avg_pool2d", (*MEAN_WINDOW, "divisor_override")),
    "pooling.AdaptiveMaxPool1d": _Kind("adaptive_max_pool1d", ("output_size",), (("return_indices", False),)),
    "pooling.AdaptiveMaxPool2d": _Kind("adaptive_max_pool2d", ("output_size",), (("return_indices", False),)),
    "pooling.AdaptiveAvgPool1d": _Kind("adaptive_avg_pool1d", ("output_size",)),
    "pooling.AdaptiveAvgPool2d": _Kind("adaptive_avg_pool2d", ("output_size",)),
    "batchnorm.BatchNorm1d": _Kind("batch_norm", ("eps",), (("track_running_stats", True),)),
    "batchnorm.BatchNorm2d": _Kind("batch_norm", ("eps",), (("track_running_stats", True),)),
    "normalization.LayerNorm": _Kind("layer_norm", ("normalized_shape", "eps")),
    "normalization.GroupNorm": _Kind("group_norm", ("num_groups", "eps")),
}


def is_chain(tree: ModuleNode) -> bool:
    """Whether the tree alone says what the module computes."""
    if tree.own_forward:
        return False
    if tree.kind == _SEQUENTIAL:
        return all(is_chain(child) for child in tree.children.values())
    return tree.kind.startswith(MODULES) and not tree.children


def graph_of_chain(tree: ModuleNode, tensors: Mapping[str, Tensor], origin: Origin) -> LayerGraph:
    """The graph of a chain; see `is_chain`. A layer that is not known has its class as operation.

    Args:
        tree: the chain.
        tensors: its tensors by full name.
        origin: where it comes from.

    Raises:
        RefusedError: a setting that makes no sense, or weights that are no finite real numbers.
        UnsupportedError: tied weights.
    """
    held = as_trained(dict(_constants(tree, tensors)))
    builder = GraphBuilder(origin.label, held=tuple(held.values()))
    builder.add_inputs([INPUT])
    value = Output(INPUT)
    for layer in _chain_layers(tree, origin.label):
        constants = {role: held[name] for role, name in layer.parameters.items()}
        value = builder.add(layer.op, layer.name, [value], constants, layer.attributes)
    return builder.finish(value, origin)


def _constants(tree: ModuleNode, tensors: Mapping[str, Tensor]) -> Iterator[tuple[str, Constant]]:
    """Every tensor of the tree by its full name."""
    for prefix, node in tree.all_nodes():
        for own in node.tensors:
            name, parameter = f"{prefix}{own}", own not in node.buffers
            if own != COUNTER and name in tensors:
                yield name, Constant(name, tensors[name], parameter and own not in node.frozen, parameter)


def _chain_layers(tree: ModuleNode, where: str) -> tuple[Layer, ...]:
    """The chain without layers that do nothing; where nothing else is left, the last of them stays."""
    layers = [_layer(name, node, where) for name, node in _leaves(tree, "")]
    return tuple(layer for layer in layers if layer.op != "identity") or tuple(layers[-1:])


def _leaves(tree: ModuleNode, name: str) -> Iterator[tuple[str, ModuleNode]]:
    if tree.kind != _SEQUENTIAL:
        yield name, tree
    for key, child in tree.children.items():
        yield from _leaves(child, f"{name}.{key}" if name else key)


def _layer(name: str, node: ModuleNode, where: str) -> Layer:
    short = node.kind.removeprefix(MODULES)
    kind = _KINDS.get(short)
    fits = kind is not None and all(node.settings.get(key, value) == value for key, value in kind.fixed)
    op = kind.op if kind is not None and fits else short.rpartition(".")[2]
    parameters = {role: f"{name}.{role}" if name else role for role in node.tensors if role != COUNTER}
    at = f"{where}: layer '{name}'"
    attributes = _attributes(node.settings, kind.attributes, at) if kind is not None and fits else {}
    return Layer(op, name or op, parameters=parameters, attributes=attributes)


def _attributes(settings: Mapping[str, object], names: tuple[str, ...], at: str) -> dict[str, Attribute]:
    found: dict[str, Attribute] = {}
    for name in names:
        value = settings.get(name)
        if value is None:
            continue
        whole = tuple(value) if isinstance(value, list | tuple) else None
        if whole is not None and all(_is_small(entry) for entry in whole):
            found[name] = tuple(entry for entry in whole if isinstance(entry, int))
        elif isinstance(value, bool | float | str) or (isinstance(value, int) and _is_small(value)):
            found[name] = value
        else:
            raise RefusedError(f"{at}: '{name}' is a {type(value).__name__}, not a setting", code="corrupt-file")
    return found


def _is_small(value: object) -> bool:
    return isinstance(value, int) and abs(value) < 2**31
