"""Files of a package that are cut into parts, or compressed: made one again, within limits."""

import asyncio
import zlib
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

from workstation.core.foreign.limits import most_bytes
from workstation.core.foreign.piece import Piece
from workstation.errors import InvalidError
from workstation.model.units import format_size

_AT_ONCE = 4 * 2**20


async def put_together(
    name: str,
    parts: Sequence[Piece],
    target: Path,
    *,
    gzipped: bool,
    told: Callable[[int], None],
) -> Piece:
    """The new file `target` with all of the parts, called `name`; InvalidError for a bomb.

    `told` gets the bytes that were read since it was called last.
    """
    most = most_bytes(sum(part.size for part in parts), target.parent)
    reader = zlib.decompressobj(wbits=31) if gzipped else None
    with target.open("xb") as file:
        async for chunk in _chunks(parts, told):
            while chunk:
                made = reader.decompress(chunk, _AT_ONCE) if reader else chunk
                chunk = reader.unconsumed_tail if reader else b""
                if file.tell() + len(made) > most:
                    raise InvalidError(
                        f"{name} unpacks to more than {format_size(most)}",
                        hint="ask whoever made it, or make room on the disk",
                    )
                await asyncio.to_thread(file.write, made)
    if reader and not reader.eof:
        raise InvalidError(f"{name} is cut off", hint="fetch it again")
    piece = Piece(target)
    piece.name = name
    return piece


async def _chunks(parts: Sequence[Piece], told: Callable[[int], None]) -> AsyncIterator[bytes]:
    for part in parts:
        at = 0
        while chunk := await asyncio.to_thread(part.read, at, _AT_ONCE):
            at += len(chunk)
            told(len(chunk))
            yield chunk
