"""SHA-256 of files, and what is remembered of them.

`DigestIndex.read` reads a file and is what results are keyed by; a file is read again in the same audit only if its
signature has changed. `DigestIndex.expected` answers by path and signature (size, times, inode) without reading: a
file that was rewritten in place with its times set back would deceive it, so that only the plan asks it.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from pathlib import Path
from typing import final

from certify.errors import UsageError
from certify.models.readers.input_file import open_input
from certify.whole_file import write_whole

# A file changed within this time of its reading may change again with the same times; it is not remembered.
RACY_NANOSECONDS = 2_000_000_000
# The plan reads files that it does not know up to this size.
PLAN_BYTES = 2**22

Signature = tuple[int, int, int, int]


@final
class DigestIndex:
    """Digests by path; loaded from a file and saved to it."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._stored = _loaded(file)
        self._read: dict[str, tuple[Signature, str]] = {}
        self._changed = False

    def read(self, path: Path, role: str) -> str:
        """The digest of the content.

        Raises:
            UsageError: missing, unreadable or not a regular file.
            RefusedError: over the size limit.
        """
        place = absolute(path)
        known, before = self._read.get(place), signature(path)
        if known is not None and known[0] == before:
            return known[1]
        with open_input(path, role) as file:
            after, digest = _signature(os.fstat(file.stream.fileno())), file.sha256
        if before == after:
            self._read[place] = (after, digest)
            if time.time_ns() - max(after[1], after[2]) > RACY_NANOSECONDS:
                self._stored[place] = (after, digest)
                self._changed = True
        return digest

    def expected(self, path: Path, role: str) -> str | None:
        """The digest by signature; by reading where the file is small; else None."""
        found = signature(path)
        if found is None:
            return None
        known = self._stored.get(absolute(path))
        if known is not None and known[0] == found:
            return known[1]
        return self.read(path, role) if found[0] <= PLAN_BYTES else None

    def save(self) -> None:
        """Write what was learned; a folder that cannot be written is no failure, only slower next time."""
        if not self._changed:
            return
        entries = {path: [*found, digest] for path, (found, digest) in sorted(self._stored.items())}
        with contextlib.suppress(UsageError):
            write_whole(self._file, json.dumps(entries).encode())


def absolute(path: Path) -> str:
    """The path from the root, links left as they are."""
    return os.path.abspath(path)  # noqa: PTH100 - that one follows links


def signature(path: Path) -> Signature | None:
    """Size, times of content and of inode, and inode; None where there is no such file."""
    try:
        return _signature(path.stat())
    except (OSError, ValueError):
        return None


def _signature(status: os.stat_result) -> Signature:
    return (status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)


def _loaded(file: Path) -> dict[str, tuple[Signature, str]]:
    """The entries of a file; nothing from one that is not there or damaged."""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        return {path: ((size, m, c, inode), digest) for path, (size, m, c, inode, digest) in content.items()}
    except (OSError, ValueError, TypeError, AttributeError, RecursionError):
        return {}
