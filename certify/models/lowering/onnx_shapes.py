"""ONNX operators that rearrange, pick or add up entries."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from certify.models.graph.graph_builder import Value
from certify.models.graph.operations import Attribute
from certify.models.lowering.onnx_node import NodeView
from certify.models.readers.aten_program import Constant

_END = 2**62


def _flatten(view: NodeView) -> Value | None:
    operand = view.output()
    plain = operand is not None and view.setting("axis", 1) == 1
    return view.layer("flatten", [operand], attributes={"start_dim": 1}, rank=2) if operand and plain else None


def _reshape(view: NodeView) -> Value | None:
    """Where the samples stay as they are: their extent is 0 (as it was), -1, or that of the inputs."""
    operand, shape = view.output(0), view.whole(1)
    if operand is None or not shape or (view.setting("allowzero", 0) and 0 in shape):
        return None
    first, rest = shape[0], shape[1:]
    if len(rest) == 1 and rest[0] == -1 and (first == 0 or first in view.batches):
        return view.layer("flatten", [operand], attributes={"start_dim": 1}, rank=2)
    if not all(extent > 0 for extent in rest) or not (first in (0, -1) or first in view.batches):
        return None
    return view.layer("reshape", [operand], attributes={"shape": (-1, *rest)}, rank=len(shape))


def _transpose(view: NodeView) -> Value | None:
    order, value = view.settings("perm", ()), view.value(0)
    if isinstance(value, Constant):
        return value.transposed if value.tensor.ndim == 2 and order in ((), (1, 0)) else None
    return view.layer("permute", [value], attributes={"dims": order}) if value is not None and order else None


def _concatenate(view: NodeView) -> Value | None:
    values = [view.output(index) for index in range(len(view.node.inputs))]
    outputs = [value for value in values if value is not None]
    axis = int(view.setting("axis", 0))
    return view.layer("cat", outputs, attributes={"dim": axis}) if outputs and len(outputs) == len(values) else None


def _gather(view: NodeView) -> Value | None:
    """Rows of a matrix of parameters, by number."""
    weight, indices = view.constant(0), view.output(1)
    if weight is None or indices is None or weight.tensor.ndim != 2 or view.setting("axis", 0):
        return None
    rank = view.rank(indices)
    return view.layer("embedding", [indices], {"weight": weight}, rank=None if rank is None else rank + 1)


def _reduction(op: str, view: NodeView) -> Value | None:
    operand, axes, keep = view.output(0), view.axes(1), bool(view.setting("keepdims", 1))
    if operand is None or not axes:
        return None
    rank = view.rank(operand)
    left = rank if rank is None or keep else rank - len(axes)
    made = view.layer(op, [operand], attributes={"dim": axes, "keepdim": keep}, rank=left)
    if left is None:
        view.ranks.pop(made.layer, None)
    return made


def _one_axis(op: str, change: int, view: NodeView) -> Value | None:
    operand, axes = view.output(0), view.axes(1)
    if operand is None or axes is None or len(axes) != 1:
        return None
    rank = view.rank(operand)
    return view.layer(op, [operand], attributes={"dim": axes[0]}, rank=None if rank is None else rank + change)


def _slice(view: NodeView) -> Value | None:
    operand, parts = view.output(0), [view.whole(index) for index in range(1, len(view.node.inputs))]
    if operand is None or len(parts) < 2 or any(part is None or len(part) != 1 for part in parts):
        return None
    start, end, axis, step = (*(part[0] for part in parts if part), *(0, _END, 0, 1)[len(parts) :])
    attributes: dict[str, Attribute] = {"dim": axis, "start": start, "end": min(end, _END), "step": step}
    return view.layer("slice", [operand], attributes=attributes) if step > 0 else None


SHAPES: dict[str, Callable[[NodeView], Value | None]] = {
    "Flatten": _flatten,
    "Reshape": _reshape,
    "Transpose": _transpose,
    "Concat": _concatenate,
    "Gather": _gather,
    "ReduceMean": partial(_reduction, "mean"),
    "ReduceMax": partial(_reduction, "amax"),
    "ReduceSum": partial(_reduction, "sum"),
    "Squeeze": partial(_one_axis, "squeeze", -1),
    "Unsqueeze": partial(_one_axis, "unsqueeze", 1),
    "Slice": _slice,
}
