"""Whether a disk image is cut off: QEMU reads what is missing at its end as zeros, silently.

Each format has tables that say where in the file a block of the disk lies; all of it must be
within the file. That finds truncation. Changed bytes only digests find, where there are any.
"""

from __future__ import annotations

import struct
import sys
from array import array
from collections.abc import Iterator
from typing import Literal

from workstation.core.foreign.piece import Piece
from workstation.core.foreign.vmdk import GD_AT_END, SPARSE_HEADER
from workstation.errors import InvalidError

_MOST_ENTRIES = 2**25
"""Of one table: 2 TiB of a disk in blocks of 64 KiB."""


def _cut_off(piece: Piece) -> InvalidError:
    return InvalidError(
        f"{piece.name} is cut off: part of its content is missing",
        hint="copy it anew from where it came",
    )


def _table(
    piece: Piece, at: int, entries: int, kind: Literal["I", "Q"], *, big: bool = False
) -> array[int]:
    """A table of numbers, of array's type `kind`."""
    if entries > _MOST_ENTRIES:
        raise InvalidError(f"{piece.name} has a table of {entries} entries, which is absurd")
    table: array[int] = array(kind)
    raw = piece.read(at, entries * table.itemsize)
    if len(raw) < entries * table.itemsize:
        raise _cut_off(piece)
    table.frombytes(raw)
    if big != (sys.byteorder == "big"):
        table.byteswap()
    return table


def _require(piece: Piece, end: int) -> None:
    if end > piece.size:
        raise _cut_off(piece)


# -- qcow2 (QEMU's docs/interop/qcow2.txt) ----------------------------------------

_OFFSET = 0x00FFFFFFFFFFFE00
_COMPRESSED = 1 << 62
_ZERO = 1


def check_qcow2(piece: Piece) -> None:
    """Every cluster of the guest lies within the file."""
    raw = piece.read(0, 104).ljust(104, b"\0")
    version, bits, size, l1_entries, l1_at = struct.unpack(">4xI12xIQ4xIQ", raw[:48])
    if not 9 <= bits <= 21:
        raise InvalidError(f"{piece.name} has clusters of 2^{bits} bytes, which is not possible")
    cluster = 1 << bits
    if l1_entries < -(-size // (cluster * cluster // 8)):
        raise InvalidError(f"{piece.name} has too small a table for its size")
    seen: set[int] = set()
    for entry in _table(piece, l1_at, l1_entries, "Q", big=True):
        at = entry & _OFFSET
        if at and at not in seen:  # one table under many entries is looked at once
            seen.add(at)
            table = _table(piece, at, cluster // 8, "Q", big=True)
            _require(piece, max(_ends(table, bits, version), default=0))


def _ends(table: array[int], bits: int, version: int) -> Iterator[int]:
    cluster, shift = 1 << bits, 62 - (bits - 8)
    for entry in table:
        if entry & _COMPRESSED:
            # The last sector of compressed data may not be filled.
            yield (entry & ((1 << shift) - 1)) + 1
        elif entry & _OFFSET and not (version == 3 and entry & _ZERO):
            yield (entry & _OFFSET) + cluster


# -- VMDK (VMware's Virtual Disk Format 5.0) ----------------------------------------


def check_vmdk(piece: Piece) -> None:
    """Every grain begins within the file; of a stream, its end was looked at before."""
    header = SPARSE_HEADER.unpack(piece.exactly(0, SPARSE_HEADER.size))
    if header[9] == GD_AT_END:
        header = SPARSE_HEADER.unpack(piece.exactly(piece.size - 1024, SPARSE_HEADER.size))
    capacity, grain, entries, directory = header[3], header[4], header[7], header[9]
    if not grain or not 0 < entries <= 512:
        raise InvalidError(f"{piece.name} has tables of {entries} entries, which is not possible")
    compressed = bool(header[13])
    tables = -(-capacity // (grain * entries))
    for at in set(_table(piece, directory * 512, tables, "I")):
        if at:
            top = max(_table(piece, at * 512, entries, "I"))
            if top > 1:  # 0 is empty, 1 is zeros
                _require(
                    piece, top * 512 + (_compressed(piece, top) if compressed else grain * 512)
                )


def _compressed(piece: Piece, grain: int) -> int:
    """Bytes of a compressed grain at that sector: its marker, and what that says follows."""
    marker = piece.read(grain * 512, 12)
    return 12 + int.from_bytes(marker[8:12], "little")


# -- VDI (VirtualBox) -----------------------------------------------------------------


def check_vdi(piece: Piece) -> None:
    """Every block lies within the file."""
    raw = piece.read(0, 512)
    at, data = struct.unpack("<II", raw[0x154:0x15C])
    block, _, blocks = struct.unpack("<III", raw[0x178:0x184])
    table = _table(piece, at, blocks, "I")
    top = max((entry for entry in table if entry < 0xFFFFFFFE), default=-1)
    _require(piece, data + (top + 1) * block if top >= 0 else 0)


# -- VHDX (MS-VHDX) ---------------------------------------------------------------------

_BAT = "2dc27766-f623-4200-9d64-115e9bfd4a08"
_METADATA = "8b7ca206-4790-4b9a-b8fe-575f050f886e"
_PARAMETERS = "caa16737-fa36-4d43-b3b6-33f0aa44e76b"
_PRESENT = 6


def check_vhdx(piece: Piece) -> None:
    """Every block that is there lies within the file; what a parent would hold is refused."""
    regions = _entries(piece.read(192 * 1024, 65_536), 16, 8, 2047)
    if _BAT not in regions or _METADATA not in regions:
        raise InvalidError(f"{piece.name} is a damaged vhdx image: a table is missing")
    at, length = struct.unpack("<QI", regions[_BAT][:12])
    (metadata,) = struct.unpack("<Q", regions[_METADATA][:8])
    items = _entries(piece.read(metadata, 65_536), 32, 10, 2047)
    (offset,) = struct.unpack("<I", items.get(_PARAMETERS, bytes(4))[:4])
    raw = piece.read(metadata + offset, 8)
    if not offset or len(raw) < 8:
        raise InvalidError(f"{piece.name} is a damaged vhdx image: its block size is missing")
    block, flags = struct.unpack("<II", raw)
    if flags & 2:
        raise InvalidError(f"{piece.name} keeps part of its content in another file")
    table = _table(piece, at, length // 8, "Q")
    tops = (entry >> 20 << 20 for entry in table if entry & 7 == _PRESENT)
    top = max(tops, default=0)
    _require(piece, top + block if top else 0)


def _entries(raw: bytes, first: int, count_at: int, most: int) -> dict[str, bytes]:
    """What follows each GUID of a table of 32-byte entries."""
    from uuid import UUID

    if len(raw) < first:
        return {}
    (count,) = struct.unpack_from("<H", raw, count_at)
    found = {}
    for at in range(first, min(first + 32 * min(count, most), len(raw) - 31), 32):
        found[str(UUID(bytes_le=raw[at : at + 16]))] = raw[at + 16 : at + 32]
    return found


# -- ISO 9660 -----------------------------------------------------------------------------


def check_iso(piece: Piece) -> None:
    """The volume's end, as its primary descriptor gives it, lies within the file."""
    raw = piece.read(32_768, 2048)
    if raw[:6] == b"\x01CD001":
        (blocks,), (size,) = struct.unpack("<I", raw[80:84]), struct.unpack("<H", raw[128:130])
        _require(piece, blocks * size)
