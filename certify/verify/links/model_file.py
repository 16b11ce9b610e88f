"""Tensors of `.safetensors`, `.pt` and `.npz` files as exact float64, without running anything that the files hold."""

from __future__ import annotations

import csv
import io
import json
import math
import pickle
import struct
import tokenize
import zlib
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from certify.verify.links.archive import Archive
from certify.verify.links.npy_file import is_archive_of_arrays, read_arrays
from certify.verify.reals import Array
from certify.verify.rejection import refuse

# What damaged files raise.
DAMAGE = (
    *(ValueError, LookupError, TypeError, AttributeError, EOFError, OSError, ArithmeticError, MemoryError),
    *(pickle.UnpicklingError, zlib.error, struct.error, csv.Error, RuntimeError, SyntaxError),
    tokenize.TokenError,
)
# Booleans as bytes, of which some may be neither 0 nor 1.
TYPES = {
    **{"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "bf16"},
    **{"I64": "<i8", "I32": "<i4", "U8": "|u1", "BOOL": "|u1"},
}
Extents = tuple[int, ...]
STORAGES = {"DoubleStorage": "<f8", "FloatStorage": "<f4", "HalfStorage": "<f2", "BFloat16Storage": "bf16"}


def read_model(data: bytes) -> dict[str, Array]:
    """Parameters by name; of an archive of arrays, those of floating point numbers."""
    if data.startswith(b"PK"):
        archive = Archive(data)
        if is_archive_of_arrays(archive):
            return {n: exact(values) for n, values in read_arrays(archive).items() if values.dtype.kind == "f"}
        return _read_torch(archive)
    if data[8:9] != b"{":
        refuse("model-file", "neither a torch zip archive, an archive of arrays nor safetensors")
    return {name: exact(values) for name, values in read_safetensors(data).items()}


def is_npz(data: bytes) -> bool:
    """Whether a file is an archive of arrays."""
    return data.startswith(b"PK") and is_archive_of_arrays(Archive(data))


def read_safetensors(data: bytes) -> dict[str, npt.NDArray[Any]]:
    """Tensors by name; they fill the file after its header, in the order of their offsets, without gaps."""
    length = int.from_bytes(data[:8], "little")
    text = data[8 : 8 + length].decode("utf-8")
    header = json.loads(text, object_pairs_hook=_distinct, parse_float=_no_number, parse_int=_whole)
    header.pop("__metadata__", None)
    found, position = {}, 8 + length
    for name, entry in sorted(header.items(), key=lambda item: (item[1]["data_offsets"], item[0])):
        kind, shape = np.dtype(_raw(TYPES[entry["dtype"]])), tuple(entry["shape"])
        name.encode("utf-8")
        whole = entry.keys() == {"dtype", "shape", "data_offsets"} and all(type(extent) is int for extent in shape)
        size = math.prod(shape) * kind.itemsize
        if (
            not whole
            or min(shape, default=0) < 0
            or entry["data_offsets"] != [position - 8 - length, position - 8 - length + size]
        ):
            refuse("model-file", f"tensor {name!r:.60} is not where its shape and those before it say")
        found[name] = _decoded(data[position : position + size], TYPES[entry["dtype"]]).reshape(shape)
        position += size
    if position != len(data):
        refuse("model-file", "bytes after the last tensor")
    return found


def exact(values: npt.NDArray[Any]) -> Array:
    """The values as binary64; a ValueError if some are no real numbers of at most 64 bits, or would be rounded."""
    if values.dtype.kind not in "fiub" or values.dtype.itemsize > 8:
        raise ValueError(f"values of type {values.dtype}")
    # Compared as integers: rounded to binary64, 2^53 + 1 would pass.
    if values.dtype.kind in "iu" and values.size and not -(2**53) <= int(values.min()) <= int(values.max()) <= 2**53:
        raise ValueError("integers that are not exact in binary64")
    wide: Array = values.astype(np.float64)
    return wide


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(dict(pairs)) != len(pairs):
        refuse("model-file", "a key of the header is there twice")
    return dict(pairs)


def _no_number(spelled: str) -> float:
    refuse("model-file", f"the number {spelled:.60} in the header")


def _whole(spelled: str) -> int:
    return int(spelled) if spelled != "-0" else int(_no_number(spelled))


def _decoded(raw: bytes, item: str) -> npt.NDArray[Any]:
    values = np.frombuffer(raw, _raw(item))
    # A bfloat16 is the upper half of a float32.
    return (values.astype(np.uint32) << 16).view(np.float32) if item == "bf16" else values


def _raw(item: str) -> str:
    return "<u2" if item == "bf16" else item


class _Storage(NamedTuple):
    item: str
    key: str


class _Names(dict[Any, Any]):
    """An OrderedDict to the reader: a dict that may carry attributes."""


class _Reader(pickle.Unpickler):
    """Knows the few names that a state dict needs; everything else is refused."""

    def __init__(self, stream: io.BytesIO, archive: Archive, folder: str) -> None:
        super().__init__(stream)
        self._archive, self._folder = archive, folder
        self._items: dict[str, str] = {}

    def find_class(self, module: str, name: str) -> Any:  # noqa: ANN401
        # Functions made anew: a pickle may set attributes on whatever it names, and classes outlive it.
        if (module, name) == ("collections", "OrderedDict"):
            return lambda *entries: _Names(*entries)
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return self._tensor
        if (module, name) == ("torch._utils", "_rebuild_parameter"):
            return lambda tensor, *_: tensor
        if module == "torch" and name in STORAGES:
            return STORAGES[name]
        return refuse("model-file", f"needs {module}.{name}, which a state dict does not")

    def persistent_load(self, pid: Any) -> _Storage:  # noqa: ANN401
        kind, item, key, *_ = pid
        if kind != "storage" or item not in STORAGES.values():
            refuse("model-file", f"persistent id {pid!r:.60}")
        # torch reads a storage once, with the type that it meets first.
        if self._items.setdefault(str(key), item) != item:
            refuse("model-file", f"storage {key!r:.20} is of two types")
        return _Storage(item, str(key))

    def _tensor(self, storage: _Storage, offset: int, size: Extents, stride: Extents, *options: object) -> Array:
        # Whether a gradient is taken, and hooks, do not matter.
        if len(options) > 3 or any(options[2:]):
            refuse("model-file", f"a tensor with metadata {options[2:]!r:.60}, such as a negated view")
        flat = _decoded(self._archive.read(f"{self._folder}data/{storage.key}"), storage.item)
        if math.prod(size) > flat.size:
            refuse("model-file", "a tensor is larger than its storage")
        if 0 in size:
            return np.zeros(size)
        steps = zip(np.indices(size, sparse=True), stride, strict=True)
        places = sum((index * int(step) for index, step in steps), np.full(size, int(offset)))
        if places.size and (int(places.min()) < 0 or int(places.max()) >= flat.size):
            refuse("model-file", "a tensor reaches beyond its storage")
        # Without axes, NumPy picks a number and no array.
        return exact(np.asarray(flat[places]))


def _read_torch(archive: Archive) -> dict[str, Array]:
    # torch takes the folder of the first member for that of all, and looks names up without regard to case.
    if len({name.lower() for name in archive.names}) < len(archive.names):
        refuse("model-file", "two members of the archive have names that differ in case only")
    folder = archive.names[0].partition("/")[0] + "/"
    if f"{folder}data.pkl" not in archive.names or not all(name.startswith(folder) for name in archive.names):
        refuse("model-file", "not a torch zip archive")
    order = f"{folder}byteorder"
    if order in archive.names and archive.read(order) != b"little":
        refuse("model-file", "written by a big-endian machine")
    found = _Reader(io.BytesIO(archive.read(f"{folder}data.pkl")), archive, folder).load()
    tensors: dict[str, Array] = dict(dict.items(found)) if isinstance(found, dict) else {}
    if not isinstance(found, dict) or not all(isinstance(values, np.ndarray) for values in tensors.values()):
        refuse("model-file", "not tensors by name")
    return tensors
