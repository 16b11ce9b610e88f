"""Zip archives written entry by entry, with deviations on which readers disagree."""

import struct
import zlib
from dataclasses import dataclass, field, replace

UNICODE_PATH = 0x7075


@dataclass
class Entry:
    """One entry: `local_…` is what its own header says where that is not what the directory says."""

    name: bytes
    content: bytes
    local_name: bytes | None = None
    local_size: int | None = None
    extra: bytes = b""
    local_extra: bytes = b""
    comment: bytes = b""
    flags: int = 0
    deflated: bool = False
    sizes_after: bool = False
    before: bytes = b""
    shown: int = 1
    offset_of: int | None = None
    checksum: int = 0
    wide: bool = False


@dataclass
class Layout:
    """An archive: entries in the order of their bytes, and `order` that of the directory."""

    entries: list[Entry]
    order: list[int] | None = None
    start: bytes = b""
    gap: bytes = b""
    end: bytes = b""
    comment: bytes = b""
    count_off: int = 0
    start_off: int = 0
    disk: int = 0
    notes: list[str] = field(default_factory=list)

    def written(self) -> bytes:
        """The bytes."""
        found, headers, offsets = bytearray(self.start), [], []
        for entry in self.entries:
            found += entry.before
            offsets.append(len(found))
            found += self._local(entry, headers)
        found += self.gap
        begin, shown = len(found), 0
        for index in self.order if self.order is not None else range(len(self.entries)):
            for _ in range(self.entries[index].shown):
                entry = self.entries[index]
                offset = offsets[index if entry.offset_of is None else entry.offset_of % len(offsets)]
                found += self._central(entry, headers[index], offset)
                shown += 1
        size, count = len(found) - begin, max(shown + self.count_off, 0)
        end = (self.disk, 0, count, count, size, max(begin + self.start_off, 0), len(self.comment))
        return bytes(found + struct.pack("<4s4H2IH", b"PK\5\6", *end) + self.comment + self.end)

    @staticmethod
    def _local(entry: Entry, headers: list) -> bytes:
        packer = zlib.compressobj(wbits=-15)
        raw = packer.compress(entry.content) + packer.flush() if entry.deflated else entry.content
        checksum = zlib.crc32(entry.content) ^ entry.checksum
        flags, method = entry.flags | 8 * entry.sizes_after, 8 * entry.deflated
        headers.append((flags, method, checksum, len(raw)))
        known = (checksum, len(raw), len(entry.content)) if not entry.sizes_after else (0, 0, 0)
        size = known[2] if entry.local_size is None else entry.local_size
        name, extra = entry.name if entry.local_name is None else entry.local_name, entry.local_extra
        packed = known[1]
        if entry.wide:
            extra += struct.pack("<2H2Q", 1, 16, size, packed)
            # torch writes 0 where the sizes follow, numpy that they stand in the extra field.
            size, packed = (0, 0) if entry.sizes_after else (2**32 - 1, 2**32 - 1)
        head = struct.pack(
            "<4s5H3I2H", b"PK\3\4", 20, flags, method, 0, 0, known[0], packed, size, len(name), len(extra)
        )
        after = struct.pack("<4s3I", b"PK\7\10", checksum, len(raw), len(entry.content)) if entry.sizes_after else b""
        return head + name + extra + raw + after

    @staticmethod
    def _central(entry: Entry, header: tuple, offset: int) -> bytes:
        flags, method, checksum, packed = header
        lengths = (len(entry.name), len(entry.extra), len(entry.comment), 0, 0, 0, offset)
        fields = (20, 20, flags, method, 0, 0, checksum, packed, len(entry.content), *lengths)
        return struct.pack("<4s6H3I5H2I", b"PK\1\2", *fields) + entry.name + entry.extra + entry.comment


def harmless(layout, rng):
    """What any writer may do."""
    entry = layout.entries[rng.integers(len(layout.entries))]
    match rng.integers(4):
        case 0:
            entry.deflated = True
        case 1:
            entry.sizes_after = True
        case 2:
            entry.local_extra = struct.pack("<2H", 0x4246, 5) + b"ZZZZZ"
        case 3:
            entry.wide = True
    return layout


def deviated(layout, rng):
    """The archive with one deviation from what writers of archives do."""
    entries = layout.entries
    at = int(rng.integers(len(entries)))
    entry, other = entries[at], entries[int(rng.integers(len(entries)))]
    decoy = replace(entry, content=bytes(b ^ 1 for b in entry.content))
    place = int(rng.integers(len(entries) + 1))
    match int(rng.integers(24)):
        case 0:
            entries.insert(place, decoy)
        case 1:
            entries.insert(place, replace(decoy, name=entry.name.swapcase()))
        case 2:
            entries.insert(place, replace(decoy, name=entry.name.upper(), local_name=entry.name))
        case 3:
            entries.insert(place, replace(decoy, shown=0))
        case 4:
            entry.shown = int(rng.integers(0, 3))
        case 5:
            entry.local_name = other.name
        case 6:
            entry.offset_of = int(rng.integers(len(entries)))
        case 7:
            entry.before = rng.bytes(int(rng.integers(1, 9)))
        case 8:
            layout.order = [int(i) for i in rng.permutation(len(entries))]
        case 9:
            layout.comment = rng.bytes(int(rng.integers(1, 30)))
        case 10:
            entry.comment = b"comment"
        case 11:
            layout.start = rng.bytes(int(rng.integers(1, 40)))
            layout.start_off = -len(layout.start) if rng.integers(2) else 0
        case 12:
            layout.gap = rng.bytes(int(rng.integers(1, 40)))
        case 13:
            layout.end = rng.bytes(int(rng.integers(1, 40)))
        case 14:
            path = struct.pack("<BI", 1, zlib.crc32(entry.name)) + other.name
            entry.extra = struct.pack("<2H", UNICODE_PATH, len(path)) + path
        case 15:
            entry.flags = int(1 << rng.integers(16))
        case 16:
            entry.local_size = int(rng.integers(2 * len(entry.content) + 2))
        case 17:
            layout.count_off = int(rng.integers(-2, 3))
        case 18:
            layout.start_off = int(rng.integers(-60, 60))
        case 19:
            layout.disk = 1
        case 20:
            entries.insert(place, replace(decoy, name=entry.name + b"\0" + rng.bytes(2).hex().encode()))
        case 21:
            entries.insert(place, replace(decoy, name=entry.name + b".npy"))
        case 22:
            twin = Layout([replace(e) for e in entries])
            twin.entries[at] = decoy
            layout.start = twin.written()
            layout.start_off = -len(layout.start) if rng.integers(2) else 0
        case 23:
            entry.checksum = 1
    return layout


def mutant(members, rng):
    """An archive of the members with up to two harmless features and up to two deviations."""
    layout = Layout([Entry(name.encode(), content) for name, content in members])
    for _ in range(rng.integers(3)):
        layout = harmless(layout, rng)
    for _ in range(rng.integers(3)):
        layout = deviated(layout, rng)
    return layout.written()
