"""Where the clusters of a qcow2 lie, read without any QEMU program (QEMU's docs/interop/qcow2.txt).

The tables may be a stranger's: nothing beyond the file is believed, and what is out of the
ordinary is left to QEMU.
"""

from __future__ import annotations

import struct
import sys
from array import array
from collections.abc import Callable, Iterator
from typing import NamedTuple

from workstation.errors import InvalidError

Read = Callable[[int, int], bytes]
"""Gets an offset and a number of bytes of the image."""

_HEADER = struct.Struct(">4sIQIIQIIQ")
_FEATURES = struct.Struct(">Q")
_MAGIC = b"QFI\xfb"
_ORDINARY = 0b1001
"""Features that change nothing here: it was not closed well, and how clusters are compressed."""

_OFFSET = 0x00FF_FFFF_FFFF_FE00
_PACKED = 1 << 62
_ZERO = 1

_MOST_TABLES = 2**18

ZEROS = -1
"""The place of a cluster that reads as zeros."""

_OF_A_RAW = 2**16
"""Bytes that a raw image is looked at by."""


class Clusters(NamedTuple):
    """An image whose clusters lie where its tables say, none of them packed."""

    size: int
    """Bytes that a guest sees."""
    cluster: int
    """Bytes of one."""
    tables: dict[int, array[int]] | None
    """The second-level tables, by their places in the first; each entry is that of a cluster.

    None for a raw image: there each cluster lies where a guest sees it."""

    @property
    def entries(self) -> int:
        """Clusters that a table is of."""
        return self.cluster // 8

    def ranges(self) -> Iterator[range]:
        """Bytes of the guest that anything may be in."""
        if self.tables is None:
            yield range(self.size)
            return
        span = self.entries * self.cluster
        for table in sorted(self.tables):
            yield range(table * span, min((table + 1) * span, self.size))

    def places(self, first: int, count: int) -> list[int | None]:
        """Where each of those clusters lies, or ZEROS; None for one that is not here."""
        if self.tables is None:
            return [place * self.cluster for place in range(first, first + count)]
        found: list[int | None] = []
        for number in range(first, first + count):
            table = self.tables.get(number // self.entries)
            found.append(_place(table[number % self.entries]) if table else None)
        return found


def _place(entry: int) -> int | None:
    if entry & _ZERO:
        return ZEROS
    return entry & _OFFSET or None


def read(source: Read, length: int) -> Clusters | None:
    """The clusters of an image of that many bytes; None where it is not an ordinary one.

    Raises InvalidError where its tables do not lie in it.
    """
    raw = source(0, 104)
    if raw[:4] != _MAGIC:
        return None
    _, version, _, _, bits, size, encrypted, entries, offset = _HEADER.unpack(raw[:48])
    features = _FEATURES.unpack(raw[72:80])[0] if version == 3 else 0
    if version not in (2, 3) or encrypted or features & ~_ORDINARY or not 12 <= bits <= 21:
        return None
    cluster = 1 << bits
    if entries > _MOST_TABLES:
        return None
    tables = {}
    for number, entry in enumerate(_numbers(_within(source, length, offset, entries * 8))):
        if place := entry & _OFFSET:
            tables[number] = _numbers(_within(source, length, place, cluster))
    if any(entry & _PACKED for table in tables.values() for entry in table):
        return None
    return Clusters(size, cluster, tables)


def of_raw(length: int) -> Clusters:
    """A raw image of that many bytes; its last sector is filled."""
    return Clusters(-(-length // 512) * 512, _OF_A_RAW, None)


def _within(source: Read, length: int, offset: int, size: int) -> bytes:
    data = source(offset, size) if offset + size <= length else b""
    if len(data) != size:
        raise InvalidError("its tables do not lie in it")
    return data


def _numbers(data: bytes) -> array[int]:
    found = array("Q", data)
    if sys.byteorder == "little":
        found.byteswap()
    return found


# -- writing ----------------------------------------------------------------------------

_REFCOUNTS_16_BIT = 4
_LENGTH_OF_HEADER = 112
_COMPRESSION_TYPE = 1 << 3
_ZSTD = 1
_COPIED = 1 << 63


class Packed:
    """A qcow2 of clusters that are packed by zstd, written front to back, its header last.

    `write` gets bytes and where in the image they belong.
    """

    def __init__(self, write: Callable[[bytes, int], None], size: int, cluster: int) -> None:
        self._write, self._size, self._cluster = write, size, cluster
        self._bits = cluster.bit_length() - 1
        self._end = cluster
        """Behind what was written; the header has the first cluster."""
        self._gap = (0, 0)
        """The largest one that was left so that a cluster is aligned."""
        self._tables: dict[int, array[int]] = {}
        self._counts: array[int] = array("H", [1])

    def packed(self, number: int, data: bytes) -> None:
        """The cluster of that number is this zstd frame."""
        shift = 62 - (self._bits - 8)
        at = self._room(len(data))
        last = at + len(data) - 1
        self._enter(number, at | ((last >> 9) - (at >> 9)) << shift | _PACKED)
        # QEMU counts by the sectors that a frame touches.
        self._count(at >> self._bits, (last | 511) >> self._bits)
        self._write(data, at)

    def plain(self, number: int, data: bytes) -> None:
        """It is this, as it is: it could not be packed."""
        gap = (self._end, self._aligned())
        self._gap = max(self._gap, gap, key=lambda one: one[1] - one[0])
        self._end = gap[1]
        self._enter(number, self._end | _COPIED)
        self._count(self._end >> self._bits, self._end >> self._bits)
        self._put(data)

    def zero(self, number: int) -> None:
        """It reads as zeros, whatever lies below."""
        self._enter(number, _ZERO)

    def finish(self) -> int:
        """Write the tables and the header; returns the image's size."""
        first = array("Q", [0] * max(1, -(-self._size // (self._cluster * self._cluster // 8))))
        for number, table in self._tables.items():
            first[number] = self._whole(_bytes(table)) | _COPIED
        place = self._whole(_bytes(first))
        table_at, table_clusters = self._refcounts()
        header = struct.pack(
            ">4sIQIIQIIQQIIQQQQII", _MAGIC, 3, 0, 0, self._bits, self._size, 0, len(first),
            place, table_at, table_clusters, 0, 0, _COMPRESSION_TYPE, 0, 0, _REFCOUNTS_16_BIT,
            _LENGTH_OF_HEADER,
        )  # fmt: skip
        header += bytes([_ZSTD]).ljust(8, b"\0")
        self._write(header.ljust(self._cluster, b"\0"), 0)
        return self._end

    def _room(self, size: int) -> int:
        """Where a frame goes: before a cluster that had to be aligned, or at the end."""
        begins, ends = self._gap
        if begins + size <= ends:
            self._gap = (begins + size, ends)
            return begins
        self._end += size
        return self._end - size

    def _refcounts(self) -> tuple[int, int]:
        """Where their table is, and its clusters; it and its blocks count themselves."""
        blocks_of, begins = self._cluster // 2, self._aligned() >> self._bits
        blocks = tables = 0
        while True:  # what they take makes them more
            total = begins + blocks + tables
            needed = -(-total // blocks_of)
            needed_tables = -(-needed * 8 // self._cluster)
            if (needed, needed_tables) == (blocks, tables):
                break
            blocks, tables = needed, needed_tables
        self._count(begins, begins + blocks + tables - 1)
        self._counts.extend([0] * (blocks * blocks_of - len(self._counts)))
        self._whole(_bytes(self._counts))
        places = array("Q", [(begins + number) * self._cluster for number in range(blocks)])
        return self._whole(_bytes(places), counted=True), tables

    def _whole(self, data: bytes, *, counted: bool = False) -> int:
        """Clusters of their own for that; returns where they begin."""
        begins = self._end = self._aligned()
        padded = data.ljust(-(-len(data) // self._cluster) * self._cluster, b"\0")
        if not counted and len(self._counts) <= begins >> self._bits:
            self._count(begins >> self._bits, (begins + len(padded) - 1) >> self._bits)
        self._put(padded)
        return begins

    def _put(self, data: bytes) -> None:
        self._write(data, self._end)
        self._end += len(data)

    def _aligned(self) -> int:
        return -(-self._end // self._cluster) * self._cluster

    def _enter(self, number: int, entry: int) -> None:
        entries = self._cluster // 8
        table = self._tables.get(number // entries)
        if table is None:
            table = self._tables[number // entries] = array("Q", bytes(8 * entries))
        table[number % entries] = entry

    def _count(self, first: int, last: int) -> None:
        if last >= len(self._counts):
            self._counts.extend([0] * (last + 1 - len(self._counts)))
        for place in range(first, last + 1):
            self._counts[place] += 1


def _bytes(numbers: array[int]) -> bytes:
    if sys.byteorder == "little":
        numbers = numbers[:]
        numbers.byteswap()
    return numbers.tobytes()
