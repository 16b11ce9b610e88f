"""Open an input once: a regular file of bounded size, hashed and parsed through the same open handle."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import final

from certify.errors import RefusedError, UsageError

# Largest input, in bytes, that is read; also the most that a compressed input may unpack to.
MAX_BYTES = 8 * 2**30


@final
@dataclass(frozen=True, slots=True)
class InputFile:
    """An open file.

    Attributes:
        path: where it is.
        stream: positioned at its first byte.
        size: bytes.
        sha256: hexadecimal digest of its content.
        head: its first bytes, at most 64, to tell the format by content.
    """

    path: Path
    stream: BufferedReader
    size: int
    sha256: str
    head: bytes


@contextmanager
def open_input(path: Path, role: str, limit: int = MAX_BYTES) -> Iterator[InputFile]:
    """Open `path` for reading.

    Args:
        path: the file.
        role: what it is to the user, such as 'model file'; opens the error messages.
        limit: largest accepted size in bytes.

    Raises:
        UsageError: missing, unreadable or not a regular file.
        RefusedError: larger than the limit.
    """
    with _opened(path, role) as stream:
        size = os.fstat(stream.fileno()).st_size
        if size > limit:
            raise RefusedError(f"{path}: {role} has {size} bytes, over the limit of {limit} bytes", code="over-limit")
        head = stream.read(64)
        stream.seek(0)
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
        stream.seek(0)
        yield InputFile(path, stream, size, digest, head)


def require_bytes(total: int, where: str) -> None:
    """Refuse content that would take more than `MAX_BYTES` of memory.

    Raises:
        RefusedError: `total` bytes are over the limit.
    """
    if total > MAX_BYTES:
        raise RefusedError(f"{where}: takes {total} bytes unpacked, over the limit of {MAX_BYTES}", code="over-limit")


def _opened(path: Path, role: str) -> BufferedReader:
    try:
        # Looked at before it is opened: opening a pipe would wait for a writer.
        mode = path.stat().st_mode
        if stat.S_ISREG(mode):
            return path.open("rb")
    except FileNotFoundError as error:
        raise UsageError(f"{path}: {role} not found (working folder: {Path.cwd()})", code="missing-file") from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UsageError(f"{str(path)!r}: cannot read the {role}: {reason}", code="unreadable-file") from error
    kind = "a folder" if stat.S_ISDIR(mode) else "not a regular file"
    raise UsageError(f"{path}: the {role} is {kind}; name a file", code="unreadable-file")
