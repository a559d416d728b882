"""The real program in a terminal of its own, on a real guest's line, as a person would see it."""

import asyncio
import contextlib
import fcntl
import os
import re
import signal
import struct
import sys
import termios
from collections.abc import AsyncIterator

import pytest

from tests.bench.terminal import Terminal
from tests.conftest import ENVIRON, eventually
from tests.test_guest import awake, small
from workstation.core.serial import log as serial
from workstation.core.terminal.emulator import Emulator
from workstation.core.workstation import Workstation

pytestmark = [pytest.mark.qemu, pytest.mark.usefixtures("with_appliance")]

PROGRAM = (sys.executable, "-m", "workstation")
STRINGS = re.compile(rb"\x1b[\]PX^_k][^\x07\x1b]*|[\x90\x98\x9d-\x9f](?![\x80-\xbf])")


class Window:
    """A person's terminal with the program in it."""

    def __init__(self, terminal: Terminal, size: tuple[int, int]) -> None:
        self.terminal = terminal
        self.screen = Emulator(*size)
        self._fed = 0

    @property
    def bytes(self) -> bytes:
        return bytes(self.terminal._written)

    def rows(self) -> list[str]:
        self.screen.feed(self.bytes[self._fed :])
        self._fed = len(self.bytes)
        return self.screen.board.capture_text(trim=False).split("\n")

    async def sees(self, *words: str) -> None:
        try:
            await eventually(lambda: all(word in "\n".join(self.rows()) for word in words), 30)
        except TimeoutError:
            pytest.fail(f"{words} not among:\n" + "\n".join(self.rows()))

    def press(self, keys: str) -> None:
        self.terminal.press(keys)

    async def run(self, line: str, answer: str) -> None:
        self.press(f"{line}\r")
        await self.sees(answer)

    def resize(self, columns: int, rows: int) -> None:
        self.rows()
        size = struct.pack("HHHH", rows, columns, 0, 0)
        fcntl.ioctl(self.terminal._master, termios.TIOCSWINSZ, size)
        self.terminal.process.send_signal(signal.SIGWINCH)
        self.screen.resize(columns, rows)


@contextlib.asynccontextmanager
async def window(
    environ: dict[str, str], size: tuple[int, int] = (90, 30)
) -> AsyncIterator[Window]:
    """The program, at the console of the only machine."""
    kept = {name: ENVIRON[name] for name in ("PATH", "LANG") if name in ENVIRON}
    started = environ | kept | {"TERM": "xterm-256color", "COLORTERM": "truecolor"}
    async with Terminal.running(PROGRAM, started, size) as terminal:
        shown = Window(terminal, size)
        await shown.sees("one", "running")
        shown.press("c")
        await shown.sees("ctrl+] leave")
        yield shown


async def test_vi_in_the_console_and_its_window_resized(
    station: Workstation, environ: dict[str, str]
) -> None:
    await awake(station, "one", small())
    async with window(environ) as shown:
        await shown.sees("appliance:~#")  # printed before it was opened
        shown.press("\x1cz")  # the menu: set the guest's size
        await shown.sees("stty rows 29 cols 90")
        await shown.run("stty size", "29 90")
        shown.press("seq 1 60 >/tmp/numbers; vi /tmp/numbers\r")
        # On a busy computer vi is late for the size it has asked for, and says that of the answer.
        await shown.sees("\n28 ")
        shown.press("\x07")
        await shown.sees("- /tmp/numbers 1/60")
        rows = shown.rows()
        assert [row.strip() for row in rows[:28]] == [str(number) for number in range(1, 29)]
        shown.press("Gihello \x1b")
        await shown.sees("hello 60", "- /tmp/numbers [Modified]")
        shown.resize(60, 20)
        await shown.sees("60x19")
        shown.press(":q!\r")
        await shown.run("clear; echo ba''ck", "back")
        shown.press("\x1cz")
        await shown.sees("stty rows 19 cols 60")
        await shown.run("stty size", "19 60")
        shown.press("vi /tmp/numbers\r")
        await shown.sees("- /tmp/numbers 1/60")
        rows = shown.rows()
        assert [row.strip() for row in rows[:18]] == [str(number) for number in range(1, 19)]
        shown.press(":q!\r\x1d")
        await shown.sees("MACHINES")
    assert station.view("one").state.live


async def test_a_console_that_is_open_goes_on_after_a_reset_of_the_demo(
    station: Workstation, environ: dict[str, str]
) -> None:
    await awake(station, "one", small())
    await station.layers.snapshot("one", "ready")
    await station.layers.set_golden("one", "ready")
    async with window(environ) as shown:
        await shown.run("mark=here; echo $mark-before", "here-before")
        await station.layers.reset_demo("one")
        await shown.sees("one goes on from a snapshot")
        await shown.run("echo $mark-after; echo go''ne", "-after")
        await shown.sees("gone")
        assert not any("here-after" in row for row in shown.rows())
        shown.press("\x1cr")  # and once more, from the console's own menu
        await eventually(lambda: sum("goes on from" in row for row in shown.rows()) == 2, 60)
        await shown.run("echo aga''in", "again")


async def test_nothing_of_the_guests_escapes_leaves_the_program(
    station: Workstation, environ: dict[str, str]
) -> None:
    await awake(station, "one", small())
    hostile = (
        r"\033]52;c;RVZJTA==\007\033]0;EVIL\007\033P+qEVIL\033\\\033_EVIL\033\\\033^EVIL\033\\"
        r"\302\2350;EVIL\007\302\220EVIL\302\234\033]8;;http://EVIL/\007link\033]8;;\007"
        r"\033]1337;EVIL\007\033[5iEVIL\033[4i\033]777;notify;EVIL;EVIL\007\033[21t\033[c\342\200\256"
    )
    async with window(environ) as shown:
        await shown.run(f"printf '{hostile}'; echo do''ne", "done")
        shown.press("\x1d")
        await shown.sees("MACHINES")
        for found in STRINGS.findall(shown.bytes):
            assert b"EVIL" not in found
            assert b"RVZJ" not in found
            assert not found.startswith(
                (b"\x1b]52", b"\x1b]0", b"\x1b]2;", b"\x1bP", b"\x1b_", b"\x1b^")
            )
        assert b"\x1b[5i" not in shown.bytes
        assert "\u202e".encode() not in shown.bytes


async def test_a_guest_that_prints_without_end_and_unwatched_fills_no_disk(
    station: Workstation,
) -> None:
    station.paths.settings.write_text("serial_log: 8 KiB\n")
    await awake(station, "one", small())
    machine = station.paths.machine("one")
    reader, writer = await asyncio.open_unix_connection(str(machine.serial))
    writer.write(b"yes flood | head -c 50000; echo do''ne\r")
    await reader.readuntil(b"do''ne\r\n")
    writer.close()
    await station.wait_text("one", "done")
    kept = [os.path.getsize(file) for file in machine.serial_log.iterdir()]
    assert len(kept) == 2
    assert 8_192 <= sum(kept) <= 2 * 8_192
    assert serial.size(machine.serial_log) > 50_000


async def test_a_virtio_console_is_a_line_like_the_serial_one(
    station: Workstation, environ: dict[str, str]
) -> None:
    await awake(station, "one", small(devices={"console": "virtio"}))
    async with window(environ) as shown:
        await shown.sees("appliance:~#")
        await shown.run("tty", "/dev/hvc0")
        shown.press("\x1cz")
        await shown.sees("stty rows 29 cols 90")
        shown.press("seq 1 60 >/tmp/numbers; vi /tmp/numbers\r")
        await shown.sees("- /tmp/numbers 1/60")
        rows = shown.rows()
        assert [row.strip() for row in rows[:28]] == [str(number) for number in range(1, 29)]
        shown.press(":q!\r\x1d")
        await shown.sees("MACHINES")
