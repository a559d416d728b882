"""A machine's screen with real QEMU: seen, typed on, pointed at, and followed."""

import asyncio
import contextlib
import json
import string
import struct
import sys
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

import pytest
from PIL import Image

from tests.conftest import Shell, eventually, tiny
from workstation.cli import main
from workstation.core.screen.look import Look
from workstation.core.workstation import Workstation
from workstation.errors import NotAllowedError, UsageError
from workstation.model.machine import State
from workstation.model.profile import Profile
from workstation.paths import Paths

pytestmark = pytest.mark.qemu

EVENT = struct.Struct("<qqHHi")
KEY, RELATIVE, ABSOLUTE = 1, 2, 3
LEFT_BUTTON, WHEEL = 272, 8
"""Of Linux' input-event-codes.h."""

Event = tuple[int, int, int]

SIGNS = string.ascii_letters + string.digits + string.punctuation


def console(**changes: object) -> Profile:
    """The appliance with its shell on the screen and on the serial line."""
    command_line = (
        "console=tty0 console=ttyS0 quiet nokaslr mitigations=off cryptomgr.notests no_timer_check"
    )
    basis: dict[str, object] = {
        "name": "console",
        "memory": "128 MiB",
        "networks": [],
        "boot": {
            "kernel": "appliance/vmlinuz",
            "initrd": "appliance/initrd",
            "command_line": command_line,
        },
        "ready": "appliance ready",
    }
    return Profile.model_validate(basis | changes)


class Watched:
    """A look that is followed in the background, as the screens do it."""

    def __init__(self, look: Look) -> None:
        self.look = look
        self.sizes: list[tuple[int, int]] = []
        self._moved = asyncio.Event()

    @classmethod
    @asynccontextmanager
    async def on(cls, station: Workstation, name: str) -> AsyncIterator["Watched"]:
        watched = cls(station.screens.look(name))
        task = asyncio.create_task(watched._follow())
        try:
            yield watched
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def _follow(self) -> None:
        async with aclosing(self.look.frames()) as frames:
            async for damage in frames:
                canvas = self.look.canvas
                size = (canvas.width, canvas.height) if canvas else (0, 0)
                if self.sizes[-1:] != [size]:
                    self.sizes.append(size)
                if canvas:
                    self.look.text.read(canvas, damage)
                self._moved.set()

    async def until(self, truth: object, seconds: float = 60.0) -> None:
        """Wait until a frame makes it true."""
        assert callable(truth)
        async with asyncio.timeout(seconds):
            while not truth():
                self._moved.clear()
                await self._moved.wait()

    async def shows(self, text: str) -> None:
        try:
            await self.until(lambda: self.look.text.is_text and text in self.look.text.text(), 30)
        except TimeoutError:
            pytest.fail(f"no {text!r} on the screen:\n{self.look.text.text()}")


@pytest.mark.usefixtures("with_appliance")
async def test_the_guest_gets_what_is_typed_and_its_answer_is_read_from_the_pixels(
    station: Workstation,
) -> None:
    await station.create("vm", console())
    await station.start("vm")
    await station.wait_ready("vm")
    async with Watched.on(station, "vm") as watched, Shell.on(station, "vm") as shell:
        look = watched.look
        await watched.until(lambda: look.canvas)
        look.type("clear; echo hello | tee /run/said\n")
        await watched.shows("hello\nappliance")
        assert await shell.run("cat /run/said") == "hello"

        lines = [SIGNS, "  two  blanks", *(f"line {number} of many" for number in range(12))]
        look.type("clear; cat >/run/typed\n" + "\n".join(lines) + "\n")
        look.press("ctrl-d")
        look.type("echo all' 'there\n")
        await look.typed()
        await watched.shows("all there\n")
        assert (await shell.run("cat /run/typed")).split("\n") == lines

        look.type("sleep 1000\n")
        look.press("ctrl-c")
        await watched.shows("^C\nappliance:~#")  # what is typed before, the shell throws away
        look.type("clear; echo free' 'again\n")
        await watched.shows("free again\n")

        # The colours that a guest paints in are those of the cells.
        look.type("clear; printf '\\033[31;47mred on white\\033[0m\\n'\n")
        await watched.shows("red on white\n")
        row = next(row for row in look.text.rows if row[0] and row[0].char == "r")
        cell = row[0]
        assert cell and cell.front[0] > 100 > cell.front[1]
        assert min(cell.back) > 100
        assert await station.screens.text("vm") == look.text.text()


async def input_events(shell: Shell, file: str) -> list[Event]:
    """Type, code and value of what a guest's input device has said (Linux' input.h)."""
    dump = await shell.run(f"od -An -v -tx1 {file}")
    data = bytes.fromhex("".join(dump.split()))
    whole = len(data) // EVENT.size * EVENT.size
    return [(kind, code, value) for _, _, kind, code, value in EVENT.iter_unpack(data[:whole])]


async def listen(shell: Shell, device: str, file: str) -> None:
    """Write down what the device says from now on."""
    await shell.run(
        f"(cat /dev/input/{device} >{file} &);"
        f" until ls -l /proc/*/fd 2>/dev/null | grep -q {device}; do sleep 0.1; done"
    )


async def until_event(shell: Shell, file: str, last: Event) -> list[Event]:
    """All of them, as soon as that one is among them."""
    async with asyncio.timeout(30):
        while last not in (events := await input_events(shell, file)):
            pass
    return events


CHORDS = {
    "ctrl-alt-f12": [29, 56, 88], "super-l": [125, 38], "print": [99], "pause": [119],
    "menu": [127], "altgr-e": [100, 18], "up": [103], "ins": [110],
}  # fmt: skip
"""With their codes in Linux' input-event-codes.h, as they go down; the first comes up last."""


@pytest.mark.usefixtures("with_appliance")
async def test_every_key_of_the_menu_reaches_the_guest(station: Workstation) -> None:
    await station.create("vm", console())
    await station.start("vm")
    await station.wait_ready("vm")
    async with Shell.on(station, "vm") as shell, station.screens.looking("vm") as look:
        await listen(shell, "event0", "/run/keys")
        # Each is waited for: a guest that is kept from the CPU loses what comes meanwhile.
        expected: list[int] = []
        for chord, codes in CHORDS.items():
            look.press(chord)
            await look.typed()
            expected += codes
            events = await until_event(shell, "/run/keys", (KEY, codes[0], 0))
            assert [code for kind, code, value in events if kind == KEY and value == 1] == expected
    assert sorted(expected) == sorted(
        code for kind, code, value in events if kind == KEY and value == 0
    )


@pytest.mark.usefixtures("with_appliance")
async def test_the_mouse_goes_where_it_is_pointed_to(station: Workstation) -> None:
    """The appliance's kernel has no USB: it is given a tablet that it does have a driver for."""
    await station.create("vm", console(machine={"type": "pc"}, devices={"usb_tablet": False}))
    await station.start("vm")
    await station.wait_ready("vm")
    machine = station.machine("vm")
    async with Watched.on(station, "vm") as watched, Shell.on(station, "vm") as shell:
        look = watched.look
        await watched.until(lambda: look.canvas)
        assert not look.absolute, "a PS/2 mouse only: it is moved by differences"
        assert machine.monitor
        await machine.monitor.execute("device_add", driver="virtio-tablet-pci", id="tablet")
        await shell.run("modprobe virtio_input; until [ -e /dev/input/event2 ]; do sleep 0.1; done")
        await listen(shell, "event2", "/run/moves")
        mice = await machine.monitor.execute("query-mice")
        assert next(mouse for mouse in mice if mouse["current"])["absolute"]
        canvas = look.canvas
        assert canvas
        look.type(" ")  # whatever the screen says next, it says that the pointer is absolute
        await watched.until(lambda: look.absolute)
        x, y = canvas.width // 2, canvas.height // 4
        for place in ((0, 0, 0), (x, y, 0), (x, y, 1), (x, y, 0)):
            look.point(*place)
        for buttons in (8, 0):
            look.point(canvas.width - 1, canvas.height - 1, buttons)
        events = await until_event(shell, "/run/moves", (RELATIVE, WHEEL, 1))
    across = [value for kind, axis, value in events if (kind, axis) == (ABSOLUTE, 0)]
    down = [value for kind, axis, value in events if (kind, axis) == (ABSOLUTE, 1)]
    assert across == [pytest.approx(0x7FFF / 2, abs=100), pytest.approx(0x7FFF, abs=100)]
    assert down == [pytest.approx(0x7FFF / 4, abs=100), pytest.approx(0x7FFF, abs=100)]
    assert [value for kind, code, value in events if (kind, code) == (KEY, LEFT_BUTTON)] == [1, 0]


SWITCH = bytes.fromhex(
    "31c0 8ed8 b8413f b40e cd10"  # write one letter, so that there is text
    "b400 cd16"  # wait for a key
    "b8024f bb1801 cd10"  # VBE: 1024x768, true colour
    "b800a0 8ec0 31ff b9ffff b0ff f3aa"  # white: the first 64 KiB of its memory
    "f4 ebfd"
)
"""A boot sector (Intel's manual, Ralf Brown's interrupt list): text, and after a key, graphics."""


async def test_a_switch_from_text_to_graphics_is_followed(
    station: Workstation, tmp_path: Path
) -> None:
    disk = tmp_path / "switch.img"
    disk.write_bytes((SWITCH.ljust(510, b"\0") + b"\x55\xaa").ljust(1 << 20, b"\0"))
    await station.create("vm", tiny(drives=[{"image": str(disk)}]))
    await station.start("vm")
    async with Watched.on(station, "vm") as watched:
        await watched.shows("Booting from Hard Disk...\nA")
        assert watched.sizes[-1] == (720, 400)
        watched.look.press("enter")

        def line() -> bool:
            canvas = watched.look.canvas
            return bool(
                canvas
                and (canvas.width, canvas.height) == (1024, 768)
                and canvas.pixel(1023, 9)[0] > 100
            )

        await watched.until(line)
        canvas = watched.look.canvas
        assert canvas
        assert canvas.pixel(0, 0) == (255, 255, 255)
        assert canvas.pixel(0, 100) == canvas.pixel(1023, 767) == (0, 0, 0)
        assert not watched.look.text.is_text


async def test_the_screen_comes_back_by_itself(station: Workstation) -> None:
    await station.create("vm", tiny())
    async with Watched.on(station, "vm") as watched, Watched.on(station, "vm") as other:
        await watched.until(lambda: watched.sizes)
        assert watched.sizes == [(0, 0)], "off: nothing to see"
        await station.start("vm")
        await watched.shows("No bootable device.")
        await other.shows("No bootable device.")
        await station.layers.snapshot("vm", "here")
        first = watched.look.canvas
        await station.layers.revert("vm", "here", discard=True)
        await watched.until(lambda: watched.look.canvas not in (None, first))
        await watched.shows("No bootable device.")
        await station.kill("vm")
        await watched.until(lambda: watched.look.canvas is None)
        assert station.view("vm").state is State.OFF
        await station.start("vm")
        await watched.shows("No bootable device.")
        await other.shows("No bootable device.")


async def test_a_machine_without_a_display_says_so(station: Workstation) -> None:
    await station.create("vm", tiny(display={"adapter": "none"}))
    await station.start("vm")
    with pytest.raises(NotAllowedError, match="has no display") as raised:
        await station.screens.picture("vm")
    assert "workstation console vm" in raised.value.hint
    with pytest.raises(NotAllowedError):
        station.screens.look("vm")


async def test_a_machine_that_is_off_has_no_screen(station: Workstation) -> None:
    await station.create("vm", tiny())
    with pytest.raises(NotAllowedError, match="cannot screen now"):
        await station.screens.picture("vm")


async def test_a_text_that_cannot_be_typed_is_not_begun(station: Workstation) -> None:
    await station.create("vm", tiny())
    await station.start("vm")
    with pytest.raises(UsageError):
        await station.screens.type("vm", "a" * 5000 + "ä")
    with pytest.raises(UsageError):
        await station.screens.press("vm", ["enter", "nonsense"])


# -- the command line ---------------------------------------------------------


async def run(*words: str) -> None:
    """In a thread: a command has an event loop of its own."""
    assert await asyncio.to_thread(main, list(words)) == 0


async def test_the_commands(
    station: Workstation,
    paths: Paths,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    await station.create("vm", tiny())
    await station.start("vm")
    async with Watched.on(station, "vm") as watched:
        await watched.shows("No bootable device.")

    shot = tmp_path / "shot.png"
    capfd.readouterr()
    await run("screen", "vm", "--output", str(shot), "--json")
    told = json.loads(capfd.readouterr().out)
    assert told == {"name": "vm", "file": str(shot), "width": 720, "height": 400}
    with Image.open(shot) as picture:
        assert (picture.format, picture.size) == ("PNG", (720, 400))
        assert picture.convert("L").histogram()[100:] != [0] * 156
    assert [file.name for file in tmp_path.iterdir()] == ["shot.png"]

    await run("screen", "vm", "--text")
    assert "No bootable device." in capfd.readouterr().out
    await run("type", "vm", "hello", "--enter", "--json")
    assert json.loads(capfd.readouterr().out) == {"name": "vm", "characters": 6}
    await run("keys", "vm", "ctrl-alt-del", "f2")
    assert "pressed" in capfd.readouterr().out

    socket = paths.machine("vm").vnc
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    await run("viewer", "vm")
    assert f"vnc+unix://{socket}" in capfd.readouterr().out
    program = tmp_path / "bin" / "vncviewer"
    program.parent.mkdir()
    program.write_text(f"#!{sys.executable}\nimport sys\nopen({str(tmp_path / 'said')!r}, 'w')"
                       ".write(sys.argv[1])\n")  # fmt: skip
    program.chmod(0o755)
    await run("viewer", "vm", "--json")
    assert json.loads(capfd.readouterr().out)["viewer"] == str(program)
    said = tmp_path / "said"
    await eventually(lambda: said.exists() and said.read_text() == str(socket))
    assert socket.exists()
