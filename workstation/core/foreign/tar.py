"""The members of a tar that somebody else made, without unpacking any.

Python's `tarfile` follows what headers say into a lot of memory, and out of directories; here it
only decodes one header of 512 bytes after the other, under limits.
"""

import tarfile
from typing import NamedTuple

from workstation.core.foreign.piece import Piece
from workstation.errors import InvalidError

_BLOCK = 512
_MOST_MEMBERS = 1000
_MOST_EXTENDED = 65_536
"""Bytes of an extended header (pax, or a long name)."""


class Member(NamedTuple):
    offset: int
    """Where its content begins."""
    size: int


def is_tar(piece: Piece) -> bool:
    return piece.read(257, 5) == b"ustar"


def members(piece: Piece) -> dict[str, Member]:
    """The regular files in it, by name, in their order; raises InvalidError for anything odd."""
    found: dict[str, Member] = {}
    at, name, size = 0, "", -1
    for _ in range(_MOST_MEMBERS):
        raw = piece.read(at, _BLOCK)
        if not raw.strip(b"\0"):
            return found
        info = _header(piece, raw)
        length = info.size if size < 0 else size
        content = Member(at + _BLOCK, length)
        at = content.offset + -(-length // _BLOCK) * _BLOCK
        if content.offset + length > piece.size or length < 0:
            raise InvalidError(f"{piece.name} is cut off", hint="copy it anew from where it came")
        if info.type in (b"x", b"L"):
            name, size = _extended(piece, info.type, content, name, size)
            continue
        _keep(found, piece, info, name or info.name, content)
        name, size = "", -1
    raise InvalidError(f"{piece.name} has more than {_MOST_MEMBERS} members")


def _header(piece: Piece, raw: bytes) -> tarfile.TarInfo:
    try:
        return tarfile.TarInfo.frombuf(raw, "utf-8", "surrogateescape")
    except tarfile.HeaderError as error:
        raise InvalidError(f"{piece.name} is a damaged tar: {error}") from error


def _keep(
    found: dict[str, Member], piece: Piece, info: tarfile.TarInfo, name: str, content: Member
) -> None:
    if info.type == tarfile.DIRTYPE:
        return
    name = name.removeprefix("./")
    if info.type not in (tarfile.REGTYPE, tarfile.AREGTYPE):
        raise InvalidError(f"“{name}” in {piece.name} is no plain file")
    if not name or "/" in name or name in (".", ".."):
        raise InvalidError(f"“{name}” in {piece.name} is no plain name of a file")
    if name in found:
        raise InvalidError(f"{piece.name} has two members called “{name}”")
    found[name] = content


def _extended(piece: Piece, kind: bytes, content: Member, name: str, size: int) -> tuple[str, int]:
    """The name and the size that an extended header gives the member behind it."""
    if content.size > _MOST_EXTENDED:
        raise InvalidError(f"{piece.name} has an extended header of {content.size} bytes")
    raw = piece.read(content.offset, content.size)
    if kind == b"L":
        return raw.rstrip(b"\0").decode("utf-8", "surrogateescape"), size
    while raw:
        length, _, _rest = raw.partition(b" ")
        number = int(length) if length.isdigit() and len(length) < 8 else 0
        if not len(length) + 3 < number <= len(raw):
            raise InvalidError(f"{piece.name} is a damaged tar: its extended header is broken")
        key, _, value = raw[len(length) + 1 : number - 1].partition(b"=")
        if key == b"path":
            name = value.decode("utf-8", "surrogateescape")
        elif key == b"size" and value.isdigit() and len(value) < 19:
            size = int(value)
        elif key.startswith(b"GNU.sparse"):
            raise InvalidError(f"{piece.name} has a member with holes", hint="pack it anew")
        raw = raw[number:]
    return name, size
