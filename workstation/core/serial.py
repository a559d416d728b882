"""What the guest printed on its serial line: kept by QEMU in a file, bounded by us."""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path


def tail(path: Path, size: int) -> bytes:
    """The last `size` bytes; raw bytes of a guest."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - size))
            return file.read(size)
    except OSError:
        return b""


def trim(path: Path, keep: int) -> None:
    """Cut a log that has grown to twice `keep` bytes down to its last `keep`.

    QEMU appends, so it goes on after the cut; what it writes during the cut may be lost.
    """
    try:
        if path.stat().st_size < 2 * keep:
            return
    except OSError:
        return
    end = tail(path, keep)
    with path.open("r+b") as file:
        file.truncate(0)
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND)
    try:
        os.write(descriptor, end)
    finally:
        os.close(descriptor)


def size(path: Path) -> int:
    """Bytes in the log; 0 where there is none."""
    try:
        return path.stat().st_size
    except OSError:
        return 0


async def printed(path: Path, text: bytes, since: int = 0, *, interval: float = 0.03) -> None:
    """Return as soon as the guest has printed `text` after the first `since` bytes of its log."""
    while text not in tail(path, max(0, min(size(path) - since, 2**20))):  # noqa: ASYNC110 (nobody tells)
        await asyncio.sleep(interval)


async def follow(path: Path, *, forever: bool, interval: float = 0.1) -> AsyncIterator[bytes]:
    """What the file holds, and then what is added to it; starts over where it is begun anew."""
    position = 0
    while True:
        piece, position = await asyncio.to_thread(_read_on, path, position)
        if piece:
            yield piece
        elif not forever:
            return
        else:
            await asyncio.sleep(interval)


def _read_on(path: Path, position: int) -> tuple[bytes, int]:
    try:
        with path.open("rb") as file:
            if file.seek(0, os.SEEK_END) < position:
                position = 0
            file.seek(position)
            piece = file.read(2**16)
    except FileNotFoundError:
        return b"", 0
    return piece, position + len(piece)
