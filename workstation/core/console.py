"""A machine's serial line in this very terminal, raw, as `virsh console` has it."""

import asyncio
import contextlib
import fcntl
import os
import re
import termios
import tty
from collections.abc import Iterator
from typing import TYPE_CHECKING

from workstation.errors import BusyError, HostError, NotAllowedError
from workstation.model.machine import Verb, require

if TYPE_CHECKING:
    from workstation.core.workstation import Workstation
    from workstation.paths import MachinePaths

LEAVE = 0x1D
"""ctrl+]"""

REPLAYED = 16_384
"""How many bytes of what the guest printed before are shown first."""

_RESET = (
    b"\x1b[0m\x1b[?25h\x1b[?1000l\x1b[?1002l\x1b[?1003l\x1b[?1006l\x1b[?2004l\x1b[?1049l\x1b[r\n"
)
"""Attributes, cursor, mouse, paste mode, screen and margins as a shell expects them."""


class Filter:
    """Lets a guest draw on the terminal, and nothing else.

    Control strings (OSC, DCS, APC, PM, SOS: clipboard, title, terminal programming) are taken out
    whole, even when they come in pieces or never end; so are requests that make a terminal
    answer as if the person had typed (ECMA-48 5.6, xterm's ctlseqs).
    """

    _STRING = re.compile(rb"\x1b[\]PX^_]|\xc2[\x9d\x90\x98\x9e\x9f]")
    _END = re.compile(rb"\x07|\x1b\\|\xc2\x9c|[\x18\x1a]")
    _ASKS = re.compile(rb"\x1b\[[?>=]?[0-9;]*[nc]|\x1b\[[0-9;]*t|\x1b\[[?0-9;]*\$p|\x1bZ|\x05")
    _PART = re.compile(rb"(\x1b(\[[?>=]?[0-9;]{0,64}\$?)?|\xc2)\Z")

    def __init__(self) -> None:
        self._inside = False
        self._held = b""

    def feed(self, data: bytes) -> bytes:
        """What of `data` may be shown now; an unfinished sequence waits for its rest."""
        data, self._held = self._held + data, b""
        shown = bytearray()
        while data:
            if self._inside:
                data = self._skip(data)
                continue
            start = self._STRING.search(data)
            if start:
                shown += data[: start.start()]
                data = data[start.end() :]
                self._inside = True
            else:
                shown += self._hold_part(data)
                data = b""
        return self._ASKS.sub(b"", bytes(shown))

    def _skip(self, data: bytes) -> bytes:
        end = self._END.search(data)
        if end:
            self._inside = False
            return data[end.end() :]
        self._held = data[-1:] if data[-1:] in (b"\x1b", b"\xc2") else b""
        return b""

    def _hold_part(self, data: bytes) -> bytes:
        part = self._PART.search(data)
        if not part:
            return data
        self._held = data[part.start() :]
        return data[: part.start()]


async def attach(station: "Workstation", name: str, *, descriptor: int = 0, out: int = 1) -> str:
    """Work in the machine's serial console until ctrl+] or its end; returns why it was left.

    Raises NotAllowedError where it does not run or has no serial line, BusyError where another
    console is open on it, HostError where `descriptor` is no terminal.
    """
    view = station.view(name)
    require(Verb.CONSOLE, name, view.state)
    if view.profile and not view.profile.devices.serial:
        raise NotAllowedError(
            f"“{name}” has no serial line", hint="set devices.serial to true, and start it anew"
        )
    if not os.isatty(descriptor):
        raise HostError("a console needs a terminal", hint=f"read it: workstation logs {name}")
    paths = station.paths.machine(name)
    with _only_console(paths), _raw(descriptor):
        before = station.serial_tail(name, size=REPLAYED)
        reader, writer = await asyncio.open_unix_connection(str(paths.serial))
        try:
            screen = Filter()
            os.write(out, screen.feed(before))
            return await _relay(reader, writer, descriptor, out, screen)
        finally:
            writer.close()
            os.write(out, _RESET)


@contextlib.contextmanager
def _only_console(paths: "MachinePaths") -> Iterator[None]:
    """The serial line serves one console at a time."""
    held = os.open(paths.serial_lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise BusyError(
            f"another console is open on “{paths.name}”", hint="leave that one first: ctrl+]"
        ) from None
    finally:
        os.close(held)


@contextlib.contextmanager
def _raw(descriptor: int) -> Iterator[None]:
    before = termios.tcgetattr(descriptor)
    tty.setraw(descriptor)
    try:
        yield
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)


async def _relay(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    descriptor: int,
    out: int,
    screen: Filter,
) -> str:
    left = asyncio.Event()
    loop = asyncio.get_running_loop()

    def typed() -> None:
        data = os.read(descriptor, 4096)
        before, leave, _ = data.partition(bytes([LEAVE]))
        writer.write(before)
        if leave or not data:
            left.set()

    async def show() -> None:
        while data := await reader.read(65_536):
            shown = screen.feed(data)
            await loop.run_in_executor(None, _write_all, out, shown)

    loop.add_reader(descriptor, typed)
    showing = asyncio.create_task(show())
    leaving = asyncio.create_task(left.wait())
    try:
        await asyncio.wait((showing, leaving), return_when=asyncio.FIRST_COMPLETED)
        return "left" if left.is_set() else "the machine ended"
    finally:
        loop.remove_reader(descriptor)
        showing.cancel()
        leaving.cancel()
        await asyncio.wait({showing, leaving})


def _write_all(out: int, data: bytes) -> None:
    while data:
        data = data[os.write(out, data) :]
