"""Data in files of arrays: `.npz`, `.npy` and safetensors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, final

from torch import Tensor

from certify.errors import UsageError
from certify.models.data.data_reader import ROLES, DataReader, array_names
from certify.models.readers.array_file import Array, missing_name, npz_shapes, read_npy, read_npz
from certify.models.readers.coordinate_matrix import KEYS, completion_arrays
from certify.models.readers.input_file import InputFile
from certify.models.readers.safetensors_file import looks_like_safetensors, read_safetensors
from certify.models.spec.problem_file import DataSpec


@final
class NpzReader(DataReader):
    """NumPy arrays by name, or a matrix to complete."""

    def sniff(self, file: InputFile) -> bool:
        return file.head.startswith(b"PK")

    def shapes(self, file: InputFile) -> dict[str, tuple[int, ...]]:
        return npz_shapes(file)

    def read(self, file: InputFile, spec: DataSpec) -> Mapping[str, Array]:
        names = array_names(spec, file.path)
        if _is_completion(file, spec):
            return completion_arrays(dict(zip(KEYS, read_npz(file, KEYS), strict=True)), str(file.path))
        return dict(zip(names, read_npz(file, list(names.values())), strict=True))


@final
class NpyReader(DataReader):
    """One NumPy array, which is a data set only together with another file; see `load_arrays`."""

    def sniff(self, file: InputFile) -> bool:
        return file.head.startswith(b"\x93NUMPY")

    def shapes(self, file: InputFile) -> dict[str, tuple[int, ...]]:
        return {str(file.path): tuple(read_npy(file).shape)}

    def read(self, file: InputFile, spec: DataSpec) -> Mapping[str, Any]:
        raise UsageError(
            f"{file.path}: one .npy file holds one array; give the pair as data.inputs and data.targets, without path",
            code="missing-array",
        )


@final
class SafetensorsDataReader(DataReader):
    """Tensors by name."""

    def sniff(self, file: InputFile) -> bool:
        return looks_like_safetensors(file)

    def shapes(self, file: InputFile) -> dict[str, tuple[int, ...]]:
        return {name: tuple(tensor.shape) for name, tensor in read_safetensors(file).items()}

    def read(self, file: InputFile, spec: DataSpec) -> Mapping[str, Tensor]:
        names, tensors = array_names(spec, file.path), read_safetensors(file)
        for name in names.values():
            if name not in tensors:
                raise missing_name(file.path, name, list(tensors))
        return {role: tensors[name] for role, name in names.items()}


def _is_completion(file: InputFile, spec: DataSpec) -> bool:
    """Whether the file holds a matrix to complete and nothing else is asked of it."""
    named = any(getattr(spec, role) is not None for role in ROLES)
    return not named and set(KEYS) <= set(npz_shapes(file))
