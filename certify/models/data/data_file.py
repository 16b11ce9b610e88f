"""Data files: which arrays or columns of a file are the inputs, targets, sample weights and mask."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from certify.errors import RefusedError, UnsupportedError, UsageError
from certify.models.data.arrays import Arrays, arrays_from
from certify.models.readers.array_file import missing_name, npz_shapes, read_npy, read_npz
from certify.models.readers.coordinate_matrix import KEYS, completion_arrays
from certify.models.readers.csv_table import csv_names, read_csv
from certify.models.readers.input_file import InputFile, open_input
from certify.models.readers.safetensors_file import looks_like_safetensors, read_safetensors
from certify.models.spec.problem_file import DataSpec

_ROLES = ("inputs", "targets", "sample_weights", "mask")


def load_arrays(spec: DataSpec) -> Arrays:
    """Read the data of a problem file; the format is told by content.

    Raises:
        UsageError: a missing file or array, or shapes that do not fit together.
        RefusedError: corrupt, unsafe, non-finite, not real numbers, or over a limit.
    """
    if spec.path is None:
        return _load_pair(spec)
    with open_input(spec.path, "data file") as file:
        found = _read(file, spec)
        digest = file.sha256
    return arrays_from(found, digest, spec.path)


def data_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Shape of every array of a data file by name; the columns of a `.csv` have an empty shape.

    Raises:
        UsageError: missing or unreadable.
        RefusedError: corrupt.
    """
    with open_input(path, "data file") as file:
        match _format(file):
            case "npz":
                return npz_shapes(file)
            case "safetensors":
                return {name: tuple(tensor.shape) for name, tensor in read_safetensors(file).items()}
            case "csv":
                return dict.fromkeys(csv_names(file), ())
            case _:
                return {str(path): tuple(read_npy(file).shape)}


def _format(file: InputFile) -> str:
    if file.head.startswith(b"PK"):
        return "npz"
    if file.head.startswith(b"\x93NUMPY"):
        return "npy"
    if looks_like_safetensors(file):
        return "safetensors"
    if file.head.startswith(b"PAR1"):
        raise UnsupportedError(f"{file.path}: Parquet is not read yet; save .npz or .csv", code="unsupported-format")
    if file.path.suffix.lower() in (".csv", ".txt"):
        return "csv"
    raise RefusedError(
        f"{file.path}: not a data file that certify reads (.npz, .npy, .safetensors, .csv), or truncated",
        code="corrupt-file",
    )


def _read(file: InputFile, spec: DataSpec) -> dict[str, Any]:
    source = _format(file)
    if source == "csv":
        return _from_csv(file, spec)
    if source == "npy":
        raise UsageError(
            f"{file.path}: one .npy file holds one array; give the pair as data.inputs and data.targets, without path",
            code="missing-array",
        )
    names = _names(file, spec)
    if source == "npz" and _is_completion(file, spec):
        entries = dict(zip(KEYS, read_npz(file, KEYS), strict=True))
        return completion_arrays(entries, str(file.path))
    if source == "npz":
        return dict(zip(names, read_npz(file, list(names.values())), strict=True))
    tensors = read_safetensors(file)
    for name in names.values():
        if name not in tensors:
            raise missing_name(file.path, name, list(tensors))
    return {role: tensors[name] for role, name in names.items()}


def _is_completion(file: InputFile, spec: DataSpec) -> bool:
    """Whether the file holds a matrix to complete and nothing else is asked of it."""
    named = any(getattr(spec, role) is not None for role in _ROLES)
    return not named and set(KEYS) <= set(npz_shapes(file))


def _names(file: InputFile, spec: DataSpec) -> dict[str, str]:
    """Name of the array of every role."""
    names = {"inputs": spec.inputs or "X", "targets": spec.targets or "y"}
    names |= {role: getattr(spec, role) for role in _ROLES[2:] if getattr(spec, role) is not None}
    for role, name in names.items():
        if not isinstance(name, str):
            raise UsageError(f"{file.path}: data.{role}: a list of columns is for .csv; name one array", code="usage")
    return names


def _from_csv(file: InputFile, spec: DataSpec) -> dict[str, Any]:
    if spec.mask is not None:
        raise UsageError(f"{file.path}: data.mask: a .csv holds no mask; use .npz", code="mask")
    table = read_csv(file)
    targets = [spec.targets or "y"] if isinstance(spec.targets, str | None) else list(spec.targets)
    weights = [spec.sample_weights] if spec.sample_weights else []
    others = [name for name in table.names if name not in (*targets, *weights)]
    inputs = [spec.inputs] if isinstance(spec.inputs, str) else list(spec.inputs or others)
    shared = [name for name in inputs if name in targets]
    if shared:
        raise UsageError(f"{file.path}: column '{shared[0]}' is both an input and a target", code="usage")
    columns = table.columns(targets, file.path)
    return {
        "inputs": table.columns(inputs, file.path),
        "targets": columns[:, 0] if len(targets) == 1 else columns,
        "sample_weights": table.columns(weights, file.path)[:, 0] if weights else None,
    }


def _load_pair(spec: DataSpec) -> Arrays:
    found, digests = {}, []
    for role in _ROLES:
        name = getattr(spec, role)
        if name is None:
            continue
        with open_input(Path(name), f"data file of the {role}") as file:
            if _format(file) != "npy":
                raise UsageError(f"{name}: not a .npy file; data.{role} needs one", code="usage")
            found[role] = read_npy(file)
            digests.append(file.sha256 + "\n")
    return arrays_from(found, hashlib.sha256("".join(digests).encode()).hexdigest(), Path(spec.inputs))
