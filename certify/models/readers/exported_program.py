"""A live module through `torch.export`: the calls that its forward makes, in the form that `.pt2` files have."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import ExportedProgram
from torch.export.graph_signature import InputKind, OutputKind

from certify.errors import UnsupportedError
from certify.models.readers.aten_program import Argument, Call, Constant, Extents, Opaque, Program, Reference

_KINDS = {InputKind.PARAMETER: True, InputKind.BUFFER: False, InputKind.CONSTANT_TENSOR: False}


def program_of_module(module: nn.Module, inputs: tuple[Tensor, ...]) -> Program:
    """The calls of a module in evaluation mode; its forward runs on tensors without values.

    Args:
        module: what is exported; left as it was.
        inputs: its arguments, (n, …) each, of which only shape and type matter.

    Raises:
        UnsupportedError: what the module computes depends on values, or torch cannot export it.
    """
    training = [(part, part.training) for part in module.modules()]
    try:
        module.eval()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            exported = torch.export.export(module, inputs, dynamic_shapes=_any_number_of_samples(module, len(inputs)))
    except Exception as error:  # noqa: BLE001 - the user's forward runs, and may raise anything
        reason = " ".join(str(error).split())[:200]
        raise UnsupportedError(
            f"model: torch.export cannot trace {type(module).__name__} ({type(error).__name__}: {reason}); its layers "
            "must not depend on values. Or name them: layers=[{'linear': NAME}, 'relu', …]",
            code="not-traceable",
        ) from error
    finally:
        for part, mode in training:
            part.training = mode
    return program_of_export(exported)


def _any_number_of_samples(module: nn.Module, arguments: int) -> tuple[Any, ...]:
    samples: Any = ({0: torch.export.Dim.AUTO},) * arguments
    first = next(iter(inspect.signature(module.forward).parameters.values()), None)
    return (samples,) if first is not None and first.kind is first.VAR_POSITIONAL else samples


def program_of_export(exported: ExportedProgram) -> Program:
    """The calls of an exported program."""
    signature = exported.graph_signature
    nodes = {node.name: node for node in exported.graph.nodes}
    held: Mapping[str, Any] = {**exported.constants, **exported.state_dict}
    inputs, constants = {}, {}
    for spec in signature.input_specs:
        name = str(getattr(spec.arg, "name", ""))
        if spec.kind is InputKind.USER_INPUT:
            if name in nodes and isinstance(nodes[name].meta.get("val"), Tensor):
                inputs[name] = _extents(nodes[name]) or ()
        elif spec.kind in _KINDS and spec.target is not None:
            tensor, parameter = held[spec.target], _KINDS[spec.kind]
            constants[name] = Constant(spec.target, tensor.detach(), parameter and tensor.requires_grad, parameter)
    calls = tuple(_calls(exported))
    outputs = tuple(
        str(getattr(spec.arg, "name", "")) for spec in signature.output_specs if spec.kind is OutputKind.USER_OUTPUT
    )
    return Program(inputs, constants, calls, outputs)


def _calls(exported: ExportedProgram) -> Iterator[Call]:
    for node in exported.graph.nodes:
        if node.op != "call_function":
            continue
        schema = getattr(node.target, "_schema", None)
        if schema is None:
            if not _picks_output(node) and isinstance(node.meta.get("val"), Tensor):
                named = {f"argument{i}": _argument(argument) for i, argument in enumerate(node.args)}
                yield Call(getattr(node.target, "__name__", str(node.target)), named, (node.name,), _extents(node))
            continue
        names = [argument.name for argument in schema.arguments]
        given = dict(zip(names, node.args, strict=False)) | dict(node.kwargs)
        outputs = tuple(_outputs(node))
        yield Call(str(node.target), {n: _argument(a) for n, a in given.items()}, outputs, _extents(node))


def _picks_output(node: torch.fx.Node) -> bool:
    return getattr(node.target, "__name__", "") == "getitem" and isinstance(node.args[0], torch.fx.Node)


def _outputs(node: torch.fx.Node) -> Iterator[str]:
    """The tensors that a call returns: itself, or what is picked from it by number."""
    value = node.meta.get("val")
    if isinstance(value, Tensor):
        yield node.name
    elif isinstance(value, tuple | list):
        picks = {user.args[1]: user.name for user in node.users if _picks_output(user)}
        yield from (picks.get(index, f"{node.name}.{index}") for index in range(len(value)))


def _extents(node: torch.fx.Node) -> Extents | None:
    value = node.meta.get("val")
    first = value[0] if isinstance(value, tuple | list) and value else value
    if not isinstance(first, Tensor):
        return None
    return tuple(extent if isinstance(extent, int) else None for extent in first.shape)


def _argument(argument: Any) -> Argument:  # noqa: ANN401
    match argument:
        case torch.fx.Node():
            return Reference(argument.name) if isinstance(argument.meta.get("val"), Tensor) else Opaque()
        case None | bool() | int() | float() | str():
            return argument
        case torch.dtype():
            return str(argument)
        case list() | tuple():
            entries = [_argument(entry) for entry in argument]
            plain = [entry for entry in entries if not isinstance(entry, list | Opaque)]
            return plain if len(plain) == len(entries) else Opaque()
    return Opaque()
