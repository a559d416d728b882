"""Disk images of strangers: which format they are, and that QEMU may be let near them.

Before any QEMU program opens one: oslo.utils' format inspector, then our own look at what it does
not look at. The format is decided here, by the content, and then always given.
"""

import struct
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from workstation.core.foreign import whole
from workstation.core.foreign.piece import Piece
from workstation.core.foreign.vmdk import check_vmdk
from workstation.errors import InvalidError
from workstation.model.units import format_size
from workstation.qemu import qcow2
from workstation.qemu.blockdev import Node

if TYPE_CHECKING:
    from oslo_utils.imageutils.format_inspector import FileInspector

_HEAD = 4 * 2**20
"""Bytes that the inspector is shown: VHDX has its size behind the first 2 MiB."""
_CHUNK = 4096

DRIVERS = {
    "qcow2": "qcow2", "raw": "raw", "iso": "raw", "vmdk": "vmdk", "vhd": "vpc", "vhdx": "vhdx",
    "vdi": "vdi",
}  # fmt: skip
"""QEMU's driver of each format that is read."""

_BY_ENDING = {f".{name}": name for name in DRIVERS if name not in ("raw", "iso")}
"""What a name says of a file whose content says nothing: of a VHD that is cut off, say."""

_AS_RAW = frozenset({"raw", "gpt", "luks"})
"""What the inspector finds at the beginning of a disk that is no image format."""


class Disk(NamedTuple):
    """What a disk image is."""

    format: str
    size: int
    """Bytes that a guest sees."""

    def node(self, piece: Piece) -> Node:
        """How QEMU opens it: with its format, and with nothing below it."""
        node: Node = {"driver": DRIVERS[self.format], "file": piece.node()}
        return {**node, "backing": None} if self.format in ("qcow2", "vmdk") else node


def examine(piece: Piece, wanted: str = "") -> Disk:
    """Raises InvalidError unless it is a disk image that is whole and keeps to itself.

    `wanted` is the format that somebody said it has; another one is refused. Said to be raw, it
    is raw, whatever a guest has written at its beginning.
    """
    if wanted == "raw":
        return _sized("raw", piece.size, piece)
    found = format_of(piece)
    by_name = _BY_ENDING.get(piece.path.suffix.lower(), "") if piece.whole else ""
    for said in filter(None, (wanted, by_name if found == "raw" else "")):
        if found != said:
            raise InvalidError(
                f"{piece.name} is said to be {said}, and is not",
                hint="it may be cut off: copy it anew from where it came",
            )
    return _sized(found, _CHECKS[found](piece), piece)


def _sized(found: str, size: int, piece: Piece) -> Disk:
    if not 0 < size <= qcow2.LARGEST:
        raise InvalidError(
            f"{piece.name} claims to be a disk of {size} bytes",
            hint=f"disks have up to {format_size(qcow2.LARGEST)}",
        )
    return Disk(found, size)


def format_of(piece: Piece) -> str:
    """A key of DRIVERS, by the content alone."""
    from oslo_utils.imageutils.format_inspector import ALL_FORMATS

    # Of a fixed VHD only the end says what it is; a disk with such an end by chance is not cut.
    if _is_fixed_vhd(piece):
        return "vhd"
    found = {name for name, kind in ALL_FORMATS.items() if name != "raw" and _matches(piece, kind)}
    if found <= {"iso", "gpt"} and "iso" in found:
        return "iso"  # discs that boot from a stick, too, are both
    if len(found) > 1:
        raise InvalidError(f"{piece.name} looks like several formats at once: {sorted(found)}")
    name = next(iter(found), "raw")
    if name in _AS_RAW:
        return "raw"
    if name not in DRIVERS:
        raise InvalidError(
            f"{piece.name} is a {name} image, and that is not read here",
            hint="convert it where it was made: qemu-img convert -O qcow2 OLD NEW",
        )
    return name


def _matches(piece: Piece, kind: "type[FileInspector]") -> bool:
    """Whether one of the library's inspectors knows its format again.

    Its own wrapper over all of them fails where one has seen something that it does not expect.
    """
    inspector = kind()
    try:
        _feed(inspector, piece)
        return inspector.format_match
    except Exception:  # whatever an inspector happens to raise on what is not its own
        return False


def _feed(inspector: "FileInspector", piece: Piece) -> None:
    for at in range(0, min(piece.size, _HEAD), _CHUNK):
        inspector.eat_chunk(piece.read(at, _CHUNK))
        if inspector.complete:
            break


# -- format by format -----------------------------------------------------------


def _inspected(piece: Piece, name: str) -> int:
    """The library's verdict; returns the virtual size that it read."""
    from oslo_utils.imageutils import format_inspector as library

    kind = library.get_inspector(name)
    assert kind
    inspector = kind()
    try:
        _feed(inspector, piece)
        if not inspector.complete and piece.size > _HEAD:
            inspector.eat_chunk(piece.read(piece.size - _CHUNK, _CHUNK))
        inspector.finish()
        inspector.safety_check()
        return int(inspector.virtual_size)
    except library.SafetyCheckFailed as error:
        raise InvalidError(
            f"{piece.name} is a {name} image that is not read here:"
            f" {'; '.join(str(one) for one in error.failures.values())}",
            hint="flatten it where it was made: qemu-img convert -O qcow2 OLD NEW",
        ) from error
    except Exception as error:  # whatever an inspector happens to raise on a damaged file
        raise InvalidError(f"{piece.name} is a damaged {name} image: {error}") from error


def _qcow2(piece: Piece) -> int:
    raw = piece.read(0, 512)
    header = qcow2.check_header(qcow2.parse_header(raw, piece.name), piece.name)
    if any(raw[8:16]) and not any(raw[16:20]):
        pass  # a backing file of no name is none, and the library would refuse it
    else:
        _inspected(piece, "qcow2")
    whole.check_qcow2(piece)
    return header.size


def _vmdk(piece: Piece) -> int:
    size = _inspected(piece, "vmdk")
    check_vmdk(piece, size)
    whole.check_vmdk(piece)
    return size


def _vhdx(piece: Piece) -> int:
    size = _inspected(piece, "vhdx")
    whole.check_vhdx(piece)
    return size


def _vdi(piece: Piece) -> int:
    size = _inspected(piece, "vdi")
    whole.check_vdi(piece)
    return size


def _vhd(piece: Piece) -> int:
    footer = piece.read(piece.size - 512, 512)
    if not _is_vhd_footer(footer):
        raise InvalidError(f"{piece.name} is cut off", hint="copy it anew from where it came")
    (kind,) = struct.unpack(">I", footer[60:64])
    if kind not in (_FIXED, _DYNAMIC):
        raise InvalidError(
            f"{piece.name} keeps part of its content in another file",
            hint="merge it where it was made",
        )
    (size,) = struct.unpack(">Q", footer[48:56])
    return int(size)


_FIXED, _DYNAMIC = 2, 3
"""Kinds of VHD; the third one, 4, has a parent."""


def _is_vhd_footer(raw: bytes) -> bool:
    """By its cookie and its checksum, the complement of the sum of all other bytes."""
    if len(raw) < 512 or raw[:8] != b"conectix":
        return False
    (said,) = struct.unpack(">I", raw[64:68])
    return bool(said == ~(sum(raw) - sum(raw[64:68])) & 0xFFFFFFFF)


def _is_fixed_vhd(piece: Piece) -> bool:
    footer = piece.read(piece.size - 512, 512) if piece.size > 512 else b""
    if not _is_vhd_footer(footer):
        return False
    (kind,), (size,) = struct.unpack(">I", footer[60:64]), struct.unpack(">Q", footer[48:56])
    return bool(kind == _FIXED and size == piece.size - 512)


def _iso(piece: Piece) -> int:
    whole.check_iso(piece)
    return piece.size


def _raw(piece: Piece) -> int:
    return piece.size


_CHECKS: dict[str, Callable[[Piece], int]] = {
    "qcow2": _qcow2, "vmdk": _vmdk, "vhdx": _vhdx, "vdi": _vdi, "vhd": _vhd, "iso": _iso,
    "raw": _raw,
}  # fmt: skip
