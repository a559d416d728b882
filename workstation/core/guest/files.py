"""Files in and out through the guest's agent, for guests without ssh: piece by piece."""

import base64
import binascii
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from workstation.core.guest.agent import Agent
from workstation.errors import HostError, MonitorError

PIECE = 32 * 1024
"""Bytes: in base64, with the words around it, still a line that every reader here takes."""

LARGEST = 4 * 2**30
"""Bytes that are taken from a guest, whatever it goes on sending."""

Told = Callable[[int], None]
"""How many bytes have been copied."""


async def copy_in(agent: Agent, source: Path, target: str, told: Told) -> None:
    """A file of this computer becomes one of the guest, which is replaced."""
    with source.open("rb") as opened:
        handle = await _open(agent, target, "w")
        try:
            while piece := opened.read(PIECE):
                await _write(agent, handle, piece)
                told(len(piece))
        finally:
            await agent.execute("guest-file-close", handle=handle)


async def _write(agent: Agent, handle: int, piece: bytes) -> None:
    while piece:
        words = base64.b64encode(piece).decode()
        said = await agent.execute("guest-file-write", **{"handle": handle, "buf-b64": words})
        count = _number(said, "count")
        if not 0 < count <= len(piece):
            raise MonitorError("the agent writes nothing: its disk is full, or it is damaged")
        piece = piece[count:]


async def copy_out(agent: Agent, source: str, target: Path, told: Told) -> None:
    """A file of the guest's becomes one here: whole, or not at all."""
    half = target.with_name(f".{target.name[:200]}.{os.getpid()}.part")
    try:
        with half.open("xb") as opened:
            handle = await _open(agent, source, "r")
            try:
                total = 0
                while piece := await _read(agent, handle):
                    total += len(piece)
                    if total > LARGEST:
                        raise HostError(f"{source} has more than 4 GiB", hint="copy it by ssh")
                    opened.write(piece)
                    told(len(piece))
            finally:
                await agent.execute("guest-file-close", handle=handle)
        half.replace(target)
    finally:
        half.unlink(missing_ok=True)


async def read_text(agent: Agent, path: str, most: int = PIECE) -> str:
    """The beginning of a file of the guest."""
    handle = await _open(agent, path, "r")
    try:
        piece = await _read(agent, handle, most)
    finally:
        await agent.execute("guest-file-close", handle=handle)
    return piece.decode(errors="replace")


async def _open(agent: Agent, path: str, mode: str) -> int:
    handle = await agent.execute("guest-file-open", path=path, mode=mode)
    if not isinstance(handle, int) or isinstance(handle, bool):
        raise MonitorError(f"the agent of “{agent.name}” opens nothing")
    return handle


async def _read(agent: Agent, handle: int, count: int = PIECE) -> bytes:
    """Empty at its end."""
    said = await agent.execute("guest-file-read", handle=handle, count=count)
    words = said.get("buf-b64") if isinstance(said, dict) else None
    try:
        piece = base64.b64decode(words, validate=True) if isinstance(words, str) else b""
    except (binascii.Error, ValueError) as error:
        raise MonitorError(f"the agent of “{agent.name}” sends no file") from error
    if not piece and not (isinstance(said, dict) and said.get("eof") is True):
        raise MonitorError(f"the agent of “{agent.name}” sends nothing, and no end")
    return piece[:count]


def _number(said: Any, key: str) -> int:
    value = said.get(key) if isinstance(said, dict) else None
    return value if isinstance(value, int) and not isinstance(value, bool) else 0
