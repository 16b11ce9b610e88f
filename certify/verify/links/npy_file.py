"""Arrays as NumPy writes them, one in a `.npy` file and any number in a `.npz` archive."""

from __future__ import annotations

import io
import math
from typing import Any

import numpy.typing as npt
from numpy.lib import format as npy

from certify.verify.links.archive import Archive

_SUFFIX = ".npy"


def read_npy(content: bytes) -> npt.NDArray[Any]:
    """The array; a ValueError where its size is not that of its content."""
    stream = io.BytesIO(content)
    version = npy.read_magic(stream)
    header = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    shape, _, dtype = header(stream)
    if min(shape, default=0) < 0 or math.prod(shape) * dtype.itemsize != len(content) - stream.tell():
        raise ValueError("an array and its shape differ in size")
    stream.seek(0)
    values: npt.NDArray[Any] = npy.read_array(stream, allow_pickle=False)
    return values


def read_arrays(archive: Archive) -> dict[str, npt.NDArray[Any]]:
    """All arrays by name; a ValueError where a member is none."""
    require_arrays(archive)
    return {name.removesuffix(_SUFFIX): read_npy(archive.read(name)) for name in archive.names}


def is_archive_of_arrays(archive: Archive) -> bool:
    """Whether all members are named as arrays."""
    return bool(archive.names) and all(name.endswith(_SUFFIX) for name in archive.names)


def require_arrays(archive: Archive) -> None:
    """A ValueError where a member is not one array; of 'x.npy.npy', numpy finds 'x.npy' under the same name."""
    if not all(name.endswith(_SUFFIX) and not name.endswith(_SUFFIX * 2) for name in archive.names):
        raise ValueError("a member of the archive is not one array")
