"""Tensors of ONNX files: their declared sizes compared with what is there before values are read."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

import numpy as np
import torch
from torch import Tensor

from certify.errors import RefusedError
from certify.models.readers.exact_weights import unfit_weight
from certify.models.readers.input_file import open_input, require_bytes

if TYPE_CHECKING:
    from onnx import TensorProto

_EXTERNAL = 1
# onnx.TensorProto.DataType
_TYPES = {
    **{1: torch.float32, 2: torch.uint8, 3: torch.int8, 5: torch.int16, 6: torch.int32, 7: torch.int64, 9: torch.bool},
    **{10: torch.float16, 11: torch.float64, 14: torch.complex64, 15: torch.complex128, 16: torch.bfloat16},
}
# Fields of values that are not raw bytes, by type.
_TYPED = {1: ("float_data", "<f4"), 11: ("double_data", "<f8"), 7: ("int64_data", "<i8"), 6: ("int32_data", "<i4")}
_HALVES = (10, 16)
_MAX_DIMENSIONS = 64


@final
@dataclass(frozen=True, slots=True)
class TensorReader:
    """Reads the tensors of one file.

    Attributes:
        path: the model file.
        notes: what to say of every other file that was read, by its path.
        sizes: bytes of these files.
    """

    path: Path
    notes: dict[Path, str] = field(default_factory=dict)
    sizes: dict[Path, int] = field(default_factory=dict)

    def tensor(self, proto: TensorProto) -> Tensor:
        """The values of a tensor.

        Raises:
            RefusedError: a type that is no number, over the limit, or values in a file elsewhere.
            ValueError: a shape that does not fit the values.
        """
        name, dtype = f"{text_of(proto.name):.80}", _TYPES.get(proto.data_type)
        if dtype is None:
            raise unfit_weight(f"of ONNX type {proto.data_type}", name, str(self.path))
        shape, count = tuple(int(extent) for extent in proto.dims), count_of(proto.dims)
        require_bytes(8 * count, str(self.path))
        raw = self._raw(proto)
        if len(raw) != count * dtype.itemsize:
            raise ValueError(f"a tensor has {len(raw)} bytes, its shape needs {count * dtype.itemsize}")
        return torch.frombuffer(bytearray(raw), dtype=dtype).reshape(shape) if raw else torch.empty(shape, dtype=dtype)

    def _raw(self, proto: TensorProto) -> bytes:
        """The values as bytes."""
        if proto.data_location == _EXTERNAL:
            return self._external({text_of(entry.key): text_of(entry.value) for entry in proto.external_data})
        if proto.HasField("raw_data"):
            return bytes(proto.raw_data)
        if proto.data_type in _HALVES:
            # Half-precision values are held as their bits.
            return np.asarray(proto.int32_data, "<i4").astype("<u2").tobytes()
        name, kind = _TYPED.get(proto.data_type, ("", ""))
        return np.asarray(getattr(proto, name), kind).tobytes() if name else b""

    def _external(self, entries: Mapping[str, str]) -> bytes:
        """Values in a file beside the model."""
        location = entries.get("location", "")
        target = self._inside(location)
        if target not in self.sizes:
            with open_input(target, "external data") as file:
                self.sizes[target] = file.size
                read = f"values read from '{location:.80}' (SHA-256 {file.sha256})"
                self.notes[target] = f"{read}, which the digest of the model leaves out"
        start = int(entries.get("offset") or 0)
        length = int(entries["length"]) if entries.get("length") else self.sizes[target] - start
        if start < 0 or length < 0 or start + length > self.sizes[target]:
            raise RefusedError(f"{target}: truncated: the model needs more bytes than it has", code="corrupt-file")
        with target.open("rb") as stream:
            stream.seek(start)
            return stream.read(length)

    def _inside(self, location: str) -> Path:
        """The file, which must lie inside the model's folder, links followed."""
        parts = location.replace("\\", "/").split("/")
        plain = location and location.isprintable() and not Path(location).is_absolute() and ":" not in parts[0]
        if plain and parts[0] and ".." not in parts:
            folder = Path(os.path.realpath(self.path.parent))
            target = Path(os.path.realpath(folder / location))
            if folder in target.parents:
                return target
        raise RefusedError(
            f"{self.path}: keeps values in {location!r:.80}, which is not inside the model's folder; refused",
            code="unsafe-file",
        )


def text_of(name: str | bytes) -> str:
    """A name, which protobuf gives as bytes where it is no text.

    Raises:
        ValueError: it is no text, or holds control characters.
    """
    if not isinstance(name, str) or not name.isprintable():
        raise ValueError("a name that is no plain text")
    return name


def count_of(dims: Any) -> int:  # noqa: ANN401
    """Number of values of a shape.

    Raises:
        ValueError: extents that make no sense.
    """
    if len(dims) > _MAX_DIMENSIONS or any(extent < 0 for extent in dims):
        raise ValueError("extents that are negative or too many")
    return math.prod(dims)
