"""ONNX nodes as layers: one table of what each operator becomes; any other keeps its name and is judged later."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from torch import Tensor

from certify.errors import UnsupportedError
from certify.models.graph.graph_builder import ADD_BIAS, GraphBuilder, Origin, Output, Value
from certify.models.graph.layers import Ends, LayerGraph
from certify.models.graph.operations import Attribute
from certify.models.graph.ties import copied_weight
from certify.models.lowering.aten_arithmetic import INNER
from certify.models.lowering.onnx_node import NodeView
from certify.models.lowering.onnx_shapes import SHAPES
from certify.models.lowering.onnx_windows import WINDOWS
from certify.models.readers.aten_program import Constant
from certify.models.readers.onnx_files.onnx_file import OnnxProgram

# Attributes are float32; so is the default slope.
_HUNDREDTH = float(np.float32(0.01))
_PLAIN = ("Relu", "Abs", "Sigmoid", "Tanh", "Exp", "Sin", "Cos", "Softplus", "Softsign", "Mish", "HardSwish")
# Types int32 and int64.
_INTEGERS = (6, 7)
# Operators of one value that are a layer as they stand, with their attributes and ONNX's defaults.
_POINTWISE: dict[str, tuple[str, dict[str, tuple[str, float]]]] = {
    **{name: (name.lower(), {}) for name in _PLAIN},
    "LeakyRelu": ("leaky_relu", {"negative_slope": ("alpha", _HUNDREDTH)}),
    "Elu": ("elu", {"alpha": ("alpha", 1.0)}),
    "Celu": ("celu", {"alpha": ("alpha", 1.0)}),
    "Softmax": ("softmax", {"dim": ("axis", -1)}),
    "LogSoftmax": ("log_softmax", {"dim": ("axis", -1)}),
}


def graph_of_onnx(program: OnnxProgram, origin: Origin) -> LayerGraph:
    """The layers of an ONNX graph.

    Raises:
        RefusedError: a graph that makes no sense, or weights that are no finite real numbers.
        UnsupportedError: several outputs, no input, or tied weights.
    """
    if len(program.outputs) != 1 or not program.inputs:
        raise UnsupportedError(
            f"{origin.label}: has {len(program.inputs)} inputs and {len(program.outputs)} outputs; certify needs one "
            "output, and at least one input",
            code="unsupported-architecture",
        )
    builder = GraphBuilder(origin.label)
    builder.add_inputs(tuple(program.inputs))
    for name, tensor in program.initializers.items():
        builder.bind(name, Constant(name, tensor, trained=True))
    extents = zip(builder.inputs, program.inputs.values(), strict=True)
    ranks = {name: len(shape) for name, shape in extents if shape}
    batches = {shape[0] for shape in program.inputs.values() if shape} | {None}
    for node in program.nodes:
        _lower(NodeView(node, builder, ranks, batches))
    graph = builder.finish(builder.value(program.outputs[0]), replace(origin, notes=(*origin.notes, *program.notes)))
    if (copied := copied_weight(graph.layers, graph.parameters)) is not None:
        raise UnsupportedError(
            f"{origin.label}: '{copied[0]}' and '{copied[1]}' are each other's transpose, bit for bit: one weight that "
            "the export copied, and that weight decay counts once. Save the model as .pt2, which keeps it one",
            code="tied-weights",
        )
    ends = Ends.of(tuple(program.inputs), program.outputs[0])
    return replace(graph, ends=ends, digest_complete=program.digest_complete)


def _lower(view: NodeView) -> None:
    node, builder = view.node, view.builder
    lowering = _KNOWN.get(node.op)
    extra = any(node.outputs[1:]) and node.op != "Dropout"
    result = lowering(view) if lowering is not None and node.outputs and not extra else None
    for index, name in enumerate(node.outputs):
        if name:
            known = result if index == 0 else None
            builder.bind(name, known if known is not None else _unknown(view))


def _unknown(view: NodeView) -> Output:
    values = [view.value(index) for index in range(len(view.node.inputs))]
    outputs = [value for value in values if isinstance(value, Output)] or [Output(view.builder.inputs[0])]
    held = {f"input_{i}": value for i, value in enumerate(values) if isinstance(value, Constant)}
    # Shapes and numbers of axes are no parameters.
    constants = {role: constant for role, constant in held.items() if constant.tensor.is_floating_point()}
    return view.layer(f"onnx.{view.node.op}", outputs, constants)


def _pointwise(view: NodeView) -> Value | None:
    op, settings = _POINTWISE[view.node.op]
    operand = view.output()
    attributes: dict[str, Attribute] = {name: view.setting(own, default) for name, (own, default) in settings.items()}
    return None if operand is None else view.layer(op, [operand], attributes=attributes)


def _alias(view: NodeView) -> Value | None:
    return view.value(0)


def _cast(view: NodeView) -> Value | None:
    """To float32 or float64, which is computed in float64 here; to integers it cuts."""
    operand, kind = view.output(), view.setting("to", 0)
    if operand is not None and kind in _INTEGERS:
        return view.layer("trunc", [operand])
    return operand if operand is not None and kind in (1, 11) else None


def _constant(view: NodeView) -> Value | None:
    found = view.node.settings.get("value")
    return view.held(found) if isinstance(found, Tensor) else None


def _dropout(view: NodeView) -> Value | None:
    operand, training = view.output(), view.number(2)
    return view.layer("dropout", [operand]) if operand is not None and not training else None


def _gemm(view: NodeView) -> Value | None:
    operand, weight, bias = view.output(0), view.constant(1), view.constant(2)
    plain = view.setting("alpha", 1.0) == view.setting("beta", 1.0) == 1 and not view.setting("transA", 0)
    if operand is None or weight is None or weight.tensor.ndim != 2 or not plain or (bias is None and view.value(2)):
        return None
    constants = {"weight": weight if view.setting("transB", 0) else weight.transposed}
    if bias is not None:
        if bias.tensor.numel() != len(constants["weight"].tensor):
            return None
        constants["bias"] = replace(bias, tensor=bias.tensor.reshape(-1))
    return view.layer("linear", [operand], constants, rank=2)


def _matmul(view: NodeView) -> Value | None:
    operand, weight = view.output(0), view.constant(1)
    if operand is None or weight is None or weight.tensor.ndim != 2:
        return None
    return view.layer("linear", [operand], {"weight": weight.transposed})


def _add(view: NodeView) -> Value | None:
    one, other = view.value(0), view.value(1)
    if isinstance(one, Output) and isinstance(other, Output):
        return view.layer("add", [one, other])
    operand, bias = (one, other) if isinstance(one, Output) else (other, one)
    if isinstance(operand, Output) and isinstance(bias, Constant) and bias.trained:
        flat = bias.tensor.reshape(-1) if bias.tensor.numel() == max(bias.tensor.shape[-1:], default=1) else bias.tensor
        return view.layer(ADD_BIAS, [operand], {"bias": replace(bias, tensor=flat)})
    return None


def _subtract(view: NodeView) -> Value | None:
    one, other = view.output(0), view.output(1)
    if one is None or other is None:
        return None
    return view.layer("add", [one, view.layer("scale", [other], attributes={"factor": -1.0})])


def _multiply(view: NodeView) -> Value | None:
    one, other = view.output(0), view.output(1)
    if one is not None and other is not None:
        return view.layer("square", [one]) if one == other else view.layer("mul", [one, other])
    return _scaled(view, one or other, view.number(1) if one is not None else view.number(0))


def _contract(view: NodeView) -> Value | None:
    """The inner products of rows, as `einsum` writes them."""
    values = [view.output(index) for index in range(len(view.node.inputs))]
    outputs, text = [value for value in values if value is not None], view.node.settings.get("equation")
    plain = text.replace(" ", "") if isinstance(text, str) else ""
    if not INNER.fullmatch(plain) or not 2 <= len(outputs) == len(values) == plain.count(",") + 1:
        return None
    rank = view.rank(outputs[0])
    product = view.layer("mul", outputs)
    return view.layer("sum", [product], attributes={"dim": (1,)}, rank=None if rank is None else rank - 1)


def _divide(view: NodeView) -> Value | None:
    divisor = view.number(1)
    return _scaled(view, view.output(0), 1 / divisor if divisor else None)


def _negate(view: NodeView) -> Value | None:
    return _scaled(view, view.output(0), -1.0)


def _scaled(view: NodeView, operand: Output | None, factor: float | None) -> Value | None:
    if operand is None or factor is None or not math.isfinite(factor):
        return None
    return view.layer("scale", [operand], attributes={"factor": factor})


def _power(view: NodeView) -> Value | None:
    operand = view.output(0)
    return view.layer("square", [operand]) if operand is not None and view.number(1) == 2 else None


def _prelu(view: NodeView) -> Value | None:
    """A slope per channel, which is axis 1; one number that is no parameter is that of a leaky ReLU."""
    operand, slope = view.output(0), view.constant(1)
    if operand is None or slope is None:
        return None
    if not slope.trained and (number := view.number(1)) is not None:
        return view.layer("leaky_relu", [operand], attributes={"negative_slope": number})
    rank, shape = view.rank(operand), slope.tensor.shape
    shape = shape[1:] if len(shape) == rank and shape[0] == 1 else shape
    per_channel = rank is not None and len(shape) == rank - 1 and slope.tensor.numel() == shape[0]
    if slope.tensor.numel() != 1 and not per_channel:
        return None
    return view.layer("prelu", [operand], {"weight": replace(slope, tensor=slope.tensor.reshape(-1))})


def _batch_norm(view: NodeView) -> Value | None:
    operand, roles = view.output(0), ("weight", "bias", "running_mean", "running_var")
    found = {role: view.constant(index) for index, role in enumerate(roles, start=1)}
    constants = {role: constant for role, constant in found.items() if constant is not None}
    if operand is None or len(constants) < len(roles) or view.setting("training_mode", 0):
        return None
    return view.layer("batch_norm", [operand], constants, {"eps": view.setting("epsilon", 1e-5)})


_KNOWN: dict[str, Callable[[NodeView], Value | None]] = {
    **dict.fromkeys(_POINTWISE, _pointwise),
    **WINDOWS,
    **SHAPES,
    "Identity": _alias,
    "Cast": _cast,
    "Constant": _constant,
    "Dropout": _dropout,
    "Gemm": _gemm,
    "MatMul": _matmul,
    "Add": _add,
    "Sub": _subtract,
    "Mul": _multiply,
    "Div": _divide,
    "Einsum": _contract,
    "Neg": _negate,
    "Pow": _power,
    "PRelu": _prelu,
    "BatchNormalization": _batch_norm,
}
