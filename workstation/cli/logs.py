"""`workstation logs`."""

import asyncio
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from workstation.core.library.names import find
from workstation.core.serial.escapes import Plain
from workstation.core.serial.log import follow, since
from workstation.errors import UsageError
from workstation.model.text import safe
from workstation.paths import Paths

if TYPE_CHECKING:
    from workstation.cli.parser import Call


def logs(call: "Call") -> None:
    """What the guest, or QEMU, has printed."""
    paths = find(Paths.from_environment(), call.name)
    file = paths.qemu_log if call.qemu else paths.serial_log
    if call.json:
        _as_json(call, file)
        return
    try:
        asyncio.run((_raw if call.raw else _readable)(file, call.follow))
    except KeyboardInterrupt:
        # The way to end --follow; nothing was cut short.
        if not call.follow:
            raise


def _as_json(call: "Call", file: Path) -> None:
    if call.follow:
        raise UsageError("--json prints once: it goes not with --follow")
    plain = Plain()
    text = plain.feed(since(file, 0)) + plain.rest()
    print(json.dumps({"name": call.name, "file": str(file), "text": text}, indent=2))


async def _raw(file: Path, forever: bool) -> None:
    async for piece in follow(file, forever=forever):
        sys.stdout.buffer.write(piece)
        sys.stdout.buffer.flush()


async def _readable(file: Path, forever: bool) -> None:
    plain, last = Plain(), "\n"
    async for piece in follow(file, forever=forever):
        last = _tell(plain.feed(piece)) or last
    last = _tell(plain.rest()) or last
    if not last.endswith("\n"):
        print()


def _tell(text: str) -> str:
    """Returns what was printed."""
    told = safe(text, limit=len(text) + 1)
    print(told, end="", flush=True)
    return told
