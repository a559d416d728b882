"""qcow2 without any QEMU program: headers, and blank images (QEMU's docs/interop/qcow2.txt)."""

import os
import struct
from pathlib import Path
from typing import NamedTuple

from workstation.errors import InvalidError
from workstation.qemu.blockdev import Format
from workstation.qemu.extent import Extent

_MAGIC = b"QFI\xfb"
_HEADER = struct.Struct(">4sIQIIQIIQQIIQQQQ")
_EXTERNAL_DATA = 1 << 2
_KNOWN_FEATURES = 0b11111

LARGEST = 2**46
"""Largest virtual size that is taken: 64 TiB."""

_BY_SUFFIX: dict[str, Format] = {".qcow2": "qcow2", ".raw": "raw", ".img": "raw", ".iso": "raw"}


class Header(NamedTuple):
    size: int
    """Virtual size in bytes."""
    backing: bool
    """A backing file is named in it."""
    external_data: bool
    """Its guest data lies in another file."""
    encrypted: bool
    """It opens with a key only."""
    features: int
    """The incompatible-feature bits."""


def read_header(path: Path | Extent) -> Header:
    """Raises InvalidError where the file is no qcow2 of version 2 or 3."""
    with Extent.of(path).open() as file:
        return parse_header(file.read(_HEADER.size), str(path))


def parse_header(raw: bytes, path: str) -> Header:
    """The same of the first bytes of an image, wherever they lie; `path` names it in errors."""
    if len(raw) < _HEADER.size or raw[:4] != _MAGIC:
        raise InvalidError(f"{path} is not a qcow2 image")
    fields = _HEADER.unpack(raw[: _HEADER.size])
    # A name of no length is none: a merge leaves that behind.
    version, backing, size = fields[1], fields[2] and fields[3], fields[5]
    if version not in (2, 3):
        raise InvalidError(f"{path} is a qcow2 image of version {version}, which is not known")
    features = fields[13] if version == 3 else 0
    return Header(size, bool(backing), bool(features & _EXTERNAL_DATA), bool(fields[6]), features)


def is_blank(path: Path) -> bool:
    """Whether no cluster was ever written: its first-level table is all zero.

    The table's length and place stand at offsets 36 and 40 of the header.
    """
    with path.open("rb") as file:
        file.seek(36)
        entries, offset = struct.unpack(">IQ", file.read(12))
        file.seek(offset)
        return not any(file.read(min(entries, 2**22) * 8))


_CLUSTER = 65_536
_REFCOUNTS_16_BIT = 4
_LENGTH_OF_HEADER = 104


def create_blank(path: Path, size: int) -> None:
    """A new blank image of `size` bytes, rounded up to a sector; mode 0600.

    Byte for byte the structure that `qemu-img create` makes, without the time to start it. No
    backing file is named in it: what it stands on is said when it is opened. Raises InvalidError
    for more than LARGEST bytes.
    """
    if not 0 < size <= LARGEST:
        raise InvalidError(f"a disk cannot have {size} bytes", hint="64 TiB is the most")
    entries = -(-size // (_CLUSTER * _CLUSTER // 8))
    tables = -(-entries * 8 // _CLUSTER)
    header = _HEADER.pack(
        _MAGIC, 3, 0, 0, _CLUSTER.bit_length() - 1, -(-size // 512) * 512, 0, entries,
        3 * _CLUSTER, _CLUSTER, 1, 0, 0, 0, 0, 0,
    )  # fmt: skip
    clusters = 3 + tables
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        os.pwrite(descriptor, header + struct.pack(">II", _REFCOUNTS_16_BIT, _LENGTH_OF_HEADER), 0)
        os.pwrite(descriptor, struct.pack(">Q", 2 * _CLUSTER), _CLUSTER)
        os.pwrite(descriptor, struct.pack(">H", 1) * clusters, 2 * _CLUSTER)
        os.ftruncate(descriptor, clusters * _CLUSTER)
    finally:
        os.close(descriptor)


def check_self_contained(path: Path | Extent) -> Header:
    """Refuse an image that would make QEMU open another file, or that claims an absurd size."""
    return check_header(read_header(path), str(path))


def check_header(header: Header, path: str) -> Header:
    """The same of a header that was read already; `path` names its file in errors."""
    if header.backing or header.external_data:
        raise InvalidError(
            f"{path} keeps part of its content in another file",
            hint="flatten it where it was made: qemu-img convert -O qcow2 OLD NEW",
        )
    if header.encrypted:
        raise InvalidError(
            f"{path} is encrypted, and QEMU would ask for its key",
            hint="decrypt it where its key is: qemu-img convert",
        )
    if header.features & ~_KNOWN_FEATURES:
        raise InvalidError(f"{path} uses features of qcow2 that are not known here")
    if not 0 < header.size <= LARGEST:
        raise InvalidError(f"{path} claims a size of {header.size} bytes")
    return header


def format_of(path: Path) -> Format:
    """The format that a disk image's name says; content is never probed."""
    try:
        return _BY_SUFFIX[path.suffix.lower()]
    except KeyError:
        known = ", ".join(_BY_SUFFIX)
        raise InvalidError(
            f"the format of {path} cannot be told from its name",
            hint=f"give it one of these endings: {known}",
        ) from None


def virtual_size(path: Path | Extent, image_format: Format) -> int:
    """Bytes that a guest sees of an image."""
    if image_format == "raw":
        return Extent.of(path).length()
    return check_self_contained(path).size
