"""The text console: how fast the emulator is, and how soon a key's echo is on the screen."""

import asyncio
import contextlib
import itertools
import random
import socket
import sys
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from bittty import XTERM, Board

from tests.bench.echo_front import NAME
from tests.bench.home import Home, home, progress
from tests.bench.measure import Clock, Figure, Series, in_turns
from tests.bench.terminal import Terminal
from tests.test_terminal_fuzz import noise
from workstation.core.terminal.emulator import Emulator

ROUNDS = 7
KEYS = 100
PIECE = 16_384

FLOODS: dict[str, tuple[int, float | None]] = {
    "idle": (0, 0.05),
    "in an endless flood": (16, 0.08),
    "in a flood of large pieces": (65_536, None),
}
"""How many bytes the guest writes at a time, and the target. QEMU's consoles write 1 (16550) or 16
(virtio) at a time, and a socket holds 4 KB of these. Of large pieces, which QEMU never writes, it
holds 230 KB, which the emulator needs 80 ms for at best: shown for information."""

LINES = b"".join(
    b"\x1b[32m[  ok  ]\x1b[0m line %06d: \x1b[38;5;%dmsome words\x1b[0m and more of them\r\n"
    % (number, number % 256)
    for number in range(14_000)
)
"""About a megabyte of what a chatty service prints."""

NOISE = b"".join(noise(random.Random(seed), 10_000) for seed in range(20))
"""Half random bytes, half pieces of sequences in any order."""


async def emulator() -> list[Figure]:
    """Our adapter, beside the engine fed as it is."""

    async def ours() -> float:
        screen = Emulator(100, 30)
        return _timed(screen.feed)

    async def raw() -> float:
        board = Board(width=100, height=30, model=XTERM)
        return _timed(board.feed_host_data)

    mine, other = await in_turns("emulator", ours, raw, ROUNDS)
    noisy = Series([_timed(Emulator(80, 24).feed, NOISE) for _ in range(ROUNDS)])
    return [
        Figure(
            "console, 1 MB of coloured lines emulated", mine, raw=other,
            raw_name="bittty alone, without scrollback", limit=1.0,
        ),
        # 10 MB in 60 s. bittty alone takes a minute for one: strings that do not end.
        Figure("console, 1 MB of noise emulated", noisy, limit=6.0),
    ]  # fmt: skip


def _timed(feed: Callable[[bytes], object], printed: bytes = LINES) -> float:
    """Seconds a megabyte."""
    with Clock() as clock:
        for start in range(0, len(printed), PIECE):
            feed(printed[start : start + PIECE])
    return clock.seconds * 1e6 / len(printed)


class Guest:
    """Echoes each key as a line; in a flood, in every line from then on.

    In a flood it waits whenever the socket is full: so as much is under way as would be there.
    """

    def __init__(self, listener: socket.socket, *, flood: int) -> None:
        """`flood` is how many bytes it writes at a time; 0 for none."""
        self._listener = listener
        self._said = "?"
        self._flooding = flood
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        line, _ = self._listener.accept()
        with line, contextlib.suppress(OSError):
            if self._flooding:
                threading.Thread(target=self._flood, args=(line,), daemon=True).start()
            while typed := line.recv(100):
                self._said = typed.decode()[-1]
                if not self._flooding:
                    line.sendall(f"\r\necho-{self._said}-echo ".encode())

    def _flood(self, line: socket.socket) -> None:
        with contextlib.suppress(OSError):
            waiting = b""
            for number in itertools.count():
                words = f"flood {number:08}\x1b[0m echo-{self._said}-echo {'word ' * 8}"
                waiting += f"\x1b[3{number % 8}m{words}\r\n".encode()
                while len(waiting) >= self._flooding:
                    line.sendall(waiting[: self._flooding])
                    waiting = waiting[self._flooding :]


@asynccontextmanager
async def _opened(place: Home, *, flood: int) -> AsyncIterator[Terminal]:
    """The console, open on a guest."""
    root = Path(tempfile.mkdtemp(dir=place.directory))
    runtime = root / "run" / NAME
    runtime.mkdir(parents=True)
    (root / "data" / "machines" / NAME).mkdir(parents=True)
    argv = (sys.executable, "-m", "tests.bench.echo_front", str(root))
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(runtime / "serial.sock"))
        listener.listen()
        Guest(listener, flood=flood)
        async with Terminal.running(argv, place.environ) as terminal:
            await terminal.shows("running")
            terminal.press("c")
            await terminal.shows("ctrl+] leave")
            yield terminal


async def key_to_screen() -> list[Figure]:
    """From a key in the terminal to its echo in the terminal, guest and all."""
    figures = []
    with home() as place:
        for name, (flood, limit) in FLOODS.items():
            progress(f"console keys, {name}")
            async with _opened(place, flood=flood) as terminal:
                series = await _typed(terminal)
            row = f"console, key to its echo, {name}"
            figures.append(Figure(f"{row}: median", series))
            figures.append(Figure(row, series, percent=95, limit=limit))
    return figures


async def _typed(terminal: Terminal) -> Series:
    seconds = []
    pace = random.Random(7)
    for key in itertools.islice(itertools.cycle("abcdefghijklmnopqrstuvwxyz"), KEYS):
        await asyncio.sleep(pace.uniform(0.03, 0.12))
        terminal.forget()
        begun = time.perf_counter()
        terminal.press(key)
        shown = await terminal.until(lambda it, key=key: f"echo-{key}-echo" in it.text)  # type: ignore[misc]
        seconds.append(shown - begun)
    return Series(seconds)
