"""Zip archives: everything that the directory declares is checked before the first entry is unpacked."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedReader
from typing import cast, final

from certify.errors import RefusedError
from certify.models.readers.damage import DamageAsRefusal
from certify.models.readers.input_file import InputFile, require_bytes

# Largest directory read, in bytes; some 50,000 entries.
MAX_DIRECTORY = 4 * 2**20
# Largest entry that is parsed as text or as a pickle, in bytes: names, shapes and layers, but no weights.
MAX_DOCUMENT = 64 * 2**20

_ENCRYPTED = 1
_LOCAL_HEADER = 30


class _Metered:
    """A stream that reads no more than `MAX_DIRECTORY` at once, so that opening an archive is cheap."""

    def __init__(self, stream: BufferedReader) -> None:
        self._stream = stream

    def read(self, size: int = -1) -> bytes:
        content = self._stream.read(min(size, MAX_DIRECTORY + 1) if size >= 0 else MAX_DIRECTORY + 1)
        if len(content) > MAX_DIRECTORY:
            raise ValueError(f"the directory has over {MAX_DIRECTORY} bytes")
        return content

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._stream.seek(offset, whence)

    def tell(self) -> int:
        return self._stream.tell()

    def seekable(self) -> bool:
        return True


@final
@dataclass(frozen=True, slots=True)
class Archive:
    """A zip archive whose directory makes sense.

    Attributes:
        where: the file, for messages.
        members: its entries by name.
        source: the open archive.
    """

    where: str
    members: dict[str, zipfile.ZipInfo]
    source: zipfile.ZipFile

    def size(self, name: str) -> int:
        """Bytes that an entry unpacks to.

        Raises:
            RefusedError: there is no such entry.
        """
        return self._member(name).file_size

    def document(self, name: str) -> bytes:
        """An entry that is text or a pickle.

        Raises:
            RefusedError: missing, damaged or over the limit.
        """
        if self.size(name) > MAX_DOCUMENT:
            raise RefusedError(
                f"{self.where}: entry {name!r:.80} has {self.size(name)} bytes, over the limit of {MAX_DOCUMENT}",
                code="over-limit",
            )
        return self.read(name)

    def read(self, name: str) -> bytes:
        """The whole entry, its checksum compared.

        Raises:
            RefusedError: missing or damaged.
        """
        member = self._member(name)
        with DamageAsRefusal(f"{self.where}: entry {name!r:.80}"):
            content = self.source.read(member)
            if len(content) != member.file_size:
                raise ValueError(f"{len(content)} bytes, declared {member.file_size}")
        return content

    def _member(self, name: str) -> zipfile.ZipInfo:
        if name not in self.members:
            raise RefusedError(f"{self.where}: truncated or corrupt: no entry {name!r:.80}", code="corrupt-file")
        return self.members[name]


@contextmanager
def open_archive(file: InputFile) -> Iterator[Archive]:
    """Open a zip archive.

    Raises:
        RefusedError: damaged, encrypted, over a limit, or with entries that overlap, repeat or leave their folder.
    """
    where = str(file.path)
    with DamageAsRefusal(where):
        source = zipfile.ZipFile(cast("BufferedReader", _Metered(file.stream)))
    members = source.infolist()
    _require_disjoint(members, file.size, where)
    for member in members:
        _require_plain(member, where)
    require_bytes(sum(member.file_size for member in members), where)
    by_name = {member.filename: member for member in members}
    if len(by_name) != len(members):
        raise RefusedError(f"{where}: corrupt archive: two entries have the same name", code="corrupt-file")
    # Entries may be larger than a directory; their sizes are known by now.
    source.fp = file.stream
    with source:
        yield Archive(where, by_name, source)


def _require_plain(member: zipfile.ZipInfo, where: str) -> None:
    name = member.filename
    if name.startswith(("/", "\\")) or ":" in name[:3] or ".." in name.replace("\\", "/").split("/"):
        raise RefusedError(f"{where}: unsafe archive: entry {name!r:.80} leaves its folder", code="unsafe-file")
    if member.flag_bits & _ENCRYPTED or member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise RefusedError(
            f"{where}: corrupt archive: entry {name!r:.80} is encrypted or packed by an unknown method",
            code="corrupt-file",
        )


def _require_disjoint(members: list[zipfile.ZipInfo], size: int, where: str) -> None:
    """Entries that share bytes make a small file unpack to much."""
    end = 0
    for member in sorted(members, key=lambda m: m.header_offset):
        if member.header_offset < end:
            raise RefusedError(f"{where}: corrupt archive: its entries overlap", code="corrupt-file")
        end = member.header_offset + _LOCAL_HEADER + member.compress_size
        stored = member.compress_type == zipfile.ZIP_STORED
        if end > size or (stored and member.compress_size != member.file_size):
            raise RefusedError(
                f"{where}: truncated or corrupt: entry {member.filename!r:.80} lies about its size", code="corrupt-file"
            )
