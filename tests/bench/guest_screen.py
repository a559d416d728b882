"""A guest's screen end to end: frames from a VNC server to a terminal that has taken them."""

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

from tests.bench.home import home, progress, start_all
from tests.bench.measure import Figure, Series
from tests.bench.terminal import Terminal
from tests.conftest import eventually
from workstation.core.screen.look import Look
from workstation.ui.screen.drawing import Drawing
from workstation.ui.widgets.thumbnail import PERIOD

SECONDS = 8
THUMBNAILS = 10
THUMBNAIL = (36, 10)
KINDS = {
    "half blocks": "\x1b[?62c",
    "kitty graphics": "\x1b_Gi=31;OK\x1b\\\x1b[6;20;10t\x1b[?62c",
    "sixel graphics": "\x1b[6;20;10t\x1b[?62;4c",
}
"""What the terminal answers."""


class Answering(Terminal):
    """Tells where its cursor is when it is asked, as every terminal does."""

    def _read(self) -> None:
        before = len(self._written)
        super()._read()
        for _ in range(self._written[before:].count(b"\x1b[6n")):
            os.write(self._master, b"\x1b[1;1R")


async def frames() -> list[Figure]:
    figures = []
    for mode, limit in (("boxes", 1 / 25), ("full", 1 / 15)):
        for kind, answer in KINDS.items():
            progress(f"frames: {mode}, {kind}")
            wall, cpu, size = await _measured(mode, kind, answer)
            words = {"boxes": "changing boxes", "full": "full redraw"}[mode]
            name = f"screen 1024x768, {words}, {kind}"
            figures += [
                Figure(
                    f"{name}: a frame", Series([wall]), limit=None if "graphics" in kind else limit
                ),
                Figure(f"{name}: CPU a frame ({size / 1000:.0f} kB)", Series([cpu])),
            ]
    return figures


async def _measured(mode: str, kind: str, answer: str) -> tuple[float, float, float]:
    """Seconds, seconds of the program's CPU, and bytes written, of one frame."""
    with home() as place, tempfile.TemporaryDirectory(prefix="ws-") as directory:
        socket = str(Path(directory) / "vnc.sock")
        argv = (sys.executable, "-m", "tests.bench.looking", socket)
        async with (
            _server(socket, mode) as counted,
            Answering.running(argv, place.environ | {"COLORTERM": "truecolor"}) as it,
        ):
            await it.shows("sales-demo", "build-box")
            it.press("g")
            await it.until(lambda it: "\x1b_Gi=31" in it.written)
            it.press(answer)
            await it.until(lambda it: (kind if "graphics" in kind else "▀") in it.written)
            it.forget()
            first, cpu, begun = counted(), it.cpu_seconds(), time.perf_counter()
            await asyncio.sleep(SECONDS)
            wall, count = time.perf_counter() - begun, max(1, counted() - first)
            return wall / count, (it.cpu_seconds() - cpu) / count, len(it.written) / count


@asynccontextmanager
async def _server(socket: str, mode: str) -> "AsyncIterator[_Counter]":
    with tempfile.TemporaryFile() as out:
        argv = (sys.executable, "-m", "tests.bench.moving", socket, mode)
        process = subprocess.Popen(argv, stdout=out)
        try:
            await eventually(Path(socket).exists)
            yield _Counter(out.fileno())
        finally:
            process.kill()
            process.wait()


class _Counter:
    """The number of the last frame that the server has sent."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def __call__(self) -> int:
        lines = os.pread(self._descriptor, 1 << 22, 0).split()
        return int(lines[-1]) if len(lines) > 1 else 0


async def thumbnails() -> list[Figure]:
    """Small live pictures of ten machines at once, as the library shows one."""
    with home() as place:
        await place.make(THUMBNAILS)
        async with place.station() as station:
            names = [f"vm-{number:03}" for number in range(THUMBNAILS)]
            await start_all(station, names)
            tasks = [asyncio.create_task(_small(station.screens.look(name))) for name in names]
            await asyncio.sleep(5)
            progress("thumbnails: measuring")
            begun, cpu = time.perf_counter(), time.process_time()
            await asyncio.sleep(20)
            share = (time.process_time() - cpu) / (time.perf_counter() - begun)
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
    name = f"{THUMBNAILS} live thumbnails, a picture a second: CPU"
    return [Figure(name, Series([share]), limit=0.05, unit="%")]


async def _small(look: Look) -> None:
    drawing = Drawing()
    async with aclosing(look.frames()) as frames:
        async for damage in frames:
            drawing.draw(look, THUMBNAIL, damage)
            await asyncio.sleep(PERIOD)
