"""ATen calls as layers; any other operation under its own name, to be judged later."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace

from certify.errors import UnsupportedError
from certify.models.graph.graph_builder import GraphBuilder, Origin, Output, Value, as_trained
from certify.models.graph.layers import Ends, LayerGraph
from certify.models.lowering.aten_arithmetic import ARITHMETIC
from certify.models.lowering.aten_call import CallView
from certify.models.lowering.aten_rules import CHECKS, RULES, VIEWS, by_rule
from certify.models.lowering.aten_shapes import SHAPES, unbound
from certify.models.readers.aten_program import Call, Constant, Program, Reference

_KNOWN: dict[str, Callable[[CallView], Value | None]] = {**dict.fromkeys(RULES, by_rule), **SHAPES, **ARITHMETIC}


def graph_of_program(program: Program, origin: Origin) -> LayerGraph:
    """The layers of a program.

    Raises:
        RefusedError: a program that makes no sense, or weights that are no finite real numbers.
        UnsupportedError: several outputs, or tied weights.
    """
    if len(program.outputs) != 1:
        raise UnsupportedError(
            f"{origin.label}: returns {len(program.outputs)} tensors; certify needs a model with one output",
            code="unsupported-architecture",
        )
    if not program.inputs:
        raise UnsupportedError(f"{origin.label}: takes no tensor", code="unsupported-architecture")
    constants = as_trained(program.constants)
    builder = GraphBuilder(origin.label, held=tuple(constants.values()))
    builder.add_inputs(tuple(program.inputs))
    for name, constant in constants.items():
        builder.bind(name, constant)
    uses = Counter(name for call in program.calls for name in _read(call))
    batches = {extents[0] for extents in program.inputs.values() if extents}
    made: dict[str, Call] = {}
    for call in program.calls:
        view = CallView(call, builder, uses, made, batches)
        _lower(view)
        made.update(dict.fromkeys(call.outputs, call))
    graph = builder.finish(builder.value(program.outputs[0]), origin)
    extents = zip(graph.inputs, program.inputs.values(), strict=True)
    ranks = {name: len(sizes) for name, sizes in extents if sizes}
    return replace(graph, ranks=ranks, ends=Ends.of(tuple(program.inputs), program.outputs[0]))


def _read(call: Call) -> list[str]:
    arguments = [entry for a in call.arguments.values() for entry in (a if isinstance(a, list) else [a])]
    return [entry.name for entry in arguments if isinstance(entry, Reference)]


def _lower(view: CallView) -> None:
    call, builder = view.call, view.builder
    if not call.outputs or call.packet in CHECKS:
        return
    _require_harmless(view)
    if call.packet == "unbind" and (slices := unbound(view)) is not None:
        for name, value in zip(call.outputs, slices, strict=True):
            builder.bind(name, value)
        return
    lowering = _KNOWN.get(call.packet.removesuffix("_"))
    result = None if lowering is None else lowering(view)
    builder.bind(call.outputs[0], result if result is not None else _unknown(view, call.op))
    for index, name in enumerate(call.outputs[1:], start=1):
        builder.bind(name, _unknown(view, f"{call.op}[{index}]"))


def _require_harmless(view: CallView) -> None:
    """Refuse a call that overwrites what another call may read."""
    call, operand = view.call, view.argument("self")
    if not call.packet.endswith("_") and "out" not in call.arguments:
        return
    constant = view.constant("self")
    if constant is not None and (call.packet == "detach_" or not constant.tensor.is_floating_point()):
        # A counter of batches, or nothing that changes a value.
        return
    made = view.made.get(operand.name) if isinstance(operand, Reference) else None
    alone = isinstance(operand, Reference) and view.uses[operand.name] == 1 and "out" not in call.arguments
    if not alone or made is None or made.packet.removesuffix("_") in VIEWS:
        raise UnsupportedError(
            f"{view.builder.where}: '{call.op}' overwrites a value that other operations may read; write it without "
            "the underscore, or inplace=False",
            code="unknown-layer",
        )


def _unknown(view: CallView, op: str) -> Output:
    tensors = {name: view.value(name) for name in view.call.arguments}
    outputs = [value for value in tensors.values() if isinstance(value, Output)]
    for argument in view.call.arguments.values():
        entries = argument if isinstance(argument, list) else []
        values = [view.builder.value(entry.name) for entry in entries if isinstance(entry, Reference)]
        outputs += [value for value in values if isinstance(value, Output)]
    held = {name: value for name, value in tensors.items() if isinstance(value, Constant)}
    constants = {name: constant for name, constant in held.items() if constant.tensor.is_floating_point()}
    # What is computed from constants alone is still no parameter: a layer that nothing serves.
    return view.layer(op, outputs or [Output(view.builder.inputs[0])], constants)
