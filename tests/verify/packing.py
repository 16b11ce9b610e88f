"""Certificates taken apart and put together again without the checker, so that forgeries have right digests."""

from __future__ import annotations

import hashlib
import json
import math
import struct

import numpy as np

MAGIC = b"certify certificate 2\n"
SECTIONS = ("statement", "claim", "dual", "sources")


def unpacked(data):
    """Header and arrays of a certificate."""
    start = len(MAGIC) + 8
    (length,) = struct.unpack("<Q", data[len(MAGIC) : start])
    header, body = json.loads(data[start : start + length]), data[start + length : -32]
    arrays = {}
    for entry in header["arrays"]:
        count = math.prod(entry["shape"])
        arrays[entry["name"]] = (
            np.frombuffer(body, entry["dtype"], count, entry["offset"]).reshape(entry["shape"]).copy()
        )
    return header, arrays


def packed(header, arrays=None, body=None):
    """A certificate with right digests; the table is rebuilt from `arrays` unless `body` gives raw bytes."""
    header = json.loads(json.dumps(header))
    if body is None:
        body, table = b"", []
        for name, values in arrays.items():
            table.append({"name": name, "dtype": values.dtype.str, "shape": list(values.shape), "offset": len(body)})
            body += values.tobytes()
        header["arrays"] = table
    header["sources"]["statement"] = hashlib.sha256(compact(header["statement"])).hexdigest()
    return sealed(compact(header), body)


def sealed(text, body):
    content = MAGIC + struct.pack("<Q", len(text)) + text + body
    return content + hashlib.sha256(content).digest()


def compact(value):
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def body_of(arrays):
    return b"".join(values.tobytes() for values in arrays.values())
