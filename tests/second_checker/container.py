"""Section 1 and rule 10: bytes of a file to its header and arrays."""

import hashlib
import json
import math
from typing import Any, NamedTuple

import numpy as np

from .rejection import Rejected, require

MAGIC = b"certify certificate 2\n"
DIGEST_BYTES = 32
MAGNITUDE = 2.0**200

Floats = np.ndarray[Any, Any]
Arrays = dict[str, Floats]


def read(content: bytes) -> tuple[dict[str, Any], Arrays]:
    """Rules 1 to 7, and the size of the file in 8."""
    require(content[: len(MAGIC)] == MAGIC, "magic")
    require(len(content) <= 2**32, "size-limit")
    start = len(MAGIC) + 8
    require(len(content) >= start + DIGEST_BYTES, "truncated")
    body = content[:-DIGEST_BYTES]
    require(hashlib.sha256(body).digest() == content[-DIGEST_BYTES:], "digest")
    length = int.from_bytes(body[len(MAGIC) : start], "little")
    require(length <= 2**20 and start + length <= len(body), "header-length")
    header = parse(body[start : start + length])
    return header, read_arrays(header.get("arrays"), body[start + length :])


def canonical(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=True, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def parse(data: bytes) -> dict[str, Any]:
    """The header, rule 4; two equal keys do not survive writing it again."""
    try:
        header = json.loads(data.decode("ascii"), parse_float=Rejected, parse_constant=Rejected)
        require(isinstance(header, dict) and canonical(header) == data, "header")
    except (ValueError, TypeError, RecursionError):
        raise Rejected("header") from None
    return dict(header)


def is_integer(value: object, low: int = -(2**31) + 1) -> bool:
    return type(value) is int and low <= value < 2**31


def read_arrays(table: object, data: bytes) -> Arrays:
    """Rules 5 to 7."""
    require(isinstance(table, list), "array-table")
    end, arrays = 0, Arrays()
    for entry in table if isinstance(table, list) else []:
        require(isinstance(entry, dict) and sorted(entry) == ["dtype", "name", "offset", "shape"], "array-table")
        name, dtype, shape = entry["name"], entry["dtype"], entry["shape"]
        require(isinstance(name, str) and name not in arrays and dtype in ("<f8", "|u1"), "array-table")
        require(isinstance(shape, list) and len(shape) <= 3, "array-table")
        require(all(is_integer(extent, 0) for extent in shape) and type(entry["offset"]) is int, "array-table")
        require(math.prod(extent or 1 for extent in shape) <= 2**32, "array-table")
        begin, end = end, end + math.prod(shape) * np.dtype(dtype).itemsize
        require(entry["offset"] == begin and end <= len(data), "array-layout")
        arrays[name] = np.frombuffer(data[begin:end], dtype).reshape(shape)
        require(dtype != "<f8" or np.all(np.abs(arrays[name]) <= MAGNITUDE), "finite")
    require(end == len(data), "trailing-bytes")
    return arrays


class Shapes(NamedTuple):
    """Rule 10: takes the arrays one by one."""

    left: list[tuple[str, Floats]]

    def take(self, name: str, *shape: int | None, dtype: str = "<f8") -> Floats:
        require(self.left, "shape")
        found, values = self.left.pop(0)
        require(found == name and values.dtype == np.dtype(dtype) and values.ndim == len(shape), "shape")
        require(all(asked in (None, extent) for asked, extent in zip(shape, values.shape, strict=True)), "shape")
        return values
