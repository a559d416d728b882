"""Launch to QMP-ready: `Workstation.start` beside the very same QEMU with a bare socket."""

import asyncio
import re
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.bench.home import Home, home
from tests.bench.measure import Clock, Figure, in_turns
from tests.bench.qmp import Plain
from workstation.core.machine import run
from workstation.core.workstation import Workstation

NAME = "vm-000"
COUNT = 41


async def row() -> list[Figure]:
    with home() as place:
        await place.make(1)
        async with place.station() as station:

            async def ours() -> float:
                return await _ours(station)

            async def raw() -> float:
                return await asyncio.to_thread(_raw, place)

            mine, other = await in_turns("launch", ours, raw, COUNT)
    return [
        Figure(
            "launch to QMP-ready", mine, raw=other, raw_name="raw QEMU, same options",
            ratio_limit=1.25,
        )
    ]  # fmt: skip


async def _ours(station: Workstation) -> float:
    with Clock() as clock:
        await station.start(NAME)
    await station.kill(NAME)
    return clock.seconds


def _raw(place: Home) -> float:
    """From before its process until it has answered `qmp_capabilities`."""
    record = run.read(place.paths.machine(NAME))
    assert record
    with Clock() as clock, started(place, NAME, record.argv) as (process, path):
        with Plain(path) as monitor:
            clock.stop()
            monitor.execute("quit")
        process.wait(30)
    return clock.seconds


@contextmanager
def started(
    place: Home, name: str, argv: list[str], *descriptors: int
) -> Iterator[tuple["subprocess.Popen[bytes]", Path]]:
    """QEMU with our argv, but sockets made here, and the path of its first monitor."""
    with ExitStack() as stack:
        listeners: dict[Path, socket.socket] = {}
        runtime = place.paths.machine(name).runtime

        def listen(match: re.Match[str]) -> str:
            listener = stack.enter_context(socket.socket(socket.AF_UNIX))
            path = runtime / f"raw{len(listeners)}.sock"
            path.unlink(missing_ok=True)
            listener.bind(str(path))
            listener.listen(1)
            listeners[path] = listener
            return f",fd={listener.fileno()},"

        words = [re.sub(r",fd=\d+,", listen, word) for word in argv]
        # Its serial log goes into a pipe of the witness, who is not there.
        words = [re.sub(r"/dev/fd/\d+", "/dev/null", word) for word in words]
        process = subprocess.Popen(
            words,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            start_new_session=True,
            pass_fds=[*descriptors, *(listener.fileno() for listener in listeners.values())],
        )  # fmt: skip
        try:
            yield process, next(iter(listeners))
        finally:
            if process.poll() is None:
                process.kill()
            process.wait(30)
