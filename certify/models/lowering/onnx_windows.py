"""ONNX operators that move a window: convolutions and pooling, in one and two dimensions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import final

from certify.models.graph.graph_builder import Value
from certify.models.graph.operations import Attribute
from certify.models.lowering.onnx_node import NodeView


@final
@dataclass(frozen=True, slots=True)
class _Window:
    """How a window moves.

    Attributes:
        kernel: its extents.
        stride: steps.
        padding: on both sides, the same.
        dilation: steps inside.
    """

    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[int, ...]
    dilation: tuple[int, ...]

    @property
    def axes(self) -> int:
        """Number of axes over which it moves."""
        return len(self.kernel)


def _window(view: NodeView, kernel: tuple[int, ...]) -> _Window | None:
    """None where torch has no such window: other dimensions, or padding that differs by side."""
    axes = len(kernel)
    ones, zeros = (1,) * axes, (0,) * axes
    pads = view.settings("pads", zeros * 2)
    automatic = view.node.settings.get("auto_pad", "NOTSET")
    if axes not in (1, 2) or automatic not in ("NOTSET", "VALID") or pads[:axes] != pads[axes:]:
        return None
    padding = zeros if automatic == "VALID" else pads[:axes]
    found = _Window(kernel, view.settings("strides", ones), padding, view.settings("dilations", ones))
    sizes = (found.stride, found.padding, found.dilation)
    return found if all(len(size) == axes for size in sizes) else None


def _convolution(view: NodeView) -> Value | None:
    operand, weight, bias = view.output(0), view.constant(1), view.constant(2)
    if operand is None or weight is None or (bias is None and view.value(2) is not None):
        return None
    window = _window(view, tuple(weight.tensor.shape[2:]))
    if window is None:
        return None
    attributes: dict[str, Attribute] = {
        "stride": window.stride,
        "padding": window.padding,
        "dilation": window.dilation,
        "groups": int(view.setting("group", 1)),
    }
    constants = {"weight": weight} | ({} if bias is None else {"bias": bias})
    return view.layer(f"conv{window.axes}d", [operand], constants, attributes, rank=window.axes + 2)


def _max_pool(view: NodeView) -> Value | None:
    operand, window = view.output(0), _window(view, view.settings("kernel_shape", ()))
    if operand is None or window is None or view.setting("storage_order", 0):
        return None
    attributes: dict[str, Attribute] = {
        "kernel_size": window.kernel,
        "stride": window.stride,
        "padding": window.padding,
        "dilation": window.dilation,
        "ceil_mode": bool(view.setting("ceil_mode", 0)),
    }
    return view.layer(f"max_pool{window.axes}d", [operand], attributes=attributes, rank=window.axes + 2)


def _average_pool(view: NodeView) -> Value | None:
    operand, window = view.output(0), _window(view, view.settings("kernel_shape", ()))
    # Where the last window hangs over the edge, torch and ONNX divide by different numbers.
    if operand is None or window is None or set(window.dilation) != {1} or view.setting("ceil_mode", 0):
        return None
    attributes: dict[str, Attribute] = {
        "kernel_size": window.kernel,
        "stride": window.stride,
        "padding": window.padding,
        "count_include_pad": bool(view.setting("count_include_pad", 0)),
    }
    return view.layer(f"avg_pool{window.axes}d", [operand], attributes=attributes, rank=window.axes + 2)


def _global_pool(kind: str) -> Callable[[NodeView], Value | None]:
    def lower(view: NodeView) -> Value | None:
        operand = view.output(0)
        axes = None if operand is None else (view.rank(operand) or 0) - 2
        if operand is None or axes not in (1, 2):
            return None
        return view.layer(f"adaptive_{kind}_pool{axes}d", [operand], attributes={"output_size": (1,) * axes})

    return lower


WINDOWS: dict[str, Callable[[NodeView], Value | None]] = {
    "Conv": _convolution,
    "MaxPool": _max_pool,
    "AveragePool": _average_pool,
    "GlobalAveragePool": _global_pool("avg"),
    "GlobalMaxPool": _global_pool("max"),
}
