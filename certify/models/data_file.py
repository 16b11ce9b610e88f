"""Data: inputs (n, d), targets, and optional sample weights and mask, from a file or from memory, as float64."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np
import torch
from torch import Tensor

from certify.errors import RefusedError, UnsupportedError, UsageError
from certify.models.input_file import InputFile, open_input
from certify.models.problem_file import DataSpec
from certify.models.readers.array_file import missing_name, npz_shapes, read_npy, read_npz
from certify.models.readers.csv_table import csv_names, read_csv
from certify.models.readers.safetensors_file import looks_like_safetensors, read_safetensors

# Integers beyond this are not all float64.
LARGEST_EXACT_INTEGER = 2**53

_ROLES = ("inputs", "targets", "sample_weights", "mask")


@final
@dataclass(frozen=True, slots=True)
class Arrays:
    """A data set.

    Attributes:
        inputs: (n, d) float64.
        targets: (n,) or (n, c) float64; entries outside the mask are finite but arbitrary.
        sample_weights: (n,) float64, or None.
        mask: (n, c) booleans, True where a target is observed, or None.
        sha256: hexadecimal digest of the file; of a `.npy` pair: of the digests' text, one per line, in the order
            inputs, targets, sample weights, mask.
        path: the file (of a pair: of the inputs), or None for data from memory.
    """

    inputs: Tensor
    targets: Tensor
    sample_weights: Tensor | None
    mask: Tensor | None
    sha256: str
    path: Path | None


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


def arrays_from(found: Mapping[str, object], sha256: str, path: Path | None) -> Arrays:
    """Check and convert arrays in memory.

    Args:
        found: NumPy arrays or tensors by role: `inputs`, `targets`, and perhaps `sample_weights` and `mask`.
        sha256: digest of where they came from; empty to digest the arrays themselves.
        path: the file they came from, if any.

    Raises:
        UsageError: shapes that do not fit together.
        RefusedError: non-finite values, or types other than real numbers.
    """
    where = str(path) if path else "data"
    tensors = {role: _float64(value, f"{where}: {role}") for role, value in found.items() if value is not None}
    inputs, targets, weights = tensors["inputs"], tensors["targets"], tensors.get("sample_weights")
    inputs = inputs[:, None] if inputs.ndim == 1 else inputs
    mask = _mask(tensors["mask"], targets, where) if "mask" in tensors else None
    targets = targets[:, None] if mask is not None and targets.ndim == 1 else targets
    # A target that the mask hides has weight 0; it needs a finite value that every loss accepts, 1.
    hidden = None if mask is None else ~mask & ~torch.isfinite(targets)
    targets = targets if hidden is None else torch.where(hidden, 1.0, targets)
    for role, tensor in (("inputs", inputs), ("targets", targets), ("sample_weights", weights)):
        _require_finite(tensor, f"{where}: {role}")
    _require_shapes(inputs, targets, where)
    return Arrays(inputs, targets, weights, mask, sha256 or _digest(tensors), path)


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
    if source == "npz":
        return dict(zip(names, read_npz(file, list(names.values())), strict=True))
    tensors = read_safetensors(file)
    for name in names.values():
        if name not in tensors:
            raise missing_name(file.path, name, list(tensors))
    return {role: tensors[name] for role, name in names.items()}


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


def _float64(value: object, where: str) -> Tensor:
    if isinstance(value, Tensor):
        if value.layout != torch.strided or value.is_complex() or value.is_quantized or value.is_meta:
            raise RefusedError(f"{where}: needs dense real numbers, found {value.dtype}, {value.layout}", code="dtype")
        wide = value.detach().to("cpu")
        exact_source = not wide.dtype.is_floating_point
        tensor = wide.to(torch.float64)
    else:
        array = np.asarray(value)
        if array.dtype.kind not in "fiub" or array.dtype.itemsize > 8:
            raise RefusedError(f"{where}: needs real numbers up to 64 bits, found dtype {array.dtype}", code="dtype")
        exact_source = array.dtype.kind in "iu"
        tensor = torch.from_numpy(np.array(array, dtype=np.float64, order="C"))
    if exact_source and tensor.numel() and float(tensor.abs().max()) > LARGEST_EXACT_INTEGER:
        raise RefusedError(f"{where}: integers beyond 2^53 are not exact in float64", code="dtype")
    return tensor.contiguous()


def _mask(mask: Tensor, targets: Tensor, where: str) -> Tensor:
    if not bool(((mask == 0) | (mask == 1)).all()):
        raise UsageError(f"{where}: mask must hold booleans (1 where a target is observed)", code="mask")
    if mask.ndim == 1:
        mask = mask[:, None]
    shape = targets.shape if targets.ndim != 1 else (*targets.shape, 1)
    if mask.shape != shape:
        raise UsageError(
            f"{where}: mask has shape {tuple(mask.shape)}, targets have {tuple(targets.shape)}", code="shape-mismatch"
        )
    return mask != 0


def _require_finite(tensor: Tensor | None, where: str) -> None:
    if tensor is None:
        return
    wrong = ~torch.isfinite(tensor)
    if bool(wrong.any()):
        first = tuple(wrong.nonzero()[0].tolist())
        raise RefusedError(
            f"{where} hold {int(wrong.sum())} non-finite of {tensor.numel()} values, the first at index {first}",
            code="non-finite",
        )


def _require_shapes(inputs: Tensor, targets: Tensor, where: str) -> None:
    if inputs.ndim != 2 or targets.ndim not in (1, 2):
        raise UsageError(
            f"{where}: inputs have shape {tuple(inputs.shape)} and targets {tuple(targets.shape)}; need (n, d), "
            "and (n,) or (n, c); flatten what has more axes",
            code="shape-mismatch",
        )
    if len(inputs) != len(targets):
        raise UsageError(f"{where}: {len(inputs)} inputs but {len(targets)} targets", code="shape-mismatch")
    if len(inputs) == 0 or inputs.shape[1] == 0:
        raise UsageError(f"{where}: inputs of shape {tuple(inputs.shape)} hold no data", code="shape-mismatch")


def _digest(tensors: Mapping[str, Tensor]) -> str:
    digest = hashlib.sha256()
    for role, tensor in tensors.items():
        digest.update(f"{role} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.numpy().tobytes())
    return digest.hexdigest()
