"""The container: an uncompressed tar of plain files whose headers have one form only.

Standard tools list and unpack it. What is read here is compared, byte for byte, with the header
that would have been written for that name and size, so there is nothing to interpret: no links,
no sparse files, no extensions, no two ways to say the same.
"""

import re
import tarfile
from typing import NamedTuple

from workstation.errors import InvalidError
from workstation.model.bundle import BLOCK, LARGEST_FILE

HEAD = "bundle.json"
"""The first member: what this file is."""

MANIFEST = "manifest.json"
SEALED_MANIFEST = "manifest.sealed"
"""The same of a bundle that is encrypted."""

LUKS = "disks.luks"
"""The second member of an encrypted bundle: how its disks are."""

SEAL = "seal.json"

END = bytes(2 * BLOCK)
"""Two blocks of zeros end a tar."""

NAME = re.compile(
    r"bundle\.json|disks\.luks|manifest\.(json|sealed)|seal\.json"
    r"|layers/[0-9a-f]{16}/(tpm/)?[a-z0-9][a-z0-9._-]{0,60}(\.luks|\.(zst|sealed)/[0-9]{6})?"
)
MOST_MEMBERS = 2**20


class Member(NamedTuple):
    name: str
    offset: int
    """Of its content, behind the header."""
    size: int

    @property
    def end(self) -> int:
        """Where the next header begins."""
        return self.offset + padded(self.size)


def padded(size: int) -> int:
    """The size with what fills its last block."""
    return -(-size // BLOCK) * BLOCK


def file_name(layer: str, name: str, *, luks: bool = False) -> str:
    return f"layers/{layer}/{name}{'.luks' if luks else ''}"


def part_name(layer: str, name: str, part: int, *, sealed: bool = False) -> str:
    """A piece of a compressed file; all of them in a row are what the zstd program reads."""
    return f"layers/{layer}/{name}.{'sealed' if sealed else 'zst'}/{part:06}"


def header(name: str, size: int) -> bytes:
    """The one header that a member of that name and size may have."""
    info = tarfile.TarInfo(name)
    info.size = size
    info.mode = 0o644
    return info.tobuf(tarfile.GNU_FORMAT)


def read_header(block: bytes, offset: int) -> Member | None:
    """The member whose header lies at that offset; None for a block of zeros.

    Raises InvalidError for anything that `header` would not have written.
    """
    if not any(block):
        return None
    name = block[:100].rstrip(b"\0").decode("ascii", errors="replace")
    size = _size(block[124:136])
    if NAME.fullmatch(name) and 0 <= size <= LARGEST_FILE and block == header(name, size):
        return Member(name, offset + BLOCK, size)
    raise InvalidError(f"there is no part of a bundle at byte {offset}")


def _size(field: bytes) -> int:
    """Octal digits, or from 8 GiB on a binary number; -1 for neither."""
    if field[:1] == b"\x80":
        return int.from_bytes(field[1:], "big")
    try:
        return int(field.rstrip(b"\0 "), 8)
    except ValueError:
        return -1
