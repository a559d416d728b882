"""Several front-ends at once: how soon they see what a command line has changed."""

import asyncio
import re
import subprocess
import time
from contextlib import AsyncExitStack

from tests.bench.home import PROGRAM, Home, home, progress
from tests.bench.measure import Figure, Series
from tests.bench.qmp import Plain
from tests.bench.terminal import Terminal
from tests.bench.watcher import Watcher
from workstation.paths import MONITORS

ROUNDS = 12
NAME = "vm-000"


async def row() -> list[Figure]:
    with home() as place:
        await place.make(2, live=1)
        async with AsyncExitStack() as stack:
            enter = stack.enter_async_context
            watchers = [await enter(Watcher.running(place.environ)) for _ in range(2)]
            screens = [await enter(Terminal.running(PROGRAM, place.environ)) for _ in range(2)]
            for screen in screens:
                await screen.shows(NAME, "running")
            plain = stack.enter_context(Plain(place.paths.machine(NAME).monitor(MONITORS - 1)))
            events, frames = await _switched(place, plain, watchers, screens)
            ends = await _ended(place, watchers)
    return [
        Figure("CLI pause/resume, QEMU's event → 2 front-ends", events, limit=0.2, percent=99),
        Figure("CLI pause/resume, QEMU's event → 2 TUIs' frames", frames, limit=0.2, percent=99),
        Figure("CLI stop/start, command's end → 2 front-ends", ends, limit=0.2, percent=99),
    ]


async def _switched(
    place: Home, plain: Plain, watchers: list[Watcher], screens: list[Terminal]
) -> tuple[Series, Series]:
    events, frames = [], []
    for number in range(2 * ROUNDS):
        progress(f"front-ends: change {number + 1} of {2 * ROUNDS}")
        verb, kind, state = (
            ("resume", "RESUME", "running") if number % 2 else ("pause", "STOP", "paused")
        )
        for screen in screens:
            screen.forget()
        event = asyncio.create_task(asyncio.to_thread(_moment_of, plain, kind))
        shown = [asyncio.create_task(_row_shows(screen, state)) for screen in screens]
        await _cli(place, verb)
        changed = await event
        events += [await watcher.sees(state, name=NAME) - changed for watcher in watchers]
        frames += [await moment - changed for moment in shown]
    return Series(events), Series(frames)


async def _row_shows(screen: Terminal, state: str) -> float:
    """The moment at which the machine's row in the list says so."""
    row = re.compile(rf"{NAME}\s+{state}")
    return await screen.until(lambda it: row.search(it.text))


def _moment_of(plain: Plain, kind: str) -> float:
    plain.event(kind)
    return time.perf_counter()


async def _ended(place: Home, watchers: list[Watcher]) -> Series:
    """From the end of the command; 0 where they knew before."""
    late = []
    for number in range(ROUNDS):
        progress(f"front-ends: stop and start {number + 1} of {ROUNDS}")
        for words, state in ((("stop", "--force"), "off"), (("start", "--force"), "running")):
            done = await _cli(place, *words)
            late += [max(0.0, await watcher.sees(state, name=NAME) - done) for watcher in watchers]
    return Series(late)


async def _cli(place: Home, verb: str, *more: str) -> float:
    """The moment at which the command has ended."""
    process = await asyncio.create_subprocess_exec(
        *PROGRAM, verb, NAME, *more, env=place.environ, stdout=subprocess.DEVNULL
    )
    if await process.wait():
        raise RuntimeError(f"workstation {verb} has failed")
    return time.perf_counter()
