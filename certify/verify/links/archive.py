"""Zip archives that every reader reads alike: members end to end from byte 0, then the directory, then its end record.

Source: PKWARE, APPNOTE.TXT 6.3.10, sections 4.3 and 4.5.
"""

from __future__ import annotations

import re
import struct
import zlib
from typing import NamedTuple

from certify.verify.rejection import refuse

LARGEST_UNPACKED = 8 * 2**30

_LOCAL, _CENTRAL = struct.Struct("<4s5H3I2H"), struct.Struct("<4s6H3I5H2I")
_END, _END_64, _LOCATOR = struct.Struct("<4s4H2IH"), struct.Struct("<4sQ2H2I4Q"), struct.Struct("<4sIQI")
_STORED, _DEFLATED = 0, 8
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")
# Names in UTF-8, sizes after the content, and how hard was packed.
_UTF8, _AFTER, _EFFORT = 0x800, 0x8, 0x6
# Extra fields: 64-bit sizes, padding, two kinds of times. None of them names a member.
_WIDE, _EXTRAS = 0x1, (0x1, 0x4246, 0x5455, 0x7875)
_FULL, _FULL_16 = 2**32 - 1, 2**16 - 1


class _Member(NamedTuple):
    """What the directory says of a member."""

    name: bytes
    flags: int
    method: int
    checksum: int
    size: int
    packed: int
    start: int


class Archive:
    """Members by name, read when asked for.

    Attributes:
        names: in order.

    Raises:
        ValueError: readers might differ on it.
        Rejection: `size-limit`: it unpacks to over `LARGEST_UNPACKED` bytes.
    """

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._contents: dict[str, tuple[_Member, int]] = {}
        count, at, end = self._directory()
        directory, position = at, 0
        for _ in range(count):
            member, at = self._central(at)
            begin = self._local(member, position)
            name = member.name.decode("utf-8" if member.flags & _UTF8 else "ascii")
            # Python ends a name at a zero byte.
            _require(not _CONTROL.search(name), f"a member named {name!r:.60}")
            self._contents[name] = member, begin
            position = begin + member.packed
            if member.flags & _AFTER:
                position += self._sizes_after(member, position)
        _require(position == directory and at == end, "bytes that belong to no member")
        _require(len(self._contents) == count, "two members of the same name")
        self.names = list(self._contents)
        if sum(member.size for member, _ in self._contents.values()) > LARGEST_UNPACKED:
            refuse("size-limit", "the archive unpacks to too much")

    def read(self, name: str) -> bytes:
        """The content of a member; a KeyError if there is none of this name."""
        member, begin = self._contents[name]
        content = self._data[begin : begin + member.packed]
        if member.method == _DEFLATED:
            stream = zlib.decompressobj(-zlib.MAX_WBITS)
            content = stream.decompress(content, member.size + 1)
            _require(stream.eof and not stream.unused_data, f"a damaged member {name!r:.60}")
        whole = len(content) == member.size and zlib.crc32(content) == member.checksum
        _require(whole, f"a damaged member {name!r:.60}")
        return content

    def _unpack(self, layout: struct.Struct, at: int, what: str) -> tuple[int, ...]:
        _require(0 <= at <= len(self._data) - layout.size, f"no {what} at byte {at}")
        sign, *numbers = layout.unpack_from(self._data, at)
        signs = {_LOCAL: b"\3\4", _CENTRAL: b"\1\2", _END: b"\5\6", _END_64: b"\6\6", _LOCATOR: b"\6\7"}
        _require(sign == b"PK" + signs[layout], f"no {what} at byte {at}")
        return tuple(numbers)

    def _directory(self) -> tuple[int, int, int]:
        """Number of members, and where the directory begins and ends."""
        end = len(self._data) - _END.size
        *disks, here, count, length, begin, comment = self._unpack(_END, end, "end record")
        _require(not any(disks) and here == count and not comment, "other parts, or a comment")
        if self._data[max(end - _LOCATOR.size, 0) :].startswith(b"PK\6\7"):
            narrow, end = (count, length, begin), end - _LOCATOR.size - _END_64.size
            wide = self._unpack(_END_64, end, "64-bit end record")
            located = self._unpack(_LOCATOR, end + _END_64.size, "locator") == (0, end, 1)
            _require(located and wide[0] == _END_64.size - 12 and wide[3:5] == (0, 0), "a strange end record")
            here, count, length, begin = wide[5:]
            pairs = zip(narrow, (count, length, begin), (_FULL_16, _FULL, _FULL), strict=True)
            same = here == count and all(short in (long, full) for short, long, full in pairs)
            _require(same, "end records that differ")
        _require(begin + length == end, "no end record after the directory")
        return count, begin, end

    def _central(self, at: int) -> tuple[_Member, int]:
        """A member of the directory, and where the next one begins."""
        fields = self._unpack(_CENTRAL, at, "member of the directory")
        _, _, flags, method, _, _, checksum, packed, size, named, more, comment, disk, _, _, start = fields
        at += _CENTRAL.size
        name, extra = self._data[at : at + named], self._data[at + named : at + named + more]
        known = not flags & ~(_UTF8 | _AFTER | _EFFORT) and method in (_STORED, _DEFLATED) and not comment and not disk
        _require(known, f"a member {name!r:.60} that is encrypted, packed in another way or has a comment")
        (size, packed, start), left = _widened((size, packed, start), extra)
        _require(not left, f"a 64-bit size of {name!r:.60} that nothing needs")
        _require(method == _DEFLATED or size == packed, f"two sizes of {name!r:.60}")
        return _Member(name, flags, method, checksum, size, packed, start), at + named + more

    def _local(self, member: _Member, position: int) -> int:
        """Where the content of a member begins whose local header, at `position`, must say what the directory says."""
        _require(member.start == position, f"members that overlap, or a gap, at {member.name!r:.60}")
        _, flags, method, _, _, checksum, packed, size, named, more = self._unpack(_LOCAL, position, "member")
        at = position + _LOCAL.size
        (size, packed), _ = _widened((size, packed), self._data[at + named : at + named + more])
        told = (checksum, size, packed) == (member.checksum, member.size, member.packed)
        told |= bool(flags & _AFTER) and (checksum, size, packed) == (0, 0, 0)
        same = (flags, method, self._data[at : at + named]) == (member.flags, member.method, member.name)
        _require(same and told, f"two accounts of {member.name!r:.60}")
        return at + named + more

    def _sizes_after(self, member: _Member, position: int) -> int:
        """Bytes of the sizes that follow a member's content."""
        for layout in (struct.Struct("<4sI2Q"), struct.Struct("<4s3I")):
            if max(member.size, member.packed) <= _FULL or layout.size > 16:
                expected = layout.pack(b"PK\7\10", member.checksum, member.packed, member.size)
                if self._data.startswith(expected, position):
                    return layout.size
        raise ValueError(f"the archive has two accounts of {member.name!r:.60}")


def _widened(values: tuple[int, ...], extra: bytes) -> tuple[list[int], bytes]:
    """Numbers of which those that do not fit 32 bits stand in an extra field, in this order; and what is left of it."""
    fields: dict[int, bytes] = {}
    while extra:
        kind, length = int.from_bytes(extra[:2], "little"), int.from_bytes(extra[2:4], "little")
        known = kind in _EXTRAS and kind not in fields and len(extra) >= 4 + length
        _require(known, f"an extra field of kind {kind}")
        fields[kind], extra = extra[4 : 4 + length], extra[4 + length :]
    wide, found = fields.get(_WIDE, b""), []
    for value in values:
        found.append(value if value < _FULL else int.from_bytes(wide[:8], "little"))
        _require(value < _FULL or len(wide) >= 8, "no 64-bit size where one is needed")
        wide = wide if value < _FULL else wide[8:]
    return found, wide


def _require(holds: bool, found: str) -> None:
    if not holds:
        raise ValueError(f"the archive has {found}")
