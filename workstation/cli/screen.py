"""`workstation screen`, `type`, `keys` and `viewer`: a machine's screen, for scripts."""

import asyncio
import json
import os
import shutil
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from workstation.cli.station import station
from workstation.core.workstation import Workstation
from workstation.errors import UsageError
from workstation.model.text import safe

if TYPE_CHECKING:
    from PIL.Image import Image

    from workstation.cli.parser import Call

Result = TypeVar("Result")

VIEWERS = ("remote-viewer", "vncviewer")
"""Looked for in this order."""


def screen(call: "Call") -> None:
    """A picture of it, as a PNG, or its text."""
    if call.text:
        text = _on(call, "screen", lambda found: found.screens.text(call.name))
        as_json = json.dumps({"name": call.name, "text": text}, indent=2)
        print(as_json if call.json else safe(text, limit=len(text) + 1))
        return
    printed = call.output == "-"
    if printed and call.json:
        raise UsageError("--output - prints the picture: it goes not with --json")
    picture = _on(call, "screen", lambda found: found.screens.picture(call.name))
    if printed:
        picture.save(sys.stdout.buffer, "PNG")
        return
    _save(picture, Path(call.output))
    told = {"file": call.output, "width": picture.width, "height": picture.height}
    _report(call, f"{call.output}, {picture.width}x{picture.height}", **told)


def _save(picture: "Image", file: Path) -> None:
    """There is the whole picture or none, and a link of somebody else's is not followed."""
    half = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        with half.open("xb") as opened:
            picture.save(opened, "PNG")
        half.replace(file)
    finally:
        half.unlink(missing_ok=True)


def type_text(call: "Call") -> None:
    """As if somebody typed it."""
    text = sys.stdin.read() if call.text == "-" else call.text
    if call.enter:
        text += "\n"
    _on(call, "type", lambda found: found.screens.type(call.name, text))
    _report(call, "typed", characters=len(text))


def keys(call: "Call") -> None:
    """Press each of them, one after the other."""
    _on(call, "keys", lambda found: found.screens.press(call.name, call.keys))
    _report(call, "pressed", keys=call.keys)


def viewer(call: "Call") -> None:
    """Start another program on its socket, and leave it running."""

    async def address(found: Workstation) -> Path:
        return found.screens.address(call.name)

    socket = _on(call, "viewer", address)
    program = None if call.print else next(filter(None, map(shutil.which, VIEWERS)), None)
    if program:
        _spawn(viewer_command(program, socket))
    told = f"{Path(program).name} on {socket}" if program else f"vnc+unix://{socket}"
    _report(call, told, socket=str(socket), viewer=program)


def _spawn(argv: list[str]) -> None:
    """In a session of its own, which outlives this command and its terminal."""
    streams = [(os.POSIX_SPAWN_OPEN, number, os.devnull, os.O_RDWR, 0) for number in range(3)]
    os.posix_spawn(argv[0], argv, os.environ, file_actions=streams, setsid=True)


def viewer_command(program: str, socket: Path) -> list[str]:
    """How each of them is told of a unix socket: TigerVNC's takes a path, the others a URL."""
    plain = Path(program).name == "vncviewer"
    return [program, str(socket) if plain else f"vnc+unix://{socket}"]


def _on(call: "Call", command: str, act: Callable[[Workstation], Awaitable[Result]]) -> Result:
    async def acted() -> Result:
        async with station(command, call.name) as found:
            await found.settled(call.name)
            return await act(found)

    return asyncio.run(acted())


def _report(call: "Call", done: str, **told: object) -> None:
    if call.json:
        print(json.dumps({"name": call.name, **told}, indent=2))
    else:
        print(f"“{call.name}”: {done}")
