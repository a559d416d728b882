"""What a file is that somebody wants to import: by its content, never by its name."""

from enum import StrEnum
from pathlib import Path

from workstation.core.bundle.reader import SUFFIX
from workstation.core.bundle.tape import HEAD
from workstation.core.foreign import headers, quickemu, tar
from workstation.core.foreign.package import DESCRIPTION
from workstation.core.foreign.piece import Piece
from workstation.errors import InvalidError, NotFoundError, UsageError


class Kind(StrEnum):
    """What can be imported; the word is the person's."""

    BUNDLE = "bundle"
    """One of our own."""
    OVF = "OVF package"
    LIBVIRT = "libvirt domain"
    QUICKEMU = "Quickemu configuration"
    ISO = "disc"
    DISK = "disk image"
    COMPRESSED = "compressed file"


_TEXT = 4096
_COMPRESSED = {b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ\0": "xz", b"(\xb5/\xfd": "zstd"}


def meant(path: Path) -> Path:
    """A file itself; of a directory its one bundle, where an export into it has put that.

    Raises NotFoundError where there is none, and no package either, UsageError where there are
    several.
    """
    if not path.is_dir() or _is_package(path):
        return path
    found = sorted(one.name for one in path.glob(f"*{SUFFIX}") if not one.name.startswith("."))
    if not found:
        raise NotFoundError(f"there is no bundle in {path}", hint="name a file")
    if len(found) > 1:
        raise UsageError(
            f"there are {len(found)} bundles in {path}", hint=f"name one: {', '.join(found[:9])}"
        )
    return path / found[0]


def recognise(path: Path) -> Kind:
    """Raises NotFoundError or InvalidError for what cannot be imported."""
    if path.is_dir():
        if _is_package(path):
            return Kind.OVF
        raise InvalidError(f"{path} is a directory without an {DESCRIPTION} in it")
    with Piece(path) as piece:
        return _of(piece)


def _is_package(directory: Path) -> bool:
    return any(one.name.lower().endswith(DESCRIPTION) for one in directory.iterdir())


def _of(piece: Piece) -> Kind:
    if not piece.size:
        raise InvalidError(f"{piece.path} is empty")
    head = piece.read(0, _TEXT)
    if head[:100].rstrip(b"\0") == HEAD.encode():
        return Kind.BUNDLE
    if tar.is_tar(piece):
        if any(name.lower().endswith(DESCRIPTION) for name in tar.members(piece)):
            return Kind.OVF
        raise InvalidError(f"{piece.path} is a tar, and has no {DESCRIPTION} in it")
    if kind := _text_kind(head, piece):
        return kind
    if any(head.startswith(magic) for magic in _COMPRESSED):
        return Kind.COMPRESSED
    found = headers.format_of(piece)
    if found == "raw" and piece.size % 512:
        raise InvalidError(
            f"{piece.path} is nothing that is known here",
            hint="known are bundles, OVA, OVF, qcow2, VMDK, VHD, VHDX, VDI, raw disks, ISO,"
            " libvirt XML and Quickemu .conf",
        )
    return Kind.ISO if found == "iso" else Kind.DISK


def _text_kind(head: bytes, piece: Piece) -> Kind | None:
    if b"\0" in head:
        return None
    text = head.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "replace")
    if text.lstrip().startswith("<"):
        if "<domain" in text:
            return Kind.LIBVIRT
        if "Envelope" in text:
            return Kind.OVF
        raise InvalidError(f"{piece.path} is neither an OVF nor a libvirt domain")
    return Kind.QUICKEMU if quickemu.looks_like(text) else None
