"""Section 1: bytes of a file to its header and arrays."""

from __future__ import annotations

import hashlib
import json
import math
from typing import Any

import numpy as np

from .rejection import Rejected, require

MAGIC = b"certify certificate 2\n"
DIGEST_BYTES = 32
MAGNITUDE = 2.0**200
DTYPES: dict[str, np.dtype[Any]] = {"<f8": np.dtype("<f8"), "|u1": np.dtype("u1")}

Arrays = dict[str, np.ndarray[Any, Any]]


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
    """The one spelling of a JSON value."""
    return json.dumps(value, ensure_ascii=True, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def refuse(text: str) -> object:
    """Numbers that are no integers."""
    raise ValueError(text)


def parse(data: bytes) -> dict[str, Any]:
    """The header, rule 4; two equal keys do not survive writing it again."""
    try:
        header = json.loads(data.decode("ascii"), parse_float=refuse, parse_constant=refuse)
        same = canonical(header) == data
    except (ValueError, RecursionError):
        raise Rejected("header") from None
    require(same and isinstance(header, dict), "header")
    return header  # type: ignore[no-any-return]


def is_integer(value: object, low: int = -(2**31) + 1) -> bool:
    """A JSON integer below 2³¹."""
    return type(value) is int and low <= value < 2**31


def read_arrays(table: object, data: bytes) -> Arrays:
    """Rules 5 to 7."""
    require(isinstance(table, list), "array-table")
    arrays: Arrays = {}
    end = 0
    for entry in table:  # type: ignore[attr-defined]
        require(isinstance(entry, dict) and set(entry) == {"name", "dtype", "shape", "offset"}, "array-table")
        name, dtype, shape = entry["name"], entry["dtype"], entry["shape"]
        require(isinstance(name, str) and name not in arrays, "array-table")
        require(isinstance(dtype, str) and dtype in DTYPES, "array-table")
        require(isinstance(shape, list) and len(shape) <= 3, "array-table")
        require(all(is_integer(extent, 0) for extent in shape), "array-table")
        require(type(entry["offset"]) is int, "array-table")
        require(entry["offset"] == end, "array-layout")
        begin, end = end, end + math.prod(shape) * DTYPES[dtype].itemsize
        require(end <= len(data), "array-layout")
        arrays[name] = np.frombuffer(data[begin:end], DTYPES[dtype]).reshape(shape)
        require(dtype != "<f8" or np.all(np.abs(arrays[name]) <= MAGNITUDE), "finite")
    require(end == len(data), "trailing-bytes")
    return arrays
