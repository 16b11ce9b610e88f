"""ONNX operators that move a window: convolutions and pooling, in one and two dimensions."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from certify.models.graph.graph_builder import Value
from certify.models.graph.operations import Attribute
from certify.models.lowering.onnx_node import NodeView


def _window(view: NodeView, axes: int) -> dict[str, Attribute] | None:
    """How a window moves; None where torch has no such window: other dimensions, or padding that differs by side."""
    ones, zeros = (1,) * axes, (0,) * axes
    pads = view.settings("pads", zeros * 2)
    automatic = view.node.settings.get("auto_pad", "NOTSET")
    if axes not in (1, 2) or automatic not in ("NOTSET", "VALID") or pads[:axes] != pads[axes:]:
        return None
    stride, dilation = view.settings("strides", ones), view.settings("dilations", ones)
    padding = zeros if automatic == "VALID" else pads[:axes]
    fits = len(stride) == len(padding) == len(dilation) == axes
    return {"stride": stride, "padding": padding, "dilation": dilation} if fits else None


def _convolution(view: NodeView) -> Value | None:
    operand, weight, bias = view.output(0), view.constant(1), view.constant(2)
    if operand is None or weight is None or (bias is None and view.value(2) is not None):
        return None
    axes = weight.tensor.ndim - 2
    window = _window(view, axes)
    if window is None:
        return None
    attributes = {**window, "groups": int(view.setting("group", 1))}
    constants = {"weight": weight} | ({} if bias is None else {"bias": bias})
    return view.layer(f"conv{axes}d", [operand], constants, attributes, rank=axes + 2)


def _max_pool(view: NodeView) -> Value | None:
    operand, kernel = view.output(0), view.settings("kernel_shape", ())
    window = _window(view, len(kernel))
    if operand is None or window is None or view.setting("storage_order", 0):
        return None
    attributes = {"kernel_size": kernel, **window, "ceil_mode": bool(view.setting("ceil_mode", 0))}
    return view.layer(f"max_pool{len(kernel)}d", [operand], attributes=attributes, rank=len(kernel) + 2)


def _average_pool(view: NodeView) -> Value | None:
    operand, kernel = view.output(0), view.settings("kernel_shape", ())
    window = _window(view, len(kernel))
    # Where the last window hangs over the edge, torch and ONNX divide by different numbers.
    if operand is None or window is None or view.setting("ceil_mode", 0):
        return None
    if window.pop("dilation") != (1,) * len(kernel):
        return None
    attributes = {"kernel_size": kernel, **window, "count_include_pad": bool(view.setting("count_include_pad", 0))}
    return view.layer(f"avg_pool{len(kernel)}d", [operand], attributes=attributes, rank=len(kernel) + 2)


def _global_pool(kind: str, view: NodeView) -> Value | None:
    operand = view.output(0)
    axes = None if operand is None else (view.rank(operand) or 0) - 2
    if operand is None or axes not in (1, 2):
        return None
    return view.layer(f"adaptive_{kind}_pool{axes}d", [operand], attributes={"output_size": (1,) * axes})


WINDOWS: dict[str, Callable[[NodeView], Value | None]] = {
    "Conv": _convolution,
    "MaxPool": _max_pool,
    "AveragePool": _average_pool,
    "GlobalAveragePool": partial(_global_pool, "avg"),
    "GlobalMaxPool": partial(_global_pool, "max"),
}
