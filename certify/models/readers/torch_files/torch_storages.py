"""The two layouts of torch's files: a zip archive, and the sequence of pickles that torch wrote before it."""

from __future__ import annotations

import tarfile
from dataclasses import dataclass
from typing import final

from certify.errors import RefusedError
from certify.models.readers.archive import MAX_DOCUMENT, Archive
from certify.models.readers.input_file import InputFile
from certify.models.readers.torch_files.pickle_data import Pickle, read_pickle
from certify.models.readers.torch_files.pickle_values import Global, Persistent
from certify.models.readers.torch_files.torch_tensors import STORAGES, Storages

# How torch's files before the zip format open: a pickled magic number.
LEGACY_MAGIC = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
_LITTLE_ENDIAN = b"little"


@final
@dataclass(frozen=True, slots=True)
class ZipStorages(Storages):
    """Storages of a zip archive: one entry each.

    Attributes:
        archive: the archive.
        folder: what stands before the key in the name of an entry, with a slash.
    """

    archive: Archive
    folder: str = ""

    def size(self, key: str) -> int:
        return self.archive.size(self.folder + key)

    def read(self, key: str) -> bytes:
        return self.archive.read(self.folder + key)


@final
@dataclass(frozen=True, slots=True)
class LegacyStorages(Storages):
    """Storages of a file before the zip format: one after the other behind the pickles.

    Attributes:
        file: the file.
        places: position and bytes of each, by key.
    """

    file: InputFile
    places: dict[str, tuple[int, int]]

    def size(self, key: str) -> int:
        if key not in self.places:
            raise _corrupt(self.file, "a storage is not there")
        return self.places[key][1]

    def read(self, key: str) -> bytes:
        start, length = self.places[key]
        self.file.stream.seek(start)
        return self.file.stream.read(length)


def zip_content(archive: Archive) -> tuple[Pickle, Storages]:
    """The pickle of a zip archive, and its storages.

    Raises:
        RefusedError: not torch's layout, damaged, or written on a big-endian machine.
    """
    found = [name for name in archive.members if name == "data.pkl" or name.endswith("/data.pkl")]
    if len(found) != 1:
        raise RefusedError(f"{archive.where}: a zip archive, but not one of torch's", code="corrupt-file")
    folder = found[0].removesuffix("data.pkl")
    archive.require_torch_names(folder)
    if f"{folder}byteorder" in archive.members and archive.document(f"{folder}byteorder") != _LITTLE_ENDIAN:
        raise RefusedError(
            f"{archive.where}: written on a big-endian machine; save it again on a little-endian one",
            code="weight-type",
        )
    content = read_pickle(archive.document(found[0]), archive.where)
    _require_one_type(content, archive.where)
    return content, ZipStorages(archive, f"{folder}data/")


def legacy_content(file: InputFile) -> tuple[Pickle, Storages]:
    """The pickle of a file before the zip format, and its storages.

    Raises:
        RefusedError: damaged, or written on a big-endian machine.
    """
    where, opening = str(file.path), file.stream.read(min(MAX_DOCUMENT, file.size))
    magic = read_pickle(opening, where)
    protocol = read_pickle(opening, where, magic.end)
    system = read_pickle(opening, where, protocol.end)
    if not isinstance(system.value, dict) or system.value.get("little_endian") is not True:
        raise _corrupt(file, "not written by a little-endian machine")
    content = read_pickle(opening, where, system.end)
    _require_one_type(content, where)
    keys = read_pickle(opening, where, content.end)
    return content, LegacyStorages(file, _places(file, content, keys))


def _require_one_type(content: Pickle, where: str) -> None:
    """Torch reads a storage once, with the type under which it meets it first."""
    types: dict[str, str] = {}
    for entry in content.persistent:
        match entry.key:
            case ("storage", Global(path=path), str(key), *_) if types.setdefault(key, path) != path:
                raise RefusedError(f"{where}: corrupt: storage {key!r:.20} is of two types", code="corrupt-file")


def _places(file: InputFile, content: Pickle, keys: Pickle) -> dict[str, tuple[int, int]]:
    """Every storage is its number of values (8 bytes), then the values."""
    types = dict(_storage(entry) for entry in content.persistent)
    start, places = keys.end, {}
    for key in keys.value if isinstance(keys.value, list) else []:
        if not isinstance(key, str) or key not in types:
            raise _corrupt(file, "a storage of no known type")
        file.stream.seek(start)
        length = int.from_bytes(file.stream.read(8), "little") * types[key]
        start += 8
        if start + length > file.size:
            raise _corrupt(file, "a storage reaches beyond the end")
        places[key] = (start, length)
        start += length
    file.stream.seek(0)
    if start != file.size or tarfile.is_tarfile(file.stream):
        raise _corrupt(file, "it is something else as well")
    return places


def _storage(entry: Persistent) -> tuple[str, int]:
    """Key and bytes per value; unknown types, which no tensor can have, count as empty key."""
    match entry.key:
        case ("storage", Global(path=path), str(key), *_) if path in STORAGES:
            return key, STORAGES[path].itemsize
    return "", 1


def _corrupt(file: InputFile, reason: str) -> RefusedError:
    return RefusedError(f"{file.path}: truncated or corrupt torch file ({reason})", code="corrupt-file")
