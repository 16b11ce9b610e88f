"""NumPy files, `.npy` and `.npz`: declared sizes are checked before anything is unpacked, and pickles are refused."""

from __future__ import annotations

import math
import tokenize
import warnings
import zipfile
from collections.abc import Collection, Iterable, Sequence
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy

from certify.errors import RefusedError, UsageError
from certify.models.readers.damage import DAMAGE, DamageAsRefusal
from certify.models.readers.input_file import InputFile, require_bytes
from certify.models.spec.problem_validation import did_you_mean

Array = np.ndarray[Any, np.dtype[Any]]

_DAMAGE = (*DAMAGE, TypeError, SyntaxError, MemoryError, ArithmeticError, tokenize.TokenError)


def read_npy(stream: IO[bytes], size: int, where: str) -> Array:
    """The array of a `.npy` file or entry of an archive, of `size` bytes; `where` names it in messages.

    Raises:
        RefusedError: corrupt, truncated, over the limit, or a type other than real numbers.
    """
    _require_sound(stream, size, where)
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
        require_names(names, members, file.path)
        require_bytes(sum(members[name].file_size for name in names), str(file.path))
        return [_member(archive, members[name], f"{file.path}: array '{name}'") for name in names]


def npz_shapes(file: InputFile) -> dict[str, tuple[int, ...]]:
    """Shape of every array of a `.npz` file, by name, from the headers alone."""
    with _archive(file) as archive:
        shapes = {}
        for name, member in _members(archive).items():
            with _refusal(f"{file.path}: array '{name}'"), archive.open(member) as stream:
                shapes[name] = _header(stream)[0]
        return shapes


def require_names(names: Iterable[str], known: Collection[str], path: object) -> None:
    """Refuse names that a data file does not hold.

    Raises:
        UsageError: names one, and those that are there.
    """
    for name in names:
        if name not in known:
            raise UsageError(f"{path}: no array or column '{name}'" + did_you_mean(name, known), code="missing-array")


def _archive(file: InputFile) -> zipfile.ZipFile:
    with _refusal(str(file.path)):
        return zipfile.ZipFile(file.stream)


def _members(archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    return {m.filename.removesuffix(".npy"): m for m in archive.infolist() if m.filename.endswith(".npy")}


def _member(archive: zipfile.ZipFile, member: zipfile.ZipInfo, where: str) -> Array:
    with _refusal(where), archive.open(member) as stream:
        _require_sound(stream, member.file_size, where)
    with _refusal(where), archive.open(member) as stream:
        array = _array(stream, where)
        if stream.read(1):  # Reading to the end also checks the archive's CRC.
            raise ValueError("bytes after the array")
        return array


def _require_sound(stream: IO[bytes], size: int, where: str) -> None:
    with _refusal(where):
        shape, dtype = _header(stream)
    if dtype.hasobject:
        raise RefusedError(f"{where}: holds Python objects, which need pickle; refused", code="unsafe-file")
    require_bytes(8 * math.prod(shape), where)
    declared = math.prod(shape) * dtype.itemsize
    if stream.tell() + declared != size:
        raise RefusedError(
            f"{where}: truncated or corrupt (header declares {declared} bytes, {size - stream.tell()} are there)",
            code="corrupt-file",
        )


def _header(stream: IO[bytes]) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Shape and type."""
    version = npy.read_magic(stream)
    readers = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
    if version not in readers:
        raise ValueError(f"npy format version {version}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        shape, _, dtype = readers[version](stream)
    if any(extent < 0 for extent in shape):
        raise ValueError(f"shape {shape}")
    return shape, dtype


def _array(stream: IO[bytes], where: str) -> Array:
    with _refusal(where), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return npy.read_array(stream, allow_pickle=False)


def _refusal(where: str) -> DamageAsRefusal:
    return DamageAsRefusal(where, errors=_DAMAGE)
