"""A screen's hold on a serial line: real sockets and log, and a machine that a test plays."""

import asyncio
from collections.abc import AsyncIterator, Callable
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.conftest import eventually, tiny
from workstation.core.serial import line
from workstation.core.serial.session import Link, Session, overlap
from workstation.model.machine import State
from workstation.paths import MachinePaths, Paths

Ends = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Play:
    """The machine: its line, its log, and whether it runs; and what the screen was shown."""

    def __init__(self, paths: MachinePaths) -> None:
        self.paths = paths
        paths.serial_log.mkdir(parents=True)
        paths.runtime.mkdir(parents=True)
        self._looked = asyncio.Event()
        self.run = 1
        self.running = True
        self.definition = SimpleNamespace(profile=tiny())
        self.state = State.RUNNING
        self.look()
        self._guests: asyncio.Queue[Ends] = asyncio.Queue()
        self._server: asyncio.Server | None = None
        self.before = self.live = b""
        self.runs: list[bool] = []
        self.links: list[Link] = []
        machine: Any = self
        self.session = Session(machine)

    # -- as core.machine.Machine --------------------------------------------

    def pair(self) -> int | None:
        return self.run if self.running else None

    async def until(self, reached: Callable[[object], bool]) -> object:
        while not reached(self.view):
            self._looked.clear()
            await self._looked.wait()
        return self.view

    # -- as session.Display -------------------------------------------------

    async def show(self, data: bytes, *, before: bool) -> None:
        if before:
            self.before += data
        else:
            self.live += data

    def begun_anew(self, *, resumed: bool) -> None:
        self.runs.append(resumed)

    def changed(self) -> None:
        self.links.append(self.session.link)

    # -- what a test does ---------------------------------------------------

    async def start(self, *, anew: bool = False) -> None:
        """Listen, as QEMU does from its start on."""
        self.paths.serial.unlink(missing_ok=True)

        async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self._guests.put_nowait((reader, writer))

        self._server = await asyncio.start_unix_server(connected, str(self.paths.serial))
        self.run += anew
        self.running = True
        self.look()

    def end(self) -> None:
        if self._server:
            self._server.close()
        self.running = False
        self.look()

    def look(self) -> None:
        self.view = SimpleNamespace(state=self.state)
        self._looked.set()

    def log(self, data: bytes, start: int = 0) -> None:
        with (self.paths.serial_log / str(start)).open("ab") as file:
            file.write(data)

    async def guest(self) -> Ends:
        async with asyncio.timeout(20):
            return await self._guests.get()

    async def is_(self, link: Link) -> None:
        await eventually(lambda: self.session.link is link)


@pytest.fixture
async def play(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Play]:
    resumed = SimpleNamespace(resumed=lambda machine: machine.resumed)
    monkeypatch.setattr("workstation.core.serial.session.ready", resumed)
    monkeypatch.setattr("workstation.core.serial.session.RETRY_SECONDS", 0.05)
    play = Play(paths.machine("one"))
    await play.start()
    running = asyncio.create_task(play.session.run(play))
    yield play
    running.cancel()
    await asyncio.wait({running})
    if not running.cancelled():
        running.result()
    play.end()


async def test_what_was_missed_comes_first_and_then_what_comes(play: Play) -> None:
    play.log(b"booted\r\nlogin: ")
    _, writer = await play.guest()
    await play.is_(Link.OPEN)
    await eventually(lambda: play.before == b"booted\r\nlogin: ")
    writer.write(b"root")
    await eventually(lambda: play.live == b"root")
    writer.close()


async def test_a_guest_that_prints_while_one_connects_is_shown_once(play: Play) -> None:
    _, writer = await play.guest()
    play.log(b"one two three four")
    writer.write(b"three four five")
    await eventually(lambda: play.before + play.live == b"one two three four five")
    assert play.live == b"three four five"
    writer.close()


async def test_a_long_log_is_shown_from_a_whole_line_on(
    play: Play, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workstation.core.serial.session.REPLAYED", 20)
    play.log(b"x" * 100 + b"\x1b[3")
    play.log(b"1m cut\r\nwhole line\r\n$ ")
    _, writer = await play.guest()
    await eventually(lambda: play.before == b"whole line\r\n$ ")
    writer.close()


async def test_what_is_typed_reaches_the_guest(play: Play) -> None:
    reader, writer = await play.guest()
    assert await eventually_sent(play, b"ls\r")
    assert await reader.readexactly(3) == b"ls\r"
    writer.close()


async def eventually_sent(play: Play, data: bytes) -> bool:
    await play.is_(Link.OPEN)
    return play.session.send(data)


async def test_a_guest_that_reads_nothing_is_sent_no_more(play: Play) -> None:
    _, writer = await play.guest()
    await play.is_(Link.OPEN)
    sent = 0
    while play.session.send(b"p" * 65_536) and sent < 100 * 2**20:
        sent += 65_536
    assert line.UNSENT <= sent < 2 * line.UNSENT + 2**20
    writer.close()


async def test_after_a_revert_it_connects_again_and_goes_on(play: Play) -> None:
    play.log(b"before ")
    _, writer = await play.guest()
    await play.is_(Link.OPEN)
    writer.write(b"live ")
    await eventually(lambda: play.live == b"live ")
    play.log(b"live ")
    play.end()
    writer.close()
    await play.is_(Link.OFF)
    assert not play.session.send(b"lost")
    play.log(b"meanwhile ")
    play.resumed = True  # type: ignore[attr-defined]
    await play.start(anew=True)
    _, writer = await play.guest()
    await play.is_(Link.OPEN)
    await eventually(lambda: play.before == b"before meanwhile ")
    assert play.runs == [True]
    writer.close()


async def test_a_guest_whose_memory_is_being_loaded_is_not_typed_to(play: Play) -> None:
    _, writer = await play.guest()
    await play.is_(Link.OPEN)
    play.end()
    writer.close()
    await play.is_(Link.OFF)
    play.state = State.STARTING
    play.resumed = True  # type: ignore[attr-defined]
    await play.start(anew=True)
    await play.is_(Link.CONNECTING)
    assert play._guests.empty()
    play.state = State.RUNNING
    play.look()
    _, writer = await play.guest()
    await play.is_(Link.OPEN)
    writer.close()


async def test_after_a_boot_the_log_is_another(play: Play) -> None:
    play.log(b"a long first run, of which much was printed")
    _, writer = await play.guest()
    await play.is_(Link.OPEN)
    await eventually(lambda: bool(play.before))
    play.end()
    writer.close()
    await play.is_(Link.OFF)
    play.before = b""
    (play.paths.serial_log / "0").write_bytes(b"BIOS ")
    play.resumed = False  # type: ignore[attr-defined]
    await play.start(anew=True)
    _, writer = await play.guest()
    await eventually(lambda: play.before == b"BIOS ")
    assert play.runs == [False]
    writer.close()


async def test_a_machine_that_is_off_shows_its_last_words(play: Play) -> None:
    _, writer = await play.guest()
    play.end()
    writer.close()
    await play.is_(Link.OFF)
    other = Play.__new__(Play)
    other.__dict__.update(play.__dict__)
    other.before = b""
    other.session = Session(other)  # type: ignore[arg-type]
    play.log(b"last words")
    reading = asyncio.create_task(other.session.run(other))
    await eventually(lambda: other.before == b"last words")
    assert other.session.link is Link.OFF
    reading.cancel()


async def test_a_second_console_reads_along_and_takes_over(play: Play) -> None:
    _, writer = await play.guest()
    await play.is_(Link.OPEN)
    play.end()
    writer.close()
    await play.is_(Link.OFF)
    with line.alone(play.paths):
        play.resumed = True  # type: ignore[attr-defined]
        await play.start(anew=True)
        await play.is_(Link.TAKEN)
        play.log(b"said to the other one")
        await eventually(lambda: play.before.endswith(b"said to the other one"))
        assert not play.session.send(b"mine")
    _, writer = await play.guest()
    await play.is_(Link.OPEN)
    assert play.session.send(b"mine")
    writer.close()


async def test_a_machine_without_a_line_says_so(play: Play) -> None:
    _, writer = await play.guest()
    play.definition.profile = tiny(devices={"serial": False})
    play.end()
    writer.close()
    await play.is_(Link.NONE)


PIECES = st.text("ab\n", max_size=60).map(str.encode)


@given(PIECES, PIECES, PIECES)
def test_the_overlap_is_found(before: bytes, both: bytes, after: bytes) -> None:
    one, other = before + both, both + after
    most = min(len(one), len(other))
    expected = next((n for n in range(most, 0, -1) if one.endswith(other[:n])), 0)
    assert overlap(one, other) == expected


def test_the_overlap_of_a_flood_takes_no_time() -> None:
    flood = b"yes\r\n" * 50_000
    assert overlap(flood, flood) == len(flood)
    assert overlap(flood, b"s\r\n" + flood) == len(flood) - 2
    assert overlap(flood[:-1] + b"x", flood) == 0


@pytest.mark.parametrize("listens", [True, False])
async def test_a_guest_without_an_agent_is_not_waited_for(
    paths: Paths, monkeypatch: pytest.MonkeyPatch, listens: bool
) -> None:
    """What is typed instead would come when something else is in front."""
    asked: list[tuple[int, int]] = []

    async def tell(machine: MachinePaths, columns: int, rows: int) -> bool:
        asked.append((columns, rows))
        return True

    async def execute(command: str) -> list[dict[str, object]]:
        assert command == "query-chardev"
        return [{"label": "agent", "frontend-open": listens}]

    monkeypatch.setattr("workstation.core.serial.session.guest_size.tell", tell)
    monitor = SimpleNamespace(execute=execute)
    machine: Any = SimpleNamespace(name="one", paths=paths.machine("one"), monitor=monitor)
    assert await Session(machine).tell_size(100, 29) is listens
    assert asked == ([(100, 29)] if listens else [])
