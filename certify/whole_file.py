"""Write a file so that it is there whole or not at all: beside its place first, then moved there."""

from __future__ import annotations

import contextlib
import os
import stat
import tempfile
from pathlib import Path

from certify.errors import UsageError


def ensure_writable(path: str | Path) -> None:
    """Check, before long work, that a file can be written.

    Raises:
        UsageError: the folder is missing or not writable, or the path is a folder.
    """
    target = Path(path)
    require_no_link(target)
    try:
        mode = target.stat().st_mode if target.exists() else stat.S_IFREG
        with tempfile.NamedTemporaryFile(dir=target.resolve().parent):
            pass
    except (OSError, ValueError, RuntimeError) as error:
        raise _unwritable(target, error) from error
    if not stat.S_ISREG(mode):
        kind = "a folder" if stat.S_ISDIR(mode) else "not a regular file"
        raise UsageError(f"{target}: is {kind}; name a file to write", code="unwritable")


def write_whole(path: str | Path, content: bytes) -> None:
    """Write `content` atomically.

    Raises:
        UsageError: the path is a link, the folder does not exist or cannot be written, or the disk is full.
    """
    require_no_link(path)
    try:
        _write(path, content)
    except (OSError, ValueError, RuntimeError) as error:
        raise _unwritable(path, error) from error


def require_no_link(path: str | Path) -> None:
    """Refuse a symbolic link: what it leads to may be anybody's file.

    Raises:
        UsageError: it is one.
    """
    if os.path.islink(path):  # noqa: PTH114 - takes paths that are none, too
        message = f"{path}: is a symbolic link, and certify writes through none; name the file itself"
        raise UsageError(message, code="unwritable")


def _write(path: str | Path, content: bytes) -> None:
    target = Path(path).absolute()
    descriptor, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name[:100]}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(0o666 & ~_umask())
        Path(temporary).replace(target)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(temporary).unlink()
        raise


def _unwritable(path: str | Path, error: Exception) -> UsageError:
    reason = getattr(error, "strerror", None) or str(error)
    return UsageError(f"{path}: cannot be written: {reason}", code="unwritable")


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
