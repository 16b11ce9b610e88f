"""The bytes of a certificate: a header and raw arrays, and nothing that could be read in two ways.

magic (22) | header length H (8, little-endian) | header (H, canonical JSON) | arrays | SHA-256 of all before (32)
"""

from __future__ import annotations

import hashlib
import json
import math
from typing import Any

import numpy as np

from certify.verify.reals import Arrays
from certify.verify.rejection import refuse

MAGIC = b"certify certificate 2\n"
LARGEST_FILE = 4 * 2**30
LARGEST_HEADER = 2**20
# Above this, sums and products on the way to a claim could overflow.
LARGEST_MAGNITUDE = 2.0**200
ITEM_SIZES = {"<f8": 8, "|u1": 1}


def read_container(data: bytes) -> tuple[dict[str, Any], Arrays]:
    """Header and arrays of a certificate.

    Raises:
        Rejection: refused; names the rule.
    """
    if len(data) > LARGEST_FILE:
        refuse("size-limit", f"{len(data)} bytes, at most {LARGEST_FILE}")
    start = len(MAGIC) + 8
    if data[: len(MAGIC)] != MAGIC:
        refuse("magic", f"starts with {data[:22]!r}, needs {MAGIC!r}")
    if len(data) < start + 32:
        refuse("truncated", f"{len(data)} bytes")
    if hashlib.sha256(data[:-32]).digest() != data[-32:]:
        refuse("digest", "the SHA-256 at the end is not that of the content: the file is damaged")
    length = int.from_bytes(data[len(MAGIC) : start], "little")
    if length > LARGEST_HEADER or start + length + 32 > len(data):
        refuse("header-length", f"declares {length} bytes")
    header = _header(data[start : start + length])
    return header, _arrays(header.get("arrays"), data[start + length : -32])


def canonical(value: object) -> bytes:
    """Canonical JSON: sorted keys, no spaces, ASCII."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()


def _header(text: bytes) -> dict[str, Any]:
    try:
        header = json.loads(text.decode("ascii"), parse_float=_no_number, parse_constant=_no_number)
        # Duplicate keys, spaces and other spellings do not survive this.
        same = canonical(header) == text
    except (ValueError, RecursionError) as error:
        refuse("header", f"not canonical JSON: {error}")
    if not same or not isinstance(header, dict):
        refuse("header", "not a canonical JSON object")
    return header


def _no_number(text: str) -> float:
    raise ValueError(f"number {text}; numbers are written as hexadecimal strings")


def _arrays(table: object, data: bytes) -> Arrays:
    if not isinstance(table, list):
        refuse("array-table", "missing")
    arrays: dict[str, Any] = {}
    end = 0
    for entry in table:
        name, item, shape = _entry(entry)
        if name in arrays:
            refuse("array-table", f"array '{name}' is there twice")
        if entry["offset"] != end:
            refuse("array-layout", f"array '{name}' is at {entry['offset']}, needs {end}")
        begin, end = end, end + ITEM_SIZES[item] * math.prod(shape)
        if end > len(data):
            refuse("array-layout", f"array '{name}' of shape {shape} ends at {end} of {len(data)} bytes")
        # Copied, so that every array is aligned.
        arrays[name] = np.frombuffer(data[begin:end], np.dtype(item)).reshape(shape).copy()
        if item == "<f8" and not bool((np.abs(arrays[name]) <= LARGEST_MAGNITUDE).all()):
            refuse("finite", f"array '{name}' holds values that are not finite, or beyond {LARGEST_MAGNITUDE:.3g}")
    if end != len(data):
        refuse("trailing-bytes", f"{len(data) - end} bytes after the last array")
    return arrays


def _entry(entry: object) -> tuple[str, str, tuple[int, ...]]:
    if not isinstance(entry, dict) or set(entry) != {"name", "dtype", "shape", "offset"}:
        refuse("array-table", f"entry {entry!r:.80}")
    name, item, shape = entry["name"], entry["dtype"], entry["shape"]
    texts = isinstance(name, str) and isinstance(item, str)
    if not texts or item not in ITEM_SIZES or type(entry["offset"]) is not int:
        refuse("array-table", f"entry {entry!r:.80}")
    extents_fit = isinstance(shape, list) and len(shape) <= 3 and all(type(e) is int and 0 <= e < 2**31 for e in shape)
    if not extents_fit or math.prod(extent or 1 for extent in shape) > LARGEST_FILE:
        refuse("array-table", f"shape of '{name}': {shape!r:.80}")
    return name, item, tuple(shape)
