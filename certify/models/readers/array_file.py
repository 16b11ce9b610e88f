"""NumPy files, `.npy` and `.npz`: declared sizes are checked before anything is unpacked, and pickles are refused."""

from __future__ import annotations

import io
import math
import tokenize
import warnings
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import IO, Any, final

import numpy as np
from numpy.lib import format as npy

from certify.errors import RefusedError, UsageError
from certify.models.readers.input_file import InputFile, require_bytes
from certify.models.spec.problem_validation import did_you_mean

Array = np.ndarray[Any, np.dtype[Any]]

_DAMAGE = (
    ValueError,
    EOFError,
    OSError,
    zipfile.BadZipFile,
    zlib.error,
    NotImplementedError,
    RuntimeError,
    TypeError,
    LookupError,
    SyntaxError,
    MemoryError,
    ArithmeticError,
    tokenize.TokenError,
)


@final
@dataclass(frozen=True, slots=True)
class _Header:
    shape: tuple[int, ...]
    dtype: np.dtype[Any]


def read_npy(file: InputFile) -> Array:
    """The array of a `.npy` file.

    Raises:
        RefusedError: corrupt, truncated, over the limit, or a type other than real numbers.
    """
    where = str(file.path)
    _checked_header(file.stream, file.size, where)
    file.stream.seek(0)
    return _array(file.stream, where)


def npy_array(content: bytes, where: str) -> Array:
    """The array of a `.npy` entry of an archive; errors as `read_npy`."""
    stream = io.BytesIO(content)
    _checked_header(stream, len(content), where)
    stream.seek(0)
    return _array(stream, where)


def read_npz(file: InputFile, names: Sequence[str]) -> list[Array]:
    """Arrays of a `.npz` file by name.

    Raises:
        UsageError: a name is not in the file; lists those that are.
        RefusedError: as `read_npy`.
    """
    with _archive(file) as archive:
        members = _members(archive)
        wanted = [members[name] if name in members else _missing(file, name, list(members)) for name in names]
        require_bytes(sum(member.file_size for member in wanted), str(file.path))
        return [_member(archive, member, f"{file.path}: array '{name}'") for member, name in zip(wanted, names)]  # noqa: B905


def npz_shapes(file: InputFile) -> dict[str, tuple[int, ...]]:
    """Shape of every array of a `.npz` file, by name, from the headers alone."""
    with _archive(file) as archive:
        shapes = {}
        for name, member in _members(archive).items():
            with _damage_as_refusal(f"{file.path}: array '{name}'"), archive.open(member) as stream:
                shapes[name] = _header(stream).shape
        return shapes


def missing_name(path: object, name: str, known: Sequence[str]) -> UsageError:
    """The error for a name that a data file does not hold."""
    return UsageError(f"{path}: no array or column '{name}'" + did_you_mean(name, known), code="missing-array")


class _damage_as_refusal:  # noqa: N801
    """Context in which whatever damaged bytes raise becomes a RefusedError."""

    def __init__(self, where: str) -> None:
        self._where = where

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, _DAMAGE):
            reason = " ".join(str(error).split())[:120]
            raise RefusedError(f"{self._where}: truncated or corrupt ({reason})", code="corrupt-file") from error


def _archive(file: InputFile) -> zipfile.ZipFile:
    with _damage_as_refusal(str(file.path)):
        return zipfile.ZipFile(file.stream)


def _members(archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    return {m.filename.removesuffix(".npy"): m for m in archive.infolist() if m.filename.endswith(".npy")}


def _missing(file: InputFile, name: str, known: list[str]) -> zipfile.ZipInfo:
    raise missing_name(file.path, name, known)


def _member(archive: zipfile.ZipFile, member: zipfile.ZipInfo, where: str) -> Array:
    with _damage_as_refusal(where), archive.open(member) as stream:
        _checked_header(stream, member.file_size, where)
    with _damage_as_refusal(where), archive.open(member) as stream:
        array = _array(stream, where)
        if stream.read(1):  # Reading to the end also checks the archive's CRC.
            raise ValueError("bytes after the array")
        return array


def _checked_header(stream: IO[bytes], size: int, where: str) -> None:
    with _damage_as_refusal(where):
        header = _header(stream)
    if header.dtype.hasobject:
        raise RefusedError(f"{where}: holds Python objects, which need pickle; refused", code="unsafe-file")
    require_bytes(8 * math.prod(header.shape), where)
    declared = math.prod(header.shape) * header.dtype.itemsize
    if stream.tell() + declared != size:
        raise RefusedError(
            f"{where}: truncated or corrupt (header declares {declared} bytes, {size - stream.tell()} are there)",
            code="corrupt-file",
        )


def _header(stream: IO[bytes]) -> _Header:
    version = npy.read_magic(stream)
    readers = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
    if version not in readers:
        raise ValueError(f"npy format version {version}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        shape, _, dtype = readers[version](stream)
    if any(extent < 0 for extent in shape):
        raise ValueError(f"shape {shape}")
    return _Header(shape, dtype)


def _array(stream: IO[bytes], where: str) -> Array:
    with _damage_as_refusal(where), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return npy.read_array(stream, allow_pickle=False)
