"""ONNX operators that rearrange, pick or add up entries."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from certify.models.graph.graph_builder import Output, Value
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
    """Rows of a matrix of parameters, or entries of a vector, by number; or one column of a value."""
    weight, indices, axis = view.constant(0), view.output(1), int(view.setting("axis", 0))
    if weight is None:
        return _column(view, axis)
    return None if indices is None or axis else _looked_up(view, weight, indices)


def _column(view: NodeView, axis: int) -> Value | None:
    """Gather of one place along an axis, by a number without axes."""
    operand, place = view.output(0), view.constant(1)
    rank = None if operand is None else view.rank(operand)
    if operand is None or place is None or place.tensor.ndim or place.tensor.is_floating_point() or rank is None:
        return None
    return view.layer("select", [operand], attributes={"dim": axis, "index": int(place.tensor)}, rank=rank - 1)


def _gather_nd(view: NodeView) -> Value | None:
    """The same look-up, the numbers along a last axis of extent 1 that was added to them."""
    weight, indices = view.constant(0), view.output(1)
    added = None if indices is None else view.builder.layers.get(indices.layer)
    if weight is None or added is None or added.op != "unsqueeze" or view.setting("batch_dims", 0):
        return None
    source = Output(added.inputs[0])
    rank = view.rank(source)
    last = rank is not None and added.axes in ((-1,), (rank,))
    return _looked_up(view, weight, source) if last else None


def _looked_up(view: NodeView, weight: Constant, indices: Output) -> Value | None:
    rank = view.rank(indices)
    if weight.tensor.ndim == 1:
        return view.layer("take", [indices], {"weight": weight}, rank=rank)
    if weight.tensor.ndim != 2:
        return None
    return view.layer("embedding", [indices], {"weight": weight}, rank=None if rank is None else rank + 1)


def _squeeze(view: NodeView) -> Value | None:
    """An axis of extent 1 dropped: of one column of a value, or of rows of one number, which names no axis."""
    operand, axes = view.output(0), view.axes(1)
    made = None if operand is None else view.builder.layers.get(operand.layer)
    rank = None if operand is None else view.rank(operand)
    if operand is None or made is None or rank is None:
        return _one_axis("squeeze", -1, view)
    cut, start = made.attributes, made.attributes.get("start", 0)
    of_slice = made.op == "slice" and axes is not None and axes == (cut.get("dim", 0),)
    if of_slice and axes and isinstance(start, int) and start >= 0 and cut.get("end") == start + 1:
        attributes: dict[str, Attribute] = {"dim": axes[0], "index": start}
        return view.layer("select", [Output(made.inputs[0])], attributes=attributes, rank=rank - 1)
    if axes is None and made.op == "embedding" and rank == 2:
        single = view.builder.constants[made.name]["weight"].tensor.shape[1] == 1
        return view.layer("squeeze", [operand], attributes={"dim": 1}, rank=1) if single else None
    return _one_axis("squeeze", -1, view)


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
    "GatherND": _gather_nd,
    "ReduceMean": partial(_reduction, "mean"),
    "ReduceMax": partial(_reduction, "amax"),
    "ReduceSum": partial(_reduction, "sum"),
    "Squeeze": _squeeze,
    "Unsqueeze": partial(_one_axis, "unsqueeze", 1),
    "Slice": _slice,
}
