"""ATen calls that rearrange, pick or convert entries, where no rule says it."""

from __future__ import annotations

from collections.abc import Callable

from certify.models.graph.graph_builder import Output, Value
from certify.models.lowering.aten_call import CallView
from certify.models.lowering.aten_rules import ALIASES, by_rule
from certify.models.readers.aten_program import Reference

# A slice that ends here goes to the end.
_END = 2**62
_FLOATS = ("torch.float32", "torch.float64")
_INTEGERS = ("torch.int64", "torch.int32")


def _alias(view: CallView) -> Value | None:
    return view.value("self")


def _cast(view: CallView) -> Value | None:
    """A conversion to float32 or float64, which is computed in float64 here, changes nothing; to integers it cuts."""
    constant, dtype = view.constant("self"), view.argument("dtype")
    if constant is not None and dtype not in (None, str(constant.tensor.dtype)):
        return None
    operand = view.output("self")
    if operand is not None and dtype in _INTEGERS:
        return view.layer("trunc", [operand])
    return view.value("self") if dtype in (None, *_FLOATS) else None


def _transpose(view: CallView) -> Value | None:
    """Of a matrix that is a parameter; of other values, the operation as it is."""
    constant = view.constant("self")
    if constant is not None and constant.tensor.ndim == 2:
        axes = view.attribute("dims") or (view.attribute("dim0"), view.attribute("dim1"))
        if view.call.packet in ("t", "numpy_T") or axes in ((1, 0), (0, 1), (-1, -2), (-2, -1)):
            same = view.call.packet == "permute" and axes in ((0, 1), (-2, -1))
            return constant if same else constant.transposed
    return by_rule(view)


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


def _squeeze(view: CallView) -> Value | None:
    return _reshape(view) if view.argument("dim") is None else by_rule(view)


def _take(view: CallView) -> Value | None:
    """Rows of a parameter, chosen by number."""
    indices, weight = view.argument("indices"), view.constant("self")
    if not isinstance(indices, list) or len(indices) != 1 or weight is None or weight.tensor.ndim not in (1, 2):
        return None
    chosen = view.builder.value(indices[0].name) if isinstance(indices[0], Reference) else None
    op = "take" if weight.tensor.ndim == 1 else "embedding"
    return view.layer(op, [chosen], {"weight": weight}) if isinstance(chosen, Output) else None


def unbound(view: CallView) -> list[Output] | None:
    """The slices along an axis that `unbind` returns."""
    operand, dim = view.output("self"), view.argument("dim") or 0
    if operand is None or not isinstance(dim, int):
        return None
    places = range(len(view.call.outputs))
    return [view.layer("select", [operand], attributes={"dim": dim, "index": place}) for place in places]


SHAPES: dict[str, Callable[[CallView], Value | None]] = {
    **dict.fromkeys(ALIASES, _alias),
    **dict.fromkeys(("to", "_to_copy", "type_as"), _cast),
    **dict.fromkeys(("t", "numpy_T", "transpose", "permute"), _transpose),
    **dict.fromkeys(("view", "reshape", "_unsafe_view"), _reshape),
    "cat": _concatenate,
    "slice": _slice,
    "squeeze": _squeeze,
    "index": _take,
}
