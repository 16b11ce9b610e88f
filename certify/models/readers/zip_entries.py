"""Zip archives in the one form in which every reader finds the same entries.

Readers of zip archives differ: some look for the end record from the back, some allow bytes before the first entry,
some believe local headers, some the directory. All agree on what torch, numpy and Python's zipfile write: entries from
byte 0 on without gaps, then the directory in the same order, then the end record, no comments. All else is refused.

Source: PKWARE, APPNOTE.TXT 6.3.10, sections 4.3 and 4.5.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from io import BufferedReader
from typing import final

# Largest directory read, in bytes; some 50,000 entries.
MAX_DIRECTORY = 4 * 2**20

_END = struct.Struct("<4s4H2IH")
_END_64 = struct.Struct("<4sQ2H2I4Q")
_LOCATOR = struct.Struct("<4sIQI")
_CENTRAL = struct.Struct("<4s6H3I5H2I")
_LOCAL = struct.Struct("<4s5H3I2H")
_STORED, _DEFLATED = 0, 8
_UTF8, _SIZES_FOLLOW, _EFFORT = 0x800, 0x8, 0x6
# 64-bit sizes, torch's padding, and times; others can give an entry another name.
_WIDE = 0x1
_EXTRAS = {_WIDE, 0x4246, 0x5455, 0x7875}
_FULL = 2**32 - 1


@final
@dataclass(frozen=True, slots=True)
class ZipEntry:
    """One entry.

    Attributes:
        name: in its archive.
        deflated: whether it is packed.
        crc: of its content.
        packed: bytes that it takes.
        size: bytes of its content.
        start: where its bytes start.
    """

    name: str
    deflated: bool
    crc: int
    packed: int
    size: int
    start: int


def zip_entries(stream: BufferedReader, size: int) -> dict[str, ZipEntry]:
    """The entries by name, in order.

    Args:
        stream: the file.
        size: its bytes.

    Raises:
        ValueError: not in the canonical form, or a directory over `MAX_DIRECTORY`; says what is wrong.
    """
    count, directory, end = _directory(stream, size)
    entries: dict[str, ZipEntry] = {}
    at = position = 0
    for _ in range(count):
        header, at = _central(directory, at)
        name = header.name
        _require(header.offset == position, f"entries overlap or leave a gap at {name!r:.80}")
        start = _require_local(stream, header)
        position = start + header.packed
        _require(position <= end, f"entry {name!r:.80} lies about its size")
        if header.flags & _SIZES_FOLLOW:
            position += _trailer(stream, position, header)
        # Python ends a name at a zero byte.
        _require("\0" not in name, f"a name with a zero byte, {name!r:.80}")
        _require(name not in entries, f"two entries have the same name, {name!r:.80}")
        entries[name] = ZipEntry(name, header.method == _DEFLATED, header.crc, header.packed, header.size, start)
    _require(at == len(directory) and position == end, "bytes that belong to no entry")
    return entries


@final
@dataclass(frozen=True, slots=True)
class _Header:
    """What the directory says of an entry."""

    name: str
    flags: int
    method: int
    crc: int
    packed: int
    size: int
    offset: int


def _require(holds: bool, reason: str) -> None:
    if not holds:
        raise ValueError(f"{reason}; load it and save it again")


def _read(stream: BufferedReader, start: int, length: int) -> bytes:
    stream.seek(max(start, 0))
    content = stream.read(length)
    _require(start >= 0 and len(content) == length, "it ends too early")
    return content


def _directory(stream: BufferedReader, size: int) -> tuple[int, bytes, int]:
    """Number of entries, the directory, and where it starts."""
    end = size - _END.size
    sign, disk, first, here, count, length, start, comment = _END.unpack(_read(stream, end, _END.size))
    _require(sign == b"PK\5\6" and not comment, "it does not end with the end record")
    _require(disk == first == 0 and here == count, "parts on other disks")
    tail = _read(stream, end - _LOCATOR.size, _LOCATOR.size) if end >= _LOCATOR.size else b""
    if tail[:4] == b"PK\6\7":
        end -= _LOCATOR.size + _END_64.size
        wide = _END_64.unpack(_read(stream, end, _END_64.size))
        _require(tail == _LOCATOR.pack(b"PK\6\7", 0, end, 1), "its 64-bit end record is elsewhere")
        _require(wide[:2] == (b"PK\6\6", _END_64.size - 12) and not any(wide[4:6]), "a strange 64-bit end record")
        pairs = ((count, wide[7], 2**16 - 1), (length, wide[8], _FULL), (start, wide[9], _FULL))
        _require(all(narrow in (full, most) for narrow, full, most in pairs), "its two end records differ")
        _require(wide[6] == wide[7], "parts on other disks")
        count, length, start = wide[7:]
    _require(start + length == end, "its directory does not end at the end record")
    _require(length <= MAX_DIRECTORY, f"the directory has over {MAX_DIRECTORY} bytes")
    return count, _read(stream, start, length), start


def _central(directory: bytes, at: int) -> tuple[_Header, int]:
    """One entry of the directory, and where the next one starts."""
    _require(at + _CENTRAL.size <= len(directory), "its directory ends too early")
    fields = _CENTRAL.unpack_from(directory, at)
    sign, _, _, flags, method, _, _, crc, packed, size, named, more, comment, disk, _, _, offset = fields
    at += _CENTRAL.size
    raw, extra = directory[at : at + named], directory[at + named : at + named + more]
    _require(sign == b"PK\1\2" and len(raw + extra) == named + more, "its directory is damaged")
    _require(not comment and not disk, "an entry with a comment, or on another disk")
    name = raw.decode("utf-8" if flags & _UTF8 else "ascii")
    known = flags & ~(_UTF8 | _SIZES_FOLLOW | _EFFORT) == 0 and method in (_STORED, _DEFLATED)
    _require(known, f"entry {name!r:.80} is encrypted or packed by an unknown method")
    (size, packed, offset), rest = _widened((size, packed, offset), extra)
    _require(not rest and (method == _DEFLATED or packed == size), f"entry {name!r:.80} lies about its size")
    return _Header(name, flags, method, crc, packed, size, offset), at + named + more


def _require_local(stream: BufferedReader, header: _Header) -> int:
    """The local header says what the directory says; gives where the entry's bytes start."""
    fields = _LOCAL.unpack(_read(stream, header.offset, _LOCAL.size))
    sign, _, flags, method, _, _, crc, packed, size, named, more = fields
    text = _read(stream, header.offset + _LOCAL.size, named + more)
    (size, packed), _ = _widened((size, packed), text[named:])
    same = (flags, method, text[:named]) == (header.flags, header.method, header.name.encode())
    known = (crc, size, packed) == (header.crc, header.size, header.packed)
    later = bool(header.flags & _SIZES_FOLLOW) and (crc, size, packed) == (0, 0, 0)
    _require(sign == b"PK\3\4" and same and (known or later), f"entry {header.name!r:.80} and the directory differ")
    return header.offset + _LOCAL.size + len(text)


def _widened(values: tuple[int, ...], extra: bytes) -> tuple[list[int], bytes]:
    """Numbers that are too large for 32 bits, from the extra field; and what is left of it."""
    found, wide = [], _extras(extra).get(_WIDE, b"")
    for value in values:
        if value == _FULL:
            _require(len(wide) >= 8, "a 64-bit size is missing")
            found.append(int.from_bytes(wide[:8], "little"))
            wide = wide[8:]
        else:
            found.append(value)
    return found, wide


def _extras(content: bytes) -> dict[int, bytes]:
    found: dict[int, bytes] = {}
    while content:
        kind, length = int.from_bytes(content[:2], "little"), int.from_bytes(content[2:4], "little")
        _require(len(content) >= 4 + length, "a damaged extra field")
        _require(kind in _EXTRAS and kind not in found, f"an extra field of kind {kind:#x}")
        found[kind], content = content[4 : 4 + length], content[4 + length :]
    return found


def _trailer(stream: BufferedReader, position: int, header: _Header) -> int:
    """Bytes of the sizes that follow an entry, in 32 or 64 bits each."""
    for layout in ("<4s3I", "<4sI2Q") if header.size < _FULL else ("<4sI2Q",):
        expected = struct.pack(layout, b"PK\7\10", header.crc, header.packed, header.size)
        if _read(stream, position, len(expected)) == expected:
            return len(expected)
    raise ValueError(f"the sizes after entry {header.name!r:.80} differ from the directory's")
