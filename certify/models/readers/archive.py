"""Zip archives: everything that the directory declares is checked before the first entry is unpacked."""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from io import BufferedReader
from typing import final

from certify.errors import RefusedError
from certify.models.readers.damage import DamageAsRefusal
from certify.models.readers.input_file import InputFile, require_bytes
from certify.models.readers.zip_entries import ZipEntry, zip_entries

# Largest entry that is parsed as text or as a pickle, in bytes: names, shapes and layers, but no weights.
MAX_DOCUMENT = 64 * 2**20


@final
@dataclass(frozen=True, slots=True)
class Archive:
    """A zip archive whose directory makes sense.

    Attributes:
        where: the file, for messages.
        members: its entries by name.
        stream: the file.
    """

    where: str
    members: Mapping[str, ZipEntry]
    stream: BufferedReader

    def size(self, name: str) -> int:
        """Bytes that an entry unpacks to.

        Raises:
            RefusedError: there is no such entry.
        """
        return self._member(name).size

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

    def read(self, name: str, most: int | None = None) -> bytes:
        """The whole entry, its checksum compared; or its first `most` bytes, as they are.

        Raises:
            RefusedError: missing or damaged.
        """
        entry = self._member(name)
        with DamageAsRefusal(f"{self.where}: entry {name!r:.80}"):
            self.stream.seek(entry.start)
            if most is not None and most < entry.size:
                opening = self.stream.read(min(entry.packed, most + 1024))
                return zlib.decompressobj(-15).decompress(opening, most) if entry.deflated else opening[:most]
            content = self.stream.read(entry.packed)
            if entry.deflated:
                unpacker = zlib.decompressobj(-15)
                content = unpacker.decompress(content, entry.size + 1)
                if not unpacker.eof or unpacker.unused_data:
                    raise ValueError("packed bytes that do not end where declared")
            if len(content) != entry.size or zlib.crc32(content) != entry.crc:
                raise ValueError(f"{len(content)} bytes, declared {entry.size}, or a wrong checksum")
        return content

    def require_torch_names(self, folder: str) -> None:
        """Refuse names that torch resolves in another way: in any case, and in the folder of the first entry.

        Raises:
            RefusedError: an entry outside of the folder, or two that differ in case only.
        """
        counts = Counter(name.lower() for name in self.members)
        for name in self.members:
            if not name.startswith(folder) or counts[name.lower()] > 1:
                reason = f"entry {name!r:.80} is outside of '{folder}', or there is another of its name"
                raise RefusedError(f"{self.where}: corrupt archive: {reason}", code="corrupt-file")

    def _member(self, name: str) -> ZipEntry:
        if name not in self.members:
            raise RefusedError(f"{self.where}: truncated or corrupt: no entry {name!r:.80}", code="corrupt-file")
        return self.members[name]


def open_archive(file: InputFile, *, of_files: bool = True) -> Archive:
    """Everything that the directory of a zip archive declares, checked; the names in it are of files, or of arrays.

    Raises:
        RefusedError: not the form of `zip_entries`, encrypted, over a limit, or with entries that leave their folder.
    """
    where = str(file.path)
    with DamageAsRefusal(where):
        members = zip_entries(file.stream, file.size)
    if of_files:
        _require_plain(members, where)
    require_bytes(sum(member.size for member in members.values()), where)
    return Archive(where, members, file.stream)


def _require_plain(names: Iterable[str], where: str) -> None:
    for name in names:
        if name.startswith(("/", "\\")) or ":" in name[:3] or ".." in name.replace("\\", "/").split("/"):
            raise RefusedError(f"{where}: unsafe archive: entry {name!r:.80} leaves its folder", code="unsafe-file")
        if not name.isprintable():
            raise RefusedError(f"{where}: corrupt archive: entry {name!r:.80}", code="corrupt-file")
