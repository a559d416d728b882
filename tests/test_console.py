"""The console in a terminal (a pty), with a guest that a test plays on the serial socket."""

import asyncio
import contextlib
import os
import pty
import signal
import socket
import termios
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest
from pydantic import ValidationError

from tests.conftest import eventually, tiny
from workstation.core.serial import console
from workstation.core.serial import log as serial
from workstation.core.serial.leave_key import Leaving
from workstation.errors import BusyError, HostError, MonitorError, NotAllowedError
from workstation.model.machine import State
from workstation.model.settings import Settings
from workstation.paths import MachinePaths, Paths

LEAVE = b"\x1d"


class Desk:
    """A terminal on a pty, and a guest on the other side of the serial socket."""

    def __init__(self, paths: Paths) -> None:
        self.paths = paths
        self.machine: MachinePaths = paths.machine("one")
        self.machine.data.mkdir(parents=True)
        self.machine.runtime.mkdir(parents=True)
        self.ours, self.theirs = pty.openpty()
        os.set_blocking(self.ours, False)
        self.modes = termios.tcgetattr(self.theirs)
        self.seen = b""
        self.state = State.RUNNING
        self.profile = tiny()
        self.settings = Settings()
        self._guests: asyncio.Queue[tuple[asyncio.StreamReader, asyncio.StreamWriter]]
        self._guests = asyncio.Queue()

    async def listen(self) -> asyncio.Server:
        async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self._guests.put_nowait((reader, writer))

        return await asyncio.start_unix_server(connected, str(self.machine.serial))

    async def guest(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        async with asyncio.timeout(20):
            return await self._guests.get()

    def attach(self, descriptor: int | None = None) -> "asyncio.Task[str]":
        station: Any = SimpleNamespace(
            paths=self.paths,
            view=lambda name: SimpleNamespace(name=name, state=self.state, profile=self.profile),
            serial_tail=lambda name, size: serial.tail(self.machine.serial_log, size),
            settings=self.settings,
        )
        return asyncio.create_task(
            console.attach(station, "one", descriptor=descriptor or self.theirs, out=self.theirs)
        )

    def type(self, data: bytes) -> None:
        os.write(self.ours, data)

    async def sees(self, text: bytes) -> None:
        def there() -> bool:
            with contextlib.suppress(BlockingIOError):
                self.seen += os.read(self.ours, 65_536)
            return text in self.seen

        await eventually(there)

    def is_raw(self) -> bool:
        return not termios.tcgetattr(self.theirs)[3] & (termios.ICANON | termios.ISIG)

    def is_as_before(self) -> bool:
        return termios.tcgetattr(self.theirs) == self.modes


@pytest.fixture
async def desk(paths: Paths) -> AsyncIterator[Desk]:
    desk = Desk(paths)
    server = await desk.listen()
    yield desk
    server.close()
    os.close(desk.ours)
    os.close(desk.theirs)


async def soon(leaving: "asyncio.Task[str]") -> str:
    async with asyncio.timeout(20):
        return await leaving


async def test_what_is_typed_reaches_the_guest_and_ctrl_bracket_leaves(desk: Desk) -> None:
    attached = desk.attach()
    reader, writer = await desk.guest()
    writer.write(b"login: ")
    await desk.sees(b"login: ")
    assert desk.is_raw()
    desk.type(b"root\r\x03\x1a")
    assert await reader.readexactly(7) == b"root\r\x03\x1a"
    desk.type(b"before" + LEAVE + b"after")
    assert await soon(attached) == "left"
    assert await reader.read() == b"before"
    assert desk.is_as_before()
    writer.close()


@pytest.mark.parametrize(
    ("key", "codes"),
    [("ctrl+a", [b"\x01"]), ("ctrl+\\", [b"\x1c"]), ("f12", [b"\x1b[24~"]),
     ("f1", [b"\x1bOP", b"\x1b[11~", b"\x1b[[A"])],
)  # fmt: skip
async def test_the_settings_name_the_key_that_leaves(
    desk: Desk, key: str, codes: list[bytes]
) -> None:
    desk.settings = Settings.model_validate({"leave_key": key})
    for code in codes:
        attached = desk.attach()
        reader, writer = await desk.guest()
        desk.type(LEAVE + b"\x1b[23~")
        assert await reader.readexactly(6) == LEAVE + b"\x1b[23~"
        desk.type(b"ls" + code + b"after")
        assert await soon(attached) == "left"
        assert await reader.read() == b"ls"
        writer.close()


def test_a_key_that_leaves_is_known_in_pieces_and_nothing_is_held_back() -> None:
    leaving = Leaving("f12")
    assert leaving.before(b"a\x1b") == (b"a\x1b", False), "escape is a key, too"
    assert leaving.before(b"[24") == (b"[24", False)
    assert leaving.before(b"~b") == (b"", True)
    other = Leaving("ctrl+]")
    assert other.before(b"\x1b[24~") == (b"\x1b[24~", False)
    assert other.before(b"x\x1dy") == (b"x", True)


@pytest.mark.parametrize("key", ["ctrl+m", "ctrl+i", "a", "ctrl+shift+a", "f13", "ctrl+["])
def test_a_key_that_terminals_do_not_tell_from_others_cannot_leave(key: str) -> None:
    with pytest.raises(ValidationError):
        Settings.model_validate({"leave_key": key})


async def test_what_was_missed_is_shown_first_and_in_whole_lines(desk: Desk) -> None:
    desk.machine.serial_log.mkdir()
    (desk.machine.serial_log / "0").write_bytes(b"x" * console.REPLAYED + b"\x1b[31\nlast line\n$ ")
    attached = desk.attach()
    _, writer = await desk.guest()
    await desk.sees(b"last line\n$ ")
    assert b"x" not in desk.seen
    desk.type(LEAVE)
    await soon(attached)
    writer.close()


async def test_the_end_of_the_machine_ends_the_console(desk: Desk) -> None:
    attached = desk.attach()
    _, writer = await desk.guest()
    writer.write(b"bye")
    writer.close()
    assert await soon(attached) == "the machine ended"
    assert desk.is_as_before()
    await desk.sees(b"bye")


async def test_a_guest_can_draw_and_nothing_else(desk: Desk) -> None:
    attached = desk.attach()
    _, writer = await desk.guest()
    writer.write(b"\x1b]52;c;QUFB\x07\x1b[?1049h\x1b[31m\x1b[6nred\xe2\x82")
    await desk.sees(b"red")
    writer.write(b"\xac.")
    await desk.sees("€.".encode())
    desk.type(LEAVE)
    await soon(attached)
    await desk.sees(b"\x1b[?1049l")
    assert b"52" not in desk.seen
    assert b"\x1b[6n" not in desk.seen
    assert b"\x1b[?1049h\x1b[31mred" in desk.seen
    writer.close()


@pytest.mark.parametrize("reading", [True, False])
async def test_a_flood_does_not_keep_the_person_in(desk: Desk, reading: bool) -> None:
    attached = desk.attach()
    _, writer = await desk.guest()

    async def flood() -> None:
        while True:
            writer.write(b"\x1b[32myes\x1b[0m\r\n" * 4096)
            await writer.drain()

    flooding = asyncio.create_task(flood())
    await desk.sees(b"yes")
    if reading:
        asyncio.get_running_loop().add_reader(desk.ours, os.read, desk.ours, 65_536)
    desk.type(LEAVE)
    assert await soon(attached) == "left"
    assert desk.is_as_before()
    asyncio.get_running_loop().remove_reader(desk.ours)
    flooding.cancel()
    await asyncio.wait({flooding})
    writer.close()


async def test_a_guest_that_reads_nothing_does_not_keep_the_person_in(desk: Desk) -> None:
    attached = desk.attach()
    _, writer = await desk.guest()
    for _ in range(200):
        await eventually(lambda: wrote(desk.ours, b"paste" * 200))
    await eventually(lambda: wrote(desk.ours, LEAVE))
    assert await soon(attached) == "left"
    writer.close()


def wrote(descriptor: int, data: bytes) -> bool:
    try:
        return os.write(descriptor, data) == len(data)
    except BlockingIOError:
        return False


async def test_a_second_console_is_told_and_takes_nothing(desk: Desk) -> None:
    attached = desk.attach()
    _, writer = await desk.guest()
    await eventually(desk.is_raw)
    with pytest.raises(BusyError, match="another console"):
        await desk.attach()
    writer.write(b"still here")
    await desk.sees(b"still here")
    desk.type(LEAVE)
    assert await soon(attached) == "left"
    writer.close()


async def test_a_signal_to_end_puts_the_terminal_back(desk: Desk) -> None:
    attached = desk.attach()
    _, writer = await desk.guest()
    writer.write(b"ready")
    await desk.sees(b"ready")
    os.kill(os.getpid(), signal.SIGTERM)
    assert await soon(attached) == "left"
    assert desk.is_as_before()
    writer.close()


async def test_a_console_that_cannot_be_says_why(desk: Desk) -> None:
    desk.state = State.OFF
    with pytest.raises(NotAllowedError, match="off"):
        await desk.attach()
    desk.state = State.RUNNING
    desk.profile = tiny(devices={"serial": False})
    with pytest.raises(NotAllowedError, match="no serial line"):
        await desk.attach()
    desk.profile = tiny()
    desk.machine.serial.unlink()
    with pytest.raises(MonitorError, match="does not answer"):
        await desk.attach()
    assert desk.is_as_before()
    ours, theirs = socket.socketpair()
    with ours, theirs, pytest.raises(HostError, match="needs a terminal"):
        await desk.attach(ours.fileno())
