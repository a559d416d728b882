"""What a VMDK would make QEMU do beyond reading it (its docs/interop knows no VMDK: block/vmdk.c).

A header of no capacity, or a type of several files, sends QEMU to the files that the descriptor
names; a parent's name makes it open that. oslo.utils refuses unknown types and paths with a “/”;
here the descriptor must describe exactly this one file.
"""

import re
import struct

from workstation.core.foreign.piece import Piece
from workstation.errors import InvalidError

SPARSE_HEADER = struct.Struct("<4sIIQQQQIQQQB4sH")
"""Magic, version, flags, capacity, grain, descriptor's place and size, entries a table, redundant
directory, directory, overhead, unclean, line ends, compression; numbers of sectors."""

GD_AT_END = 2**64 - 1
"""The directory's place where it is only known at the end: the footer has it."""

_EXTENT = re.compile(r'(?:rw|rdonly)\s+(\d{1,15})\s+sparse\s+"[^"/]{1,255}"(?:\s+\d+)?')
_MOST_DESCRIPTOR = 2**20


def check_vmdk(piece: Piece, size: int) -> None:
    """Raises InvalidError unless the image is one file, without a parent, and says so itself."""
    header = SPARSE_HEADER.unpack(piece.exactly(0, SPARSE_HEADER.size))
    capacity, at, length = header[3], header[5], header[6]
    if not capacity or capacity * 512 != size:
        raise _elsewhere(piece)
    text = piece.read(at * 512, min(length * 512, _MOST_DESCRIPTOR)).partition(b"\0")[0]
    _check_descriptor(piece, text.decode("latin-1").lower(), capacity)
    if header[9] == GD_AT_END:
        footer = SPARSE_HEADER.unpack(piece.exactly(piece.size - 1024, SPARSE_HEADER.size))
        # All but the flags of an unclean end and the directories' places is the same.
        if footer[3:8] != header[3:8] or footer[13] != header[13]:
            raise InvalidError(f"the beginning and the end of {piece.name} contradict each other")


def _check_descriptor(piece: Piece, text: str, capacity: int) -> None:
    extents = 0
    for line in map(str.strip, text.splitlines()):
        if line.startswith("parentfilenamehint"):
            raise _elsewhere(piece)
        if line.startswith("parentcid") and line.partition("=")[2].strip() != "ffffffff":
            raise _elsewhere(piece)
        if line.split(" ")[0] in ("rw", "rdonly", "noaccess"):
            match = _EXTENT.fullmatch(line)
            extents += 1
            if not match or int(match[1]) != capacity or extents > 1:
                raise _elsewhere(piece)


def _elsewhere(piece: Piece) -> InvalidError:
    return InvalidError(
        f"{piece.name} keeps its content, or part of it, in another file",
        hint="make it one file where it was made: qemu-img convert -O qcow2 OLD NEW",
    )
