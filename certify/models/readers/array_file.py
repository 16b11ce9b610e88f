"""NumPy files, `.npy` and `.npz`: declared sizes are checked before anything is unpacked, and pickles are refused."""

from __future__ import annotations

import io
import math
import tokenize
import warnings
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy

from certify.errors import RefusedError, UsageError
from certify.models.readers.archive import Archive, open_archive
from certify.models.readers.damage import DAMAGE, DamageAsRefusal
from certify.models.readers.input_file import InputFile, require_bytes
from certify.models.spec.problem_validation import did_you_mean

# numpy itself reads no header of over 10,000 bytes.
_MAX_HEADER = 2**14
NPY_SUFFIX = ".npy"

Array = np.ndarray[Any, np.dtype[Any]]

_DAMAGE = (*DAMAGE, TypeError, SyntaxError, MemoryError, ArithmeticError, tokenize.TokenError)


def read_npy(stream: IO[bytes], size: int, where: str) -> Array:
    """The array of a `.npy` file or entry of an archive, of `size` bytes; `where` names it in messages.

    Raises:
        RefusedError: corrupt, truncated, over the limit, or a type other than real numbers.
    """
    _require_sound(stream, size, where)
    stream.seek(0)
    with _refusal(where), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return npy.read_array(stream, allow_pickle=False)


def read_npz(file: InputFile, names: Sequence[str]) -> list[Array]:
    """Arrays of a `.npz` file by name.

    Raises:
        UsageError: a name is not in the file; lists those that are.
        RefusedError: as `read_npy`.
    """
    archive = open_archive(file, of_files=False)
    members = npz_members(archive)
    require_names(names, members, file.path)
    contents = ((name, archive.read(members[name])) for name in names)
    return [read_npy(io.BytesIO(c), len(c), f"{file.path}: array '{name}'") for name, c in contents]


def npz_shapes(file: InputFile) -> dict[str, tuple[int, ...]]:
    """Shape of every array of a `.npz` file, by name, from the headers alone."""
    archive = open_archive(file, of_files=False)
    shapes = {}
    for name, member in npz_members(archive).items():
        with _refusal(f"{file.path}: array '{name}'"):
            shapes[name] = _header(io.BytesIO(archive.read(member, _MAX_HEADER)))[0]
    return shapes


def npz_members(archive: Archive) -> dict[str, str]:
    """Entries by the name of their array; numpy would also find 'x.npy' under that name.

    Raises:
        RefusedError: an entry that is not one array.
    """
    for entry in archive.members:
        if not entry.endswith(NPY_SUFFIX) or entry.endswith(".npy.npy"):
            raise RefusedError(f"{archive.where}: entry {entry!r:.80} is not one array", code="corrupt-file")
    return {entry.removesuffix(NPY_SUFFIX): entry for entry in archive.members}


def exact_float64(values: Array, where: str) -> Array:
    """A copy of the values in float64, contiguous.

    Raises:
        RefusedError: they are no real numbers of at most 64 bits, or integers that would be rounded.
    """
    if values.dtype.kind not in "fiub" or values.dtype.itemsize > 8:
        raise RefusedError(f"{where}: needs real numbers up to 64 bits, found dtype {values.dtype}", code="dtype")
    # Compared as integers: rounded to float64, 2^53 + 1 would pass.
    if values.dtype.kind in "iu" and values.size and max(-int(values.min()), int(values.max())) > 2**53:
        raise RefusedError(f"{where}: integers beyond 2^53 are not exact in float64", code="dtype")
    return np.array(values, dtype=np.float64, order="C")


def require_names(names: Iterable[str], known: Collection[str], path: object) -> None:
    """Refuse names that a data file does not hold.

    Raises:
        UsageError: names one, and those that are there.
    """
    for name in names:
        if name not in known:
            raise UsageError(f"{path}: no array or column '{name}'" + did_you_mean(name, known), code="missing-array")


def require_distinct(names: Iterable[str], path: object) -> None:
    """Refuse a table with two columns of one name.

    Raises:
        RefusedError: names the first of them.
    """
    repeated = [name for name, count in Counter(names).items() if count > 1]
    if repeated:
        raise RefusedError(f"{path}: two columns are named '{repeated[0]}'", code="corrupt-file")


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


def _refusal(where: str) -> DamageAsRefusal:
    return DamageAsRefusal(where, errors=_DAMAGE)
