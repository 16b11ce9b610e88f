"""ATen calls as layers: what the rules do not say, and any other operation under its own name, to be judged later."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import replace

from certify.errors import UnsupportedError
from certify.models.graph.graph_builder import ADD_BIAS, GraphBuilder, Origin, Output, Value
from certify.models.graph.layers import Ends, LayerGraph
from certify.models.lowering.aten_call import CallView
from certify.models.lowering.aten_rules import ALIASES, CHECKS, RULES, VIEWS, Rule
from certify.models.readers.aten_program import Call, Constant, Program, Reference

# A slice that ends here goes to the end.
_END = 2**62
_FLOATS = ("torch.float32", "torch.float64")


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
    builder = GraphBuilder(origin.label)
    builder.add_inputs(tuple(program.inputs))
    for name, constant in program.constants.items():
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


def _lower(view: CallView) -> None:
    call, builder = view.call, view.builder
    if not call.outputs or call.packet in CHECKS:
        return
    _require_harmless(view)
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


def _by_rule(view: CallView) -> Value | None:
    rule = RULES.get(view.call.packet.removesuffix("_"))
    if rule is None or not _fits(view, rule):
        return None
    operand = view.output(rule.operand)
    constants = {role: found for role in rule.parameters if (found := view.constant(role)) is not None}
    attributes = {name: given for name in rule.attributes if (given := view.attribute(name)) is not None}
    return None if operand is None else view.layer(rule.op, [operand], constants, attributes)


def _fits(view: CallView, rule: Rule) -> bool:
    demanded = dict(rule.demanded)
    for name, argument in view.call.arguments.items():
        if name in rule.parameters:
            fits = argument is None or view.constant(name) is not None
        elif name in rule.attributes:
            fits = argument is None or argument == [] or view.attribute(name) is not None
        elif name in demanded:
            fits = argument == demanded[name]
        else:
            fits = name == rule.operand or name in rule.ignored or argument is None or argument is False
        if not fits:
            return False
    return True


def _alias(view: CallView) -> Value | None:
    return view.value("self")


def _cast(view: CallView) -> Value | None:
    """A conversion to float32 or float64, which is computed in float64 here, changes nothing."""
    constant, dtype = view.constant("self"), view.argument("dtype")
    if constant is not None and dtype not in (None, str(constant.tensor.dtype)):
        return None
    return view.value("self") if dtype in (None, *_FLOATS) else None


def _addmm(view: CallView) -> Value | None:
    if view.argument("beta") not in (None, 1) or view.argument("alpha") not in (None, 1):
        return None
    operand, weight, bias = view.output("mat1"), view.constant("mat2"), view.constant("self")
    if operand is None or weight is None or bias is None:
        return None
    return view.layer("linear", [operand], {"weight": _transposed(weight), "bias": bias})


def _matmul(view: CallView) -> Value | None:
    second = "mat2" if "mat2" in view.call.arguments else "other"
    operand, weight = view.output("self"), view.constant(second)
    if operand is None or weight is None or weight.tensor.ndim != 2:
        return None
    return view.layer("linear", [operand], {"weight": _transposed(weight)})


def _transposed(constant: Constant) -> Constant:
    return replace(constant, tensor=constant.tensor.T)


def _transpose(view: CallView) -> Value | None:
    """Of a matrix that is a parameter; of other values, the operation as it is."""
    constant = view.constant("self")
    if constant is not None and constant.tensor.ndim == 2:
        axes = view.attribute("dims") or (view.attribute("dim0"), view.attribute("dim1"))
        if view.call.packet == "t" or axes in ((1, 0), (0, 1), (-1, -2), (-2, -1)):
            same = view.call.packet == "permute" and axes in ((0, 1), (-2, -1))
            return constant if same else _transposed(constant)
    return _by_rule(view)


def _power(view: CallView) -> Value | None:
    operand = view.output("self")
    return view.layer("square", [operand]) if operand is not None and view.number("exponent") == 2 else None


def _multiply(view: CallView) -> Value | None:
    one, other = view.output("self"), view.output("other")
    if one is not None and other is not None:
        return view.layer("square", [one]) if one == other else view.layer("mul", [one, other])
    factor = view.number("self") if one is None else view.number("other")
    return _scaled(view, one or other, factor)


def _divide(view: CallView) -> Value | None:
    divisor = view.number("other")
    plain = divisor is not None and divisor != 0 and view.argument("rounding_mode") is None
    return _scaled(view, view.output("self"), 1 / divisor) if plain and divisor is not None else None


def _negate(view: CallView) -> Value | None:
    return _scaled(view, view.output("self"), -1.0)


def _scaled(view: CallView, operand: Output | None, factor: float | None) -> Value | None:
    if operand is None or factor is None or not math.isfinite(factor):
        return None
    return view.layer("scale", [operand], attributes={"factor": float(factor)})


def _add(view: CallView) -> Value | None:
    if view.argument("alpha") not in (None, 1):
        return None
    one, other = view.value("self"), view.value("other")
    if isinstance(one, Output) and isinstance(other, Output):
        return view.layer("add", [one, other])
    operand, bias = (one, other) if isinstance(one, Output) else (other, one)
    if isinstance(operand, Output) and isinstance(bias, Constant) and bias.trained:
        return view.layer(ADD_BIAS, [operand], {"bias": bias})
    return None


def _subtract(view: CallView) -> Value | None:
    one, other = view.output("self"), view.output("other")
    if one is None or other is None or view.argument("alpha") not in (None, 1):
        return None
    return view.layer("add", [one, view.layer("scale", [other], attributes={"factor": -1.0})])


def _concatenate(view: CallView) -> Value | None:
    tensors, dim = view.argument("tensors"), view.argument("dim")
    references = [entry for entry in tensors if isinstance(entry, Reference)] if isinstance(tensors, list) else []
    values = [view.builder.value(reference.name) for reference in references]
    outputs = [value for value in values if isinstance(value, Output)]
    if not outputs or len(outputs) != len(values) or not (dim is None or isinstance(dim, int)):
        return None
    return view.layer("cat", outputs, attributes={"dim": dim or 0})


def _reshape(view: CallView) -> Value | None:
    """To the extents that the program states, which leave the samples as they are."""
    operand, extents = view.output("self"), view.call.extents
    if operand is None or not extents or extents[0] not in view.batches:
        return None
    inner = tuple(extent for extent in extents[1:] if extent is not None)
    if len(inner) != len(extents) - 1:
        return None
    return view.layer("reshape", [operand], attributes={"shape": (-1, *inner)})


def _slice(view: CallView) -> Value | None:
    operand, named = view.output("self"), {n: view.argument(n) for n in ("dim", "start", "end", "step")}
    whole = {name: value for name, value in named.items() if isinstance(value, int)}
    if operand is None or any(named[name] is not None for name in named if name not in whole):
        return None
    if whole.get("start", 0) == 0 and whole.get("end", _END) >= _END and whole.get("step", 1) == 1:
        return operand
    return view.layer("slice", [operand], attributes=dict(whole))


def _convolution(view: CallView) -> Value | None:
    """The general convolution, as decompositions write it."""
    operand, weight, bias = view.output("input"), view.constant("weight"), view.constant("bias")
    attributes = {n: view.attribute(n) for n in ("stride", "padding", "dilation", "groups")}
    plain = view.argument("transposed") is False and None not in attributes.values()
    if operand is None or weight is None or not plain or weight.tensor.ndim not in (3, 4):
        return None
    constants = {"weight": weight} | ({} if bias is None else {"bias": bias})
    known = {name: value for name, value in attributes.items() if value is not None}
    return view.layer(f"conv{weight.tensor.ndim - 2}d", [operand], constants, known)


_KNOWN: dict[str, Callable[[CallView], Value | None]] = {
    **dict.fromkeys(RULES, _by_rule),
    **dict.fromkeys(ALIASES, _alias),
    **dict.fromkeys(("to", "_to_copy", "type_as"), _cast),
    **dict.fromkeys(("t", "transpose", "permute"), _transpose),
    **dict.fromkeys(("mm", "matmul"), _matmul),
    **dict.fromkeys(("view", "reshape", "_unsafe_view"), _reshape),
    "addmm": _addmm,
    "pow": _power,
    "mul": _multiply,
    "div": _divide,
    "neg": _negate,
    "add": _add,
    "sub": _subtract,
    "cat": _concatenate,
    "slice": _slice,
    "convolution": _convolution,
}


def _read(call: Call) -> list[str]:
    arguments = [entry for a in call.arguments.values() for entry in (a if isinstance(a, list) else [a])]
    return [entry.name for entry in arguments if isinstance(entry, Reference)]
