"""ONNX files: nodes and initializers, parsed by the `onnx` package; no node is run and no other file read unasked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

from torch import Tensor

from certify.errors import RefusedError, UsageError
from certify.models.readers.damage import DamageAsRefusal
from certify.models.readers.exact_weights import unfit_weight
from certify.models.readers.input_file import InputFile, require_bytes
from certify.models.readers.onnx_files.onnx_tensors import TensorReader, count_of, text_of
from certify.models.readers.onnx_files.onnx_wire import require_bounded_structure

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto, NodeProto

# The largest file that the protobuf format allows; larger models keep their values in other files.
MAX_ONNX = 2**31 - 1
# Versions of the operators whose meaning this reader knows.
FIRST_OPSET, LAST_OPSET = 7, 26

Setting = int | float | str | tuple[int, ...] | tuple[float, ...] | Tensor | None


@final
@dataclass(frozen=True, slots=True)
class Node:
    """One node.

    Attributes:
        op: the operator, with its domain where that is not ONNX's own.
        name: of the node; may be empty.
        inputs: names of values; empty for one left out.
        outputs: names of values.
        settings: attributes by name; None for one of another kind.
    """

    op: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    settings: Mapping[str, Setting]


@final
@dataclass(frozen=True, slots=True)
class OnnxProgram:
    """A graph.

    Attributes:
        nodes: in the order in which they run.
        initializers: tensors by name.
        inputs: extents of the inputs by name; None for one that may vary.
        outputs: names of the values returned.
        notes: on every other file that values were read from.
        digest_complete: whether there are none, so that the digest of the file covers all values.
    """

    nodes: tuple[Node, ...]
    initializers: Mapping[str, Tensor]
    inputs: Mapping[str, tuple[int | None, ...]]
    outputs: tuple[str, ...]
    notes: tuple[str, ...]
    digest_complete: bool


def looks_like_onnx(file: InputFile) -> bool:
    """Whether the content opens as a protobuf message with the version of ONNX's format."""
    return file.head[:1] == b"\x08" and 0 < file.head[1:2][0] < 64 if len(file.head) > 8 else False


def read_onnx(file: InputFile) -> OnnxProgram:
    """The graph of an ONNX file.

    Raises:
        UsageError: the `onnx` package is not installed.
        RefusedError: damaged, over a limit, of unknown versions, or with values in files elsewhere.
    """
    where = str(file.path)
    if file.size > MAX_ONNX:
        raise RefusedError(f"{where}: has {file.size} bytes, over ONNX's limit of {MAX_ONNX}", code="over-limit")
    content = file.stream.read()
    require_bounded_structure(memoryview(content), where)
    model = _parsed(content, where)
    _require_versions(model, where)
    with DamageAsRefusal(where, "ONNX file", (ValueError, OverflowError)):
        return _program(model.graph, file.path)


def _parsed(content: bytes, where: str) -> ModelProto:
    try:
        import onnx  # noqa: PLC0415
        from google.protobuf.message import DecodeError  # noqa: PLC0415
    except ImportError as error:
        raise UsageError(
            f"{where}: reading ONNX files needs the onnx package; pip install 'certify-optimality[onnx]'",
            code="missing-extra",
        ) from error
    model = onnx.ModelProto()
    try:
        model.ParseFromString(content)
    except (DecodeError, ValueError) as error:
        raise RefusedError(f"{where}: no model format that certify knows, or truncated", code="corrupt-file") from error
    return model


def _require_versions(model: ModelProto, where: str) -> None:
    own = [entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")]
    if not model.HasField("graph") or len(own) != 1:
        raise RefusedError(f"{where}: truncated or corrupt ONNX file (no graph, or no operator set)", "corrupt-file")
    if not FIRST_OPSET <= own[0] <= LAST_OPSET:
        raise RefusedError(
            f"{where}: uses version {own[0]} of ONNX's operators; certify reads {FIRST_OPSET} to {LAST_OPSET}; export "
            "the model with one of them",
            code="unsupported-schema",
        )


def _program(graph: GraphProto, path: Path) -> OnnxProgram:
    where = str(path)
    if graph.sparse_initializer:
        raise unfit_weight("sparse or nested", "of the graph", where)
    require_bytes(sum(8 * count_of(tensor.dims) for tensor in graph.initializer), where)
    values = TensorReader(path)
    initializers: dict[str, Tensor] = {}
    for proto in graph.initializer:
        name = text_of(proto.name)
        if name in initializers:
            raise ValueError(f"two initializers are called {name!r:.60}")
        initializers[name] = values.tensor(proto)
    shapes = {text_of(entry.name): _extents(entry) for entry in graph.input}
    inputs = {name: shape for name, shape in shapes.items() if name not in initializers}
    nodes = tuple(_node(node, values) for node in graph.node)
    outputs, notes = tuple(text_of(entry.name) for entry in graph.output), tuple(values.notes.values())
    return OnnxProgram(nodes, initializers, inputs, outputs, notes, digest_complete=not notes)


def _extents(entry: Any) -> tuple[int | None, ...]:  # noqa: ANN401
    dimensions = entry.type.tensor_type.shape.dim
    return tuple(int(d.dim_value) if d.HasField("dim_value") and d.dim_value > 0 else None for d in dimensions)


def _node(node: NodeProto, values: TensorReader) -> Node:
    domain, op = text_of(node.domain), text_of(node.op_type)
    own = op if domain in ("", "ai.onnx") else f"{domain}.{op}"
    settings = {text_of(attribute.name): _setting(attribute, values) for attribute in node.attribute}
    inputs, outputs = (tuple(text_of(name) for name in names) for names in (node.input, node.output))
    return Node(f"{own:.80}", text_of(node.name), inputs, outputs, settings)


def _setting(attribute: Any, values: TensorReader) -> Setting:  # noqa: ANN401
    match attribute.type:
        case 1:
            return float(attribute.f)
        case 2:
            return int(attribute.i)
        case 3:
            return str(attribute.s, "utf-8", "replace")[:80]
        case 4:
            return values.tensor(attribute.t)
        case 6:
            return tuple(float(entry) for entry in attribute.floats)
        case 7:
            return tuple(int(entry) for entry in attribute.ints)
    return None
