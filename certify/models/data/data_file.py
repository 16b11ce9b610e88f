"""Data files: which arrays or columns of a file are the inputs, targets, sample weights and mask."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from certify.errors import RefusedError, UsageError
from certify.models.data.arrays import Arrays, arrays_from
from certify.models.data.data_readers import DATA_READERS, NPY, ROLES, DataReader, read_one_array
from certify.models.readers.array_file import Array, exact_float64, read_npz
from certify.models.readers.coordinate_matrix import KEYS
from certify.models.readers.input_file import InputFile, open_input
from certify.models.spec.problem_sections import DataSpec


def load_arrays(spec: DataSpec, shape: tuple[int, ...] | None = None) -> Arrays:
    """Read the data of a problem file; the format is told by content.

    Args:
        spec: names file and arrays.
        shape: of the matrix or tensor whose entries the samples are, for a factorization; None for any other model.

    Raises:
        UsageError: a missing file or array, or shapes that do not fit together.
        RefusedError: corrupt, unsafe, non-finite, not real numbers, or over a limit.
    """
    if spec.path is None:
        return _load_pair(spec)
    with open_input(spec.path, "data file") as file:
        reader = data_reader_of(file)
        found = reader.read(file, spec) if shape is None else reader.entries(file, spec, shape)
        digest = file.sha256
    return arrays_from(found, digest, spec.path)


def load_table(spec: DataSpec) -> tuple[Array, str]:
    """One table (n, d) of a data file, that of the inputs, and the digest of the file; errors as of `load_arrays`."""
    if spec.path is None:
        raise UsageError("data: a table is one file; give path", code="usage")
    with open_input(spec.path, "data file") as file:
        found = data_reader_of(file).table(file, spec)
        values = exact_float64(np.asarray(found), f"{spec.path}: the table")
        if values.ndim != 2 or not bool(np.isfinite(values).all()):
            raise UsageError(f"{spec.path}: needs a table (n, d) of finite numbers, found {values.shape}", "usage")
        return values, file.sha256


def entry_extents(spec: DataSpec) -> tuple[int, ...]:
    """Extents of the matrix or tensor that the data of a factorization are entries of; errors as of `load_arrays`.

    Where data are places and values, the largest place along each axis tells.
    """
    if spec.path is None:
        raise UsageError("data: a .npy pair does not tell the extents of a factorization; save .npz", code="usage")
    with open_input(spec.path, "data file") as file:
        reader = data_reader_of(file)
        there = reader.shapes(file)
        if spec.inputs is None and spec.targets is None and set(KEYS) <= set(there):
            return tuple(read_npz(file, ["shape"])[0].tolist())
    whole = there.get(str(spec.targets or "y"), ())
    if spec.inputs is None and len(whole) > 1 and whole[1:] != (1,):
        return whole
    places = load_arrays(spec, ()).inputs
    return tuple(int(largest) + 1 for largest in places.max(0).values)


def data_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Shape of every array of a data file by name; the columns of a `.csv` have an empty shape.

    Raises:
        UsageError: missing or unreadable.
        RefusedError: corrupt.
    """
    with open_input(path, "data file") as file:
        return data_reader_of(file).shapes(file)


def data_reader_of(file: InputFile) -> DataReader:
    """The reader of the file's format.

    Raises:
        RefusedError: no known format.
    """
    found = next((reader for reader in DATA_READERS if reader.sniff(file)), None)
    if found is None:
        raise RefusedError(
            f"{file.path}: not a data file that certify reads (.npz, .npy, .safetensors, .csv, .parquet), or truncated",
            code="corrupt-file",
        )
    return found


def _load_pair(spec: DataSpec) -> Arrays:
    found, digests = {}, []
    for role in ROLES:
        name = getattr(spec, role)
        if name is None:
            continue
        with open_input(Path(name), f"data file of the {role}") as file:
            if data_reader_of(file) is not NPY:
                raise UsageError(f"{name}: not a .npy file; data.{role} needs one", code="usage")
            found[role] = read_one_array(file)
            digests.append(file.sha256 + "\n")
    return arrays_from(found, hashlib.sha256("".join(digests).encode()).hexdigest(), Path(spec.inputs))
