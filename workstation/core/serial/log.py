"""What the guest printed on its serial line: kept in two bounded parts (qemu/line_log.py).

A position is a number of bytes since the machine was last booted. What lies before the kept parts
is gone, and is skipped.
"""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

from workstation.core.serial.escapes import Plain
from workstation.qemu.line_log import length, segments

_PIECE = 2**16

_LOOKED_THROUGH = 2**20
"""Bytes at the end in which a text is looked for."""


def size(log: Path) -> int:
    """How much was printed, kept or not; 0 where nothing was."""
    last = segments(log)[-1:]
    return last[0].start + length(last[0].path) if last else 0


def tail(log: Path, count: int) -> bytes:
    """The last `count` bytes; raw bytes of a guest."""
    return since(log, max(0, size(log) - count)) if count > 0 else b""


def since(log: Path, position: int) -> bytes:
    """All that is kept from that position on."""
    return b"".join(_read(part.path, position - part.start) for part in segments(log))


def _read(path: Path, position: int, count: int = -1) -> bytes:
    try:
        with path.open("rb") as file:
            file.seek(max(0, position))
            return file.read(count)
    except OSError:
        return b""


async def printed(log: Path, text: bytes, since: int = 0, *, interval: float = 0.03) -> None:
    """Return as soon as the guest has printed `text` after the first `since` bytes of its log.

    As it is, or as a person reads it, without the sequences that colour it.
    """
    sight, position = _Sight(text), max(since, size(log) - _LOOKED_THROUGH)
    while True:
        if size(log) < position:
            sight, position = _Sight(text), since
        piece, position = _read_on(log, position)
        if sight.caught(piece):
            return
        await asyncio.sleep(0 if piece else interval)


class _Sight:
    """Looks for a text in what comes in pieces."""

    def __init__(self, text: bytes) -> None:
        self._raw, self._read = text, text.decode(errors="replace")
        self._raw_end, self._read_end = b"", ""
        self._plain = Plain()

    def caught(self, piece: bytes) -> bool:
        raw, read = self._raw_end + piece, self._read_end + self._plain.feed(piece)
        self._raw_end, self._read_end = raw[-len(self._raw) :], read[-len(self._read) :]
        return self._raw in raw or self._read in read


async def follow(log: Path, *, forever: bool, interval: float = 0.1) -> AsyncIterator[bytes]:
    """What is kept, and then what is added to it; starts over where it is begun anew."""
    position = 0
    while True:
        piece, position = await asyncio.to_thread(_read_on, log, position)
        if piece:
            yield piece
        elif not forever:
            return
        else:
            await asyncio.sleep(interval)


def _read_on(log: Path, position: int) -> tuple[bytes, int]:
    if size(log) < position:
        position = 0
    for part in segments(log):
        piece = _read(part.path, position - part.start, _PIECE)
        if piece:
            return piece, max(position, part.start) + len(piece)
    return b"", position
