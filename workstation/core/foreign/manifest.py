"""The manifest of an OVF package: `SHA256(disk.vmdk)= 0123…`, a line a file."""

import asyncio
import hashlib
import re
from collections.abc import Callable, Mapping

from workstation.core.foreign.piece import Piece
from workstation.errors import InvalidError

MOST_BYTES = 2**20

_LINE = re.compile(r"(SHA1|SHA256|SHA512)\s*\((.{1,255}?)\)\s*=\s*([0-9a-fA-F]{40,128})")
_AT_ONCE = 8 * 2**20

Digests = Mapping[str, tuple[str, str]]
"""Algorithm and digest in hex by a file's name."""


def parse_manifest(text: str, file: str) -> Digests:
    """Raises InvalidError for a line that is no digest."""
    found = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        match = _LINE.fullmatch(line.strip())
        if not match or len(match[3]) != hashlib.new(match[1].lower()).digest_size * 2:
            raise InvalidError(f"line {number} of {file} is no digest of a file")
        found[match[2]] = (match[1].lower(), match[3].lower())
    return found


async def verify(piece: Piece, said: Digests, told: Callable[[int], None]) -> None:
    """Read a file of the package; raises InvalidError where the manifest says something else.

    `told` gets the bytes that were read since it was called last.
    """
    if piece.name not in said:
        raise InvalidError(
            f"the manifest does not know “{piece.name}”",
            hint="the package was changed after it was made: fetch it again",
        )
    algorithm, expected = said[piece.name]
    digest, at = hashlib.new(algorithm), 0
    while chunk := await asyncio.to_thread(piece.read, at, _AT_ONCE):
        await asyncio.to_thread(digest.update, chunk)
        at += len(chunk)
        told(len(chunk))
    if digest.hexdigest() != expected:
        raise InvalidError(
            f"“{piece.name}” is not what the manifest says: it is damaged, or was changed",
            hint="fetch it again",
        )
