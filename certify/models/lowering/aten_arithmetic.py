"""ATen calls that compute with values: products, sums and convolutions that no rule says."""

from __future__ import annotations

import math
import re
from collections.abc import Callable

from certify.models.graph.graph_builder import ADD_BIAS, Output, Value
from certify.models.lowering.aten_call import CallView
from certify.models.readers.aten_program import Constant, Reference

# Operations that make zeros.
_ZEROS = ("zeros", "new_zeros", "zeros_like")
# An inner product of rows.
INNER = re.compile(r"([a-zA-Z])(?!\1)([a-zA-Z])(,\1\2)+->\1")


def _addmm(view: CallView) -> Value | None:
    if view.argument("beta") not in (None, 1) or view.argument("alpha") not in (None, 1):
        return None
    operand, weight, bias = view.output("mat1"), view.constant("mat2"), view.constant("self")
    if operand is None or weight is None or bias is None:
        return None
    return view.layer("linear", [operand], {"weight": weight.transposed, "bias": bias})


def _matmul(view: CallView) -> Value | None:
    second = "mat2" if "mat2" in view.call.arguments else "other"
    operand, weight = view.output("self"), view.constant(second)
    if operand is None or weight is None or weight.tensor.ndim != 2:
        return None
    return view.layer("linear", [operand], {"weight": weight.transposed})


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


def _power(view: CallView) -> Value | None:
    operand = view.output("self")
    return view.layer("square", [operand]) if operand is not None and view.number("exponent") == 2 else None


def _multiply(view: CallView) -> Value | None:
    one, other = view.output("self"), view.output("other")
    if one is not None and other is not None:
        return view.layer("square", [one]) if one == other else view.layer("mul", [one, other])
    factor = view.number("self") if one is None else view.number("other")
    return _scaled(view, one or other, factor)


def _contract(view: CallView) -> Value | None:
    """The inner products of rows, as `einsum` writes them."""
    equation, operands = view.argument("equation"), view.argument("tensors")
    references = [entry for entry in operands if isinstance(entry, Reference)] if isinstance(operands, list) else []
    values = [view.builder.value(reference.name) for reference in references]
    outputs = [value for value in values if isinstance(value, Output)]
    text = equation.replace(" ", "") if isinstance(equation, str) else ""
    if not INNER.fullmatch(text) or len(outputs) < 2 or len(outputs) != text.count(",") + 1:
        return None
    return view.layer("sum", [view.layer("mul", outputs)], attributes={"dim": 1})


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
    if isinstance(operand, Output) and 0 in (view.number("self"), view.number("other")):
        # The start of Python's sum().
        return operand
    if not (isinstance(operand, Output) and isinstance(bias, Constant)):
        return None
    if bias.trained or view.builder.is_fixed(operand) or bias.tensor.numel() == 1:
        return view.layer(ADD_BIAS, [operand], {"bias": bias})
    return None


def _subtract(view: CallView) -> Value | None:
    one, other = view.output("self"), view.output("other")
    if one is None or other is None or view.argument("alpha") not in (None, 1):
        return None
    return view.layer("add", [one, view.layer("scale", [other], attributes={"factor": -1.0})])


def _where(view: CallView) -> Value | None:
    """What a condition lets through, zero elsewhere: a product, since conditions are 0 or 1."""
    condition, operand = view.output("condition"), view.output("self")
    if condition is None or operand is None or not _is_zero(view, "other"):
        return None
    return view.layer("mul", [condition, operand])


def _heaviside(view: CallView) -> Value | None:
    operand = view.output("self")
    return view.layer("gt", [operand]) if operand is not None and _is_zero(view, "values") else None


def _is_zero(view: CallView, name: str) -> bool:
    argument = view.argument(name)
    made = view.made.get(argument.name) if isinstance(argument, Reference) else None
    return view.number(name) == 0 or (made is not None and made.packet in _ZEROS)


ARITHMETIC: dict[str, Callable[[CallView], Value | None]] = {
    **dict.fromkeys(("mm", "matmul"), _matmul),
    "addmm": _addmm,
    "convolution": _convolution,
    "pow": _power,
    "mul": _multiply,
    "einsum": _contract,
    "div": _divide,
    "neg": _negate,
    "add": _add,
    "sub": _subtract,
    "where": _where,
    "heaviside": _heaviside,
}
