"""Layers as ONNX nodes: one table of what each operation becomes, in the words that the reader of ONNX files reads."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, final

import numpy as np

from certify.models.graph.layers import Layer
from certify.problem.kinds.leaky_relu import DEFAULT_SLOPE

if TYPE_CHECKING:
    from onnx import NodeProto


@final
@dataclass(frozen=True, slots=True)
class NamedLayer:
    """A layer, and what the file calls the values around it.

    Attributes:
        layer: the layer.
        rank: number of axes of what it reads, samples included.
        inputs: names of what it reads, its weight and bias last.
        output: name of what it makes.
        mark: stands in no name of the file, so that values inside the layer can be named with it.
    """

    layer: Layer
    rank: int
    inputs: tuple[str, ...]
    output: str
    mark: str

    def node(self, operator: str, inputs: Sequence[str] | None = None, **settings: Any) -> NodeProto:  # noqa: ANN401
        """The node that makes the output."""
        from onnx import helper  # noqa: PLC0415

        read = self.inputs if inputs is None else inputs
        return helper.make_node(operator, read, [self.output], self.layer.name, **settings)

    def with_constants(self, operator: str, *values: Any, **settings: Any) -> list[NodeProto]:  # noqa: ANN401
        """The node that makes the output from what the layer reads and constants, and the nodes of these."""
        from onnx import helper, numpy_helper  # noqa: PLC0415

        names = [f"{self.output}{self.mark}{place}" for place in range(len(values))]
        constants = [
            helper.make_node("Constant", [], [name], name, value=numpy_helper.from_array(np.asarray(value)))
            for name, value in zip(names, values, strict=True)
        ]
        return [*constants, self.node(operator, [*self.inputs, *names], **settings)]


def onnx_nodes(named: NamedLayer) -> list[NodeProto] | None:
    """The nodes of a layer; None where the reader of ONNX files would not know them again."""
    write = _TABLE.get(named.layer.op)
    return None if write is None else write(named)


def _linear(named: NamedLayer) -> list[NodeProto] | None:
    return [named.node("Gemm", transB=1)] if named.rank == 2 else None


def _leaky_relu(named: NamedLayer) -> list[NodeProto]:
    """Attributes of ONNX are float32; a slope that is none is a float64 constant of PRelu."""
    slope: Any = named.layer.attributes.get("negative_slope", DEFAULT_SLOPE)
    if float(np.float32(slope)) == slope:
        return [named.node("LeakyRelu", alpha=float(slope))]
    return named.with_constants("PRelu", [float(slope)])


def _scale(named: NamedLayer) -> list[NodeProto]:
    factor: Any = named.layer.attributes["factor"]
    return named.with_constants("Mul", float(factor))


def _of_two(operator: str, named: NamedLayer) -> list[NodeProto]:
    """Of any number of values, two at a time."""
    from onnx import helper  # noqa: PLC0415

    last, *others = named.inputs
    nodes = []
    for place, other in enumerate(others):
        made = named.output if place == len(others) - 1 else f"{named.output}{named.mark}{place}"
        nodes.append(helper.make_node(operator, [last, other], [made], made))
        last = made
    return nodes


def _convolution(axes: int, named: NamedLayer) -> list[NodeProto] | None:
    layer = named.layer
    strides, dilations = layer.extents("stride", axes, 1), layer.extents("dilation", axes, 1)
    padding = layer.extents("padding", axes, 0)
    if strides is None or dilations is None or padding is None:
        return None
    return [named.node("Conv", strides=strides, dilations=dilations, pads=padding * 2, group=layer.groups)]


def _average_pool(axes: int, named: NamedLayer) -> list[NodeProto] | None:
    layer, given = named.layer, named.layer.attributes
    kernel, padding = layer.extents("kernel_size", axes), layer.extents("padding", axes, 0)
    strides = kernel if given.get("stride") in (None, ()) else layer.extents("stride", axes)
    unusual = given.get("ceil_mode") or given.get("divisor_override") is not None
    if kernel is None or padding is None or strides is None or unusual:
        return None
    counted = int(bool(given.get("count_include_pad", True)))
    pads = padding * 2
    return [named.node("AveragePool", kernel_shape=kernel, strides=strides, pads=pads, count_include_pad=counted)]


def _global_average(axes: int, named: NamedLayer) -> list[NodeProto] | None:
    everywhere = named.layer.extents("output_size", axes) == (1,) * axes
    return [named.node("GlobalAveragePool")] if everywhere else None


def _mean(named: NamedLayer) -> list[NodeProto] | None:
    """In this version of ONNX the axes are an attribute, and those of a sum an input."""
    axes, keep = named.layer.axes, int(bool(named.layer.attributes.get("keepdim")))
    return [named.node("ReduceMean", axes=axes, keepdims=keep)] if axes else None


def _sum(named: NamedLayer) -> list[NodeProto] | None:
    axes, keep = named.layer.axes, int(bool(named.layer.attributes.get("keepdim")))
    return named.with_constants("ReduceSum", _whole(axes), keepdims=keep) if axes else None


def _flatten(named: NamedLayer) -> list[NodeProto] | None:
    start, end = (named.layer.attributes.get(key, usual) for key, usual in (("start_dim", 0), ("end_dim", -1)))
    return [named.node("Flatten", axis=1)] if start == 1 and end in (-1, named.rank - 1) else None


def _slice(named: NamedLayer) -> list[NodeProto]:
    given = named.layer.attributes
    parts = (given.get("start", 0), given.get("end", 2**62), given.get("dim", 0), given.get("step", 1))
    return named.with_constants("Slice", *(_whole((part,)) for part in parts))


def _one_axis(operator: str, named: NamedLayer) -> list[NodeProto] | None:
    axes = named.layer.axes
    return named.with_constants(operator, _whole(axes)) if len(axes) == 1 else None


def _whole(values: Sequence[Any]) -> np.ndarray[Any, np.dtype[np.int64]]:
    return np.array(values, np.int64)


_TABLE: dict[str, Callable[[NamedLayer], list[NodeProto] | None]] = {
    "linear": _linear,
    "conv1d": partial(_convolution, 1),
    "conv2d": partial(_convolution, 2),
    "relu": lambda named: [named.node("Relu")],
    "leaky_relu": _leaky_relu,
    "abs": lambda named: [named.node("Abs")],
    "square": lambda named: [named.node("Mul", named.inputs * 2)],
    "scale": _scale,
    "add": partial(_of_two, "Add"),
    "mul": partial(_of_two, "Mul"),
    "avg_pool1d": partial(_average_pool, 1),
    "avg_pool2d": partial(_average_pool, 2),
    "adaptive_avg_pool1d": partial(_global_average, 1),
    "adaptive_avg_pool2d": partial(_global_average, 2),
    "mean": _mean,
    "sum": _sum,
    "flatten": _flatten,
    "cat": lambda named: [named.node("Concat", axis=named.layer.attributes.get("dim", 0))],
    "slice": _slice,
    "squeeze": partial(_one_axis, "Squeeze"),
    "unsqueeze": partial(_one_axis, "Unsqueeze"),
}
