"""The screens in a real terminal: the first frame, a key's frame, and what idling costs."""

import asyncio
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import cycle, islice

from tests.bench.home import PROGRAM, Home, home, progress
from tests.bench.measure import Clock, Figure, Series, in_turns
from tests.bench.terminal import Terminal

FRAMES = 15
MACHINES = 200
LIVE = 50
IDLE_VMS = 20
IDLE_SECONDS = 30
SETTLING = 25
"""Seconds: the screens look more often at a machine in its first 20."""
BLOCKS = 6
KEYS = 50
"""In a block."""
DOWN, UP = "\x1b[B", "\x1b[A"
BARE = (sys.executable, "-m", "tests.bench.bare")
STORM = (sys.executable, "-m", "tests.fakes", "--machines", str(MACHINES), "--live", str(LIVE),
         "--storm")  # fmt: skip


# -- the first frame ----------------------------------------------------------


async def first_frame() -> list[Figure]:
    with home() as place:
        await place.make(MACHINES)

        async def painted() -> float:
            return await _until_shown(place, "Looking for")

        async def filled() -> float:
            return await _until_shown(place, "▌", "vm-000", "vm-009")

        async def raw() -> float:
            return await asyncio.to_thread(_import_textual, place)

        first, other = await in_turns("first frame", painted, raw, FRAMES)
        later, another = await in_turns("first machines", filled, raw, FRAMES)
    beside = "python -c 'import textual.app'"
    return [
        Figure("TUI, first frame", first, raw=other, raw_name=beside, limit=0.5),
        Figure(f"TUI, {MACHINES} machines shown", later, raw=another, raw_name=beside),
    ]


async def _until_shown(place: Home, *words: str) -> float:
    begun = time.perf_counter()
    async with Terminal.running(PROGRAM, place.environ) as terminal:
        return await terminal.shows(*words) - begun


def _import_textual(place: Home) -> float:
    with Clock() as clock:
        subprocess.run((sys.executable, "-c", "import textual.app"), env=place.environ, check=True)
    return clock.seconds


# -- a key's frame ------------------------------------------------------------


async def key_to_frame() -> list[Figure]:
    """The cursor moves, in blocks of keys, now ours and now the bare program's; the program
    whose turn it is not stands still."""
    with home() as place:
        async with (
            Terminal.running(STORM, place.environ) as ours,
            Terminal.running(BARE, place.environ) as bare,
        ):
            await ours.shows("▌", "machine-005")
            await bare.shows("line-005")
            mine, other = await _blocks(ours, bare)
    name = f"key to frame, {MACHINES} machines, {LIVE} changing 10x/s"
    return [
        Figure(
            name, mine, percent=95, limit=0.05, raw=other,
            raw_name="a bare Textual list, no events",
        )
    ]  # fmt: skip


async def _blocks(ours: Terminal, bare: Terminal) -> tuple[Series, Series]:
    mine: list[float] = []
    other: list[float] = []
    bare.process.send_signal(signal.SIGSTOP)
    for number in range(BLOCKS):
        progress(f"keys: block {number + 1} of {BLOCKS}")
        mine += await _walk(ours, r"▌\S machine-{:03} ", lambda: ours.text)
        ours.process.send_signal(signal.SIGSTOP)
        bare.process.send_signal(signal.SIGCONT)
        # The line under its cursor is the one in bold (SGR 1).
        other += await _walk(bare, r"\x1b\[1;[0-9;]*mline-{:03}", lambda: bare.written)
        bare.process.send_signal(signal.SIGSTOP)
        ours.process.send_signal(signal.SIGCONT)
    bare.process.send_signal(signal.SIGCONT)
    return Series(mine), Series(other)


async def _walk(terminal: Terminal, under_cursor: str, seen: Callable[[], str]) -> list[float]:
    """One down, one up, in turns; seconds from each key until its line is painted as the
    cursor's."""
    seconds = []
    pace = random.Random(7)
    for key, line in islice(cycle(((DOWN, 1), (UP, 0))), KEYS):
        await asyncio.sleep(pace.uniform(0.03, 0.12))  # each time at another point between events
        terminal.forget()
        painted = re.compile(under_cursor.format(line)).search
        begun = time.perf_counter()
        terminal.press(key)
        seconds.append(await _painted(terminal, painted, seen) - begun)
    return seconds


async def _painted(
    terminal: Terminal, pattern: Callable[[str], object], seen: Callable[[], str]
) -> float:
    return await terminal.until(lambda _: pattern(seen()))


# -- idling -------------------------------------------------------------------


async def idle() -> list[Figure]:
    """Shares of one core over the same seconds: the machines run, nobody touches a key."""
    with home() as place:
        await place.make(IDLE_VMS, live=IDLE_VMS)
        async with (
            Terminal.running(PROGRAM, place.environ) as ours,
            Terminal.running(BARE, place.environ) as bare,
        ):
            await ours.shows("vm-000", "running")
            progress("waiting until the machines have settled")
            await asyncio.sleep(SETTLING)
            mine, other = await _shares(ours, bare)
    return [
        Figure(
            f"TUI idle, {IDLE_VMS} running VMs: CPU", Series([mine]), raw=Series([other]),
            raw_name="a bare Textual list", limit=0.02, unit="%",
        )
    ]  # fmt: skip


async def _shares(*terminals: Terminal) -> list[float]:
    progress(f"idling for {IDLE_SECONDS} s")
    before = [terminal.cpu_seconds() for terminal in terminals]
    with Clock() as clock:
        await asyncio.sleep(IDLE_SECONDS)
    after = [terminal.cpu_seconds() for terminal in terminals]
    return [(late - early) / clock.seconds for early, late in zip(before, after, strict=True)]
