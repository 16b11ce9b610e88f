"""How much of an ONNX file is not plain values, told from the protobuf wire format before it is parsed.

Parsing turns two bytes of an empty message into a hundred of memory; values stay as large as they are.
"""

from __future__ import annotations

from collections.abc import Iterator

from certify.errors import RefusedError
from certify.models.readers.damage import DamageAsRefusal

# Most bytes of nodes, names and shapes that are parsed.
MAX_STRUCTURE = 4 * 2**20

_MODEL, _GRAPH, _TENSOR = "model", "graph", "tensor"
# Messages that are looked into, by the message and the number of the field that holds them.
_INNER = {(_MODEL, 7): _GRAPH, (_GRAPH, 5): _TENSOR}
# float_data, raw_data and double_data of a tensor.
_VALUES = (4, 9, 10)
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5

Field = tuple[int, int, int]


def require_bounded_structure(content: memoryview, where: str) -> None:
    """Refuse a file of more than `MAX_STRUCTURE` bytes besides values.

    Raises:
        RefusedError: over the limit, or not the wire format.
    """
    with DamageAsRefusal(where, "ONNX file", (ValueError, IndexError)):
        structure = _structure(content, _MODEL, 0, len(content))
    if structure > MAX_STRUCTURE:
        raise RefusedError(f"{where}: has over {MAX_STRUCTURE} bytes of nodes and names, the limit", code="over-limit")


def _structure(content: memoryview, kind: str, start: int, end: int) -> int:
    """Bytes of a message besides values; counting ends where there are too many."""
    structure = 0
    for number, begin, stop in _fields(content, start, end):
        inner = _INNER.get((kind, number))
        packed = kind == _TENSOR and number in _VALUES and stop - begin > 8
        structure += 2 + (_structure(content, inner, begin, stop) if inner else 0 if packed else stop - begin)
        if structure > MAX_STRUCTURE:
            break
    return structure


def _fields(content: memoryview, start: int, end: int) -> Iterator[Field]:
    """Number, and first and last position, of every field of a message."""
    while start < end:
        key, start = _varint(content, start)
        kind = key & 7
        if kind == _VARINT:
            stop = _varint(content, start)[1]
        elif kind == _BYTES:
            length, start = _varint(content, start)
            stop = start + length
        elif kind in (_FIXED64, _FIXED32):
            stop = start + (8 if kind == _FIXED64 else 4)
        else:
            raise ValueError(f"wire type {kind}")
        if stop > end:
            raise ValueError("a field reaches beyond its message")
        yield key >> 3, start, stop
        start = stop


def _varint(content: memoryview, start: int) -> tuple[int, int]:
    value = 0
    for index in range(10):
        byte = content[start + index]
        value |= (byte & 127) << (7 * index)
        if byte < 128:
            return value, start + index + 1
    raise ValueError("a number of over ten bytes")
