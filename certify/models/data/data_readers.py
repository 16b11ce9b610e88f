"""The data formats that certify reads: how each is told, what a file holds, and which of it is asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

from torch import Tensor

from certify.errors import UsageError
from certify.models.data.entry_arrays import TRIPLETS, coordinate_entries, named_entries
from certify.models.readers.array_file import Array, npz_shapes, read_npy, read_npz, require_names
from certify.models.readers.coordinate_matrix import KEYS, completion_arrays
from certify.models.readers.csv_table import Table, read_csv
from certify.models.readers.input_file import InputFile
from certify.models.readers.parquet_table import MAGIC, ParquetTable, read_parquet
from certify.models.readers.safetensors_file import looks_like_safetensors, read_safetensors
from certify.models.spec.problem_sections import DataSpec

ROLES = ("inputs", "targets", "sample_weights", "mask")

Shapes = dict[str, tuple[int, ...]]


@final
@dataclass(frozen=True, slots=True)
class DataReader:
    """One data format; it joins by a line in `DATA_READERS`.

    Attributes:
        sniff: whether the content is of this format; text is told by its suffix.
        entries: gives the places (N, K) of entries as inputs, their values as targets and their weights, for a matrix
            or tensor of a shape; errors as of `read`.
        shapes: gives the shape of every array by name, empty for a column of a table; RefusedError where corrupt.
        read: gives arrays by role, None for a role that nothing has; UsageError for a name that the file does not
            hold, or roles that the format cannot serve, and RefusedError for what is corrupt, unsafe, not real
            numbers, or over a limit.
        table: gives the inputs alone, `X` or all columns where they are not named.
    """

    sniff: Callable[[InputFile], bool]
    shapes: Callable[[InputFile], Shapes]
    read: Callable[[InputFile, DataSpec], Mapping[str, Any]]
    entries: Callable[[InputFile, DataSpec, tuple[int, ...]], Mapping[str, Any]]
    table: Callable[[InputFile, DataSpec], Any]


def read_one_array(file: InputFile) -> Array:
    """The array of a `.npy` file.

    Raises:
        RefusedError: corrupt, unsafe, not real numbers, or over a limit.
    """
    return read_npy(file.stream, file.size, str(file.path))


def _npz(file: InputFile, spec: DataSpec) -> Mapping[str, Array]:
    """Arrays by name, or a matrix to complete where the file holds one and nothing else is asked of it."""
    asked = any(getattr(spec, role) is not None for role in ROLES)
    if not asked and set(KEYS) <= set(npz_shapes(file)):
        return completion_arrays(dict(zip(KEYS, read_npz(file, KEYS), strict=True)), str(file.path))
    names = _array_names(file, spec)
    return dict(zip(names, read_npz(file, list(names.values())), strict=True))


def _npy(file: InputFile, _: DataSpec) -> Mapping[str, Array]:
    raise UsageError(
        f"{file.path}: one .npy file holds one array; give the pair as data.inputs and data.targets, without path",
        code="missing-array",
    )


def _safetensors(file: InputFile, spec: DataSpec) -> Mapping[str, Tensor]:
    names, tensors = _array_names(file, spec), read_safetensors(file)
    require_names(names.values(), tensors, file.path)
    return {role: tensors[name] for role, name in names.items()}


def _array_names(file: InputFile, spec: DataSpec) -> dict[str, str]:
    """Name of the array of every role, for formats of named arrays."""
    names = {"inputs": spec.inputs or "X", "targets": spec.targets or "y"}
    names |= {role: getattr(spec, role) for role in ROLES[2:] if getattr(spec, role) is not None}
    for role, name in names.items():
        if not isinstance(name, str):
            raise UsageError(
                f"{file.path}: data.{role}: a list of columns is for .csv and .parquet; name one array", code="usage"
            )
    return names


def _csv(file: InputFile, spec: DataSpec) -> Mapping[str, Any]:
    return _from_table(read_csv(file), file, spec)


def _from_table(table: Table | ParquetTable, file: InputFile, spec: DataSpec) -> Mapping[str, Any]:
    if spec.mask is not None:
        raise UsageError(f"{file.path}: data.mask: a table of columns holds no mask; use .npz", code="mask")
    targets = [spec.targets or "y"] if isinstance(spec.targets, str | None) else list(spec.targets)
    weights = [spec.sample_weights] if spec.sample_weights else []
    taken = {*targets, *weights}
    others = [name for name in table.names if name not in taken]
    inputs = [spec.inputs] if isinstance(spec.inputs, str) else list(spec.inputs or others)
    shared = sorted(set(inputs) & set(targets))
    if shared:
        raise UsageError(f"{file.path}: column '{shared[0]}' is both an input and a target", code="usage")
    columns = table.columns(targets, file.path)
    return {
        "inputs": table.columns(inputs, file.path),
        "targets": columns[:, 0] if len(targets) == 1 else columns,
        "sample_weights": table.columns(weights, file.path)[:, 0] if weights else None,
    }


def _npy_table(file: InputFile, _: DataSpec) -> Array:
    return read_one_array(file)


def _npz_table(file: InputFile, spec: DataSpec) -> Array:
    return read_npz(file, [str(spec.inputs or "X")])[0]


def _safetensors_table(file: InputFile, spec: DataSpec) -> Array:
    name, tensors = str(spec.inputs or "X"), read_safetensors(file)
    require_names([name], tensors, file.path)
    return tensors[name].double().numpy()


def _csv_table(file: InputFile, spec: DataSpec) -> Array:
    return _inputs_of(read_csv(file), file, spec)


def _inputs_of(table: Table | ParquetTable, file: InputFile, spec: DataSpec) -> Array:
    names = [spec.inputs] if isinstance(spec.inputs, str) else spec.inputs or table.names
    return table.columns(names, file.path)


def _npy_shapes(file: InputFile) -> Shapes:
    return {str(file.path): read_one_array(file).shape}


def _safetensors_shapes(file: InputFile) -> Shapes:
    return {name: tuple(tensor.shape) for name, tensor in read_safetensors(file).items()}


def _npz_entries(file: InputFile, spec: DataSpec, shape: tuple[int, ...]) -> Mapping[str, Any]:
    """A matrix in coordinates, triplets by name, or a full matrix or tensor of targets."""
    there = npz_shapes(file)
    if spec.inputs is None and spec.targets is None and set(KEYS) <= set(there):
        weights = spec.sample_weights or ("weights" if "weights" in there else None)
        names = KEYS if weights is None else (*KEYS, weights)
        found = dict(zip(names, read_npz(file, names), strict=True))
        return coordinate_entries(found, shape, str(file.path), weights)
    placed = _with_places(spec, shape, there)
    return named_entries(placed, shape, str(file.path), lambda names: read_npz(file, names))


def _safetensors_entries(file: InputFile, spec: DataSpec, shape: tuple[int, ...]) -> Mapping[str, Any]:
    tensors = read_safetensors(file)

    def chosen(names: Sequence[str]) -> list[Array]:
        require_names(names, tensors, file.path)
        wide = (t.double() if t.is_floating_point() else t for t in (tensors[name] for name in names))
        return [tensor.numpy() for tensor in wide]

    there = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    return named_entries(_with_places(spec, shape, there), shape, str(file.path), chosen)


def _with_places(spec: DataSpec, shape: tuple[int, ...], there: Shapes) -> DataSpec:
    """With the usual name of inputs where targets are not all entries, and there are places of that name."""
    targets = there.get(str(spec.targets or "y"), shape)
    usual = spec.inputs is None and targets != shape and "X" in there
    return spec.model_copy(update={"inputs": "X"}) if usual else spec


def _csv_entries(file: InputFile, spec: DataSpec, shape: tuple[int, ...]) -> Mapping[str, Any]:  # noqa: ARG001
    return _triplets(read_csv(file), file, spec)


def _triplets(table: Table | ParquetTable, file: InputFile, spec: DataSpec) -> Mapping[str, Any]:
    """Places, values and weights in columns."""
    if spec.inputs is not None:
        return _from_table(table, file, spec)
    names = table.names
    known = next((triple for triple in TRIPLETS if set(triple) <= set(names)), None)
    if known is None:
        raise UsageError(
            f"{file.path}: columns {', '.join(names)}; say which hold the places and the values with "
            "data.inputs: [user, item] and data.targets: rating",
            code="missing-array",
        )
    return _from_table(table, file, spec.model_copy(update={"inputs": known[:2], "targets": spec.targets or known[2]}))


def _parquet(file: InputFile, spec: DataSpec) -> Mapping[str, Any]:
    return _from_table(read_parquet(file), file, spec)


def _parquet_entries(file: InputFile, spec: DataSpec, shape: tuple[int, ...]) -> Mapping[str, Any]:  # noqa: ARG001
    return _triplets(read_parquet(file), file, spec)


def _no_entries(file: InputFile, _: DataSpec, __: tuple[int, ...]) -> Mapping[str, Any]:
    raise UsageError(
        f"{file.path}: entries of a matrix are read from .npz, .safetensors, .csv or .parquet", code="usage"
    )


def _csv_shapes(file: InputFile) -> Shapes:
    return dict.fromkeys(read_csv(file).names, ())


# One array, which is a data set only together with another file.
NPY = DataReader(
    lambda file: file.head.startswith(b"\x93NUMPY"),
    _npy_shapes,
    _npy,
    _no_entries,
    lambda file, _: read_one_array(file),
)
# In the order tried: the first that takes a file reads it. A new format joins by a line here.
DATA_READERS = (
    DataReader(lambda file: file.head.startswith(b"PK"), npz_shapes, _npz, _npz_entries, _npz_table),
    NPY,
    DataReader(looks_like_safetensors, _safetensors_shapes, _safetensors, _safetensors_entries, _safetensors_table),
    DataReader(
        lambda file: file.head.startswith(MAGIC),
        lambda file: dict.fromkeys(read_parquet(file).names, ()),
        _parquet,
        _parquet_entries,
        lambda file, spec: _inputs_of(read_parquet(file), file, spec),
    ),
    DataReader(lambda file: file.path.suffix.lower() in (".csv", ".txt"), _csv_shapes, _csv, _csv_entries, _csv_table),
)
