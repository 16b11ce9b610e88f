"""Tensors in torch's pickles: where the values lie, judged before any are read, and then the values."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from certify.errors import RefusedError
from certify.models.readers.exact_weights import unfit_weight
from certify.models.readers.input_file import require_bytes
from certify.models.readers.torch_files.pickle_values import Call, Global, Persistent

_STORED = {
    **{"Double": torch.float64, "Float": torch.float32, "Half": torch.float16, "BFloat16": torch.bfloat16},
    **{"Long": torch.int64, "Int": torch.int32, "Short": torch.int16, "Char": torch.int8, "Byte": torch.uint8},
    **{"Bool": torch.bool, "ComplexFloat": torch.complex64, "ComplexDouble": torch.complex128},
}
STORAGES: dict[str, torch.dtype] = {f"torch.{name}Storage": dtype for name, dtype in _STORED.items()}
_REBUILD = "torch._utils._rebuild_"
_PLAIN = (f"{_REBUILD}tensor", f"{_REBUILD}tensor_v2")
_WRAPPED = (f"{_REBUILD}parameter", f"{_REBUILD}parameter_with_state")
_ATTRIBUTED = "torch._tensor._rebuild_from_type_v2"
_ORDINARY_TYPES = ("torch.Tensor", "torch.nn.parameter.Parameter", "torch.nn.parameter.Buffer")
_OTHERS = {
    f"{_REBUILD}sparse_tensor": "sparse",
    f"{_REBUILD}sparse_csr_tensor": "sparse",
    f"{_REBUILD}nested_tensor": "sparse or nested",
    f"{_REBUILD}qtensor": "quantized",
    f"{_REBUILD}meta_tensor_no_storage": "a meta tensor without values",
    f"{_REBUILD}wrapper_subclass": "of a tensor subclass",
    f"{_REBUILD}device_tensor_from_numpy": "of another device",
    f"{_REBUILD}device_tensor_from_cpu_tensor": "of another device",
}
# Everything that a pickle calls to make a tensor; none of it is called here.
TENSOR_CALLS = frozenset(
    (*_PLAIN, *_WRAPPED, *_OTHERS, _ATTRIBUTED, f"{_REBUILD}tensor_v3", "torch.serialization._get_layout")
)
# The most dimensions that torch has.
MAX_DIMENSIONS = 64


@final
@dataclass(frozen=True, slots=True)
class StoredTensor:
    """A tensor that has not been read.

    Attributes:
        storage: key of the storage that holds its values.
        dtype: their type.
        offset: of its first value in the storage, in values.
        size: extents.
        stride: steps in the storage, in values.
    """

    storage: str
    dtype: torch.dtype
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]

    @property
    def end(self) -> int:
        """One past the last value that it reaches, 0 where it has none."""
        if 0 in self.size:
            return 0
        return self.offset + sum((n - 1) * step for n, step in zip(self.size, self.stride, strict=True)) + 1


class Storages(ABC):
    """The values that a file holds, by the key of their storage."""

    @abstractmethod
    def size(self, key: str) -> int:
        """Bytes of a storage."""

    @abstractmethod
    def read(self, key: str) -> bytes:
        """Its bytes."""


def is_tensor(value: object) -> bool:
    """Whether a value of a pickle stands for a tensor."""
    return isinstance(value, Call) and isinstance(value.callee, Global) and value.callee.path in TENSOR_CALLS


def stored_tensor(value: object, name: str, where: str) -> StoredTensor:
    """Where the values of a tensor lie.

    Args:
        value: what the pickle holds; see `is_tensor`.
        name: of the tensor, for messages.
        where: the file, for messages.

    Raises:
        RefusedError: a kind of tensor that is no weight, or arguments that make no sense.
    """
    at = f"{where}: parameter '{name}'"
    # A parameter around a tensor around an attribute holder: no file nests deeper.
    for _ in range(4):
        if not isinstance(value, Call) or not isinstance(value.callee, Global):
            break
        path, arguments = value.callee.path, value.arguments
        if path in _OTHERS:
            raise unfit_weight(_OTHERS[path], name, where)
        if path in _WRAPPED and arguments:
            value = arguments[0]
        elif path == _ATTRIBUTED and len(arguments) == 4:
            value = _without_attributes(arguments, name, where)
        elif path in _PLAIN and len(arguments) >= 4:
            return _placed(arguments, at)
        elif path == f"{_REBUILD}tensor_v3" and len(arguments) >= 7:
            dtype = arguments[6].path.removeprefix("torch.") if isinstance(arguments[6], Global) else "unknown"
            raise unfit_weight(f"{dtype:.40}", name, where)
        else:
            break
    raise _nonsense(at)


def tensor_shapes(tensors: Mapping[str, StoredTensor], storages: Storages, where: str) -> dict[str, Tensor]:
    """The tensors on the meta device: shapes and types, and no value read; errors as `read_tensors`."""
    _require_stored(tensors, storages, where)
    return {name: torch.empty(tensor.size, dtype=tensor.dtype, device="meta") for name, tensor in tensors.items()}


def read_tensors(tensors: Mapping[str, StoredTensor], storages: Storages, where: str) -> dict[str, Tensor]:
    """The tensors, as views of one buffer per storage.

    Raises:
        RefusedError: a tensor that reaches beyond its storage, or over the memory limit.
    """
    _require_stored(tensors, storages, where)
    keys = dict.fromkeys(tensor.storage for tensor in tensors.values())
    buffers = {key: bytearray(storages.read(key)) for key in keys}
    return {name: _view(tensor, buffers[tensor.storage]) for name, tensor in tensors.items()}


def _require_stored(tensors: Mapping[str, StoredTensor], storages: Storages, where: str) -> None:
    require_bytes(sum(8 * math.prod(tensor.size) for tensor in tensors.values()), where)
    for name, tensor in tensors.items():
        held = storages.size(tensor.storage)
        if tensor.end * tensor.dtype.itemsize > held:
            raise RefusedError(
                f"{where}: truncated or corrupt: parameter '{name}' reaches beyond the {held} bytes of its storage",
                code="corrupt-file",
            )


def _view(tensor: StoredTensor, buffer: bytearray) -> Tensor:
    count = len(buffer) // tensor.dtype.itemsize
    if count == 0:
        return torch.empty(tensor.size, dtype=tensor.dtype)
    flat = torch.frombuffer(buffer, dtype=tensor.dtype, count=count)
    return flat.as_strided(tensor.size, tensor.stride, tensor.offset if tensor.end else 0)


def _without_attributes(arguments: tuple[object, ...], name: str, where: str) -> Call:
    function, kind, inner, _ = arguments
    if not isinstance(kind, Global) or kind.path not in _ORDINARY_TYPES:
        raise unfit_weight("of a tensor subclass", name, where)
    if not isinstance(inner, tuple):
        raise _nonsense(f"{where}: parameter '{name}'")
    return Call(function, inner)


def _placed(arguments: tuple[object, ...], at: str) -> StoredTensor:
    match arguments[:4]:
        case (
            Persistent(key=("storage", Global(path=path), str(key), _, _, *view)),
            int(offset),
            tuple(size),
            tuple(stride),
        ) if path in STORAGES and len(size) == len(stride) <= MAX_DIMENSIONS and not any((*view, *arguments[6:])):
            if all(type(value) is int and 0 <= value < 2**63 for value in (offset, *size, *stride)):
                return StoredTensor(key, STORAGES[path], offset, size, stride)
    raise _nonsense(at)


def _nonsense(at: str) -> RefusedError:
    return RefusedError(f"{at} is not stored as torch stores tensors; truncated or corrupt", code="corrupt-file")
