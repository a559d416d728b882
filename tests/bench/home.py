"""A home of its own for each row, and the end of everything that was started in it."""

import asyncio
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from workstation.core.workstation import Workstation
from workstation.model.profile import Profile
from workstation.paths import MachinePaths, Paths
from workstation.qemu import procfs

PROGRAM = (sys.executable, "-m", "workstation")
"""How a shell's `workstation` starts, without the few milliseconds of its wrapper script."""

TINY = Profile.model_validate({"name": "tiny", "memory": "32 MiB", "networks": []})
"""Firmware only: real QEMU, and a guest that does nothing."""


class Home:
    """A home directory, and the environment of a program that lives in it."""

    def __init__(self, directory: Path) -> None:
        # Without its compiled modules Python would be slower than anybody's is.
        dropped = ("XDG_", "PYTHONDONTWRITEBYTECODE")
        kept = {name: it for name, it in os.environ.items() if not name.startswith(dropped)}
        self.directory = directory
        self.environ = kept | {
            "HOME": str(directory),
            "XDG_RUNTIME_DIR": str(directory / "run"),
            "TERM": "xterm-256color",
        }
        self.paths = Paths.from_environment(self.environ)
        self.paths.prepare()

    def station(self, front_end: str = "bench") -> Workstation:
        return Workstation(self.paths, front_end=front_end)

    async def make(self, count: int, live: int = 0) -> None:
        """`count` tiny machines, `vm-000` and so on: the first `live` run, the others have run."""
        async with self.station() as station:
            for number in range(count):
                progress(f"making machines: {number + 1} of {count}")
                await station.create(f"vm-{number:03}", TINY, based_on="tiny")
            await station.start("vm-000")
            await station.kill("vm-000")
            for number in range(count):
                self._as_if_it_had_run(f"vm-{number:03}")
            await start_all(station, [f"vm-{number:03}" for number in range(live)])

    def _as_if_it_had_run(self, name: str) -> None:
        """What its last run has left: off, as a machine in daily use is."""
        first, other = self.paths.machine("vm-000"), self.paths.machine(name)
        for file in (first.run, first.process, first.exit, first.lock):
            if not (other.data / file.name).exists():
                shutil.copy(file, other.data / file.name)


async def start_all(station: Workstation, names: list[str], at_once: int = 4) -> None:
    """Start them, a few at a time; memory is the bench's own business, so by force."""
    room = asyncio.Semaphore(at_once)

    async def start(name: str) -> None:
        async with room:
            progress(f"starting {name}")
            await station.start(name, force=True)

    async with asyncio.TaskGroup() as group:
        for name in names:
            group.create_task(start(name))


@contextmanager
def home() -> Iterator[Home]:
    """At the end every QEMU that was started in it is ended, and the directory removed."""
    directory = Path(tempfile.mkdtemp(prefix="ws-bench-"))
    try:
        yield Home(directory)
    finally:
        end_machines(directory)
        shutil.rmtree(directory, ignore_errors=True)


def end_machines(directory: Path) -> None:
    """Kill what the `process` files below the directory name, and see it gone."""
    files = directory.rglob("process")
    pairs = [procfs.read_pair(MachinePaths(file.parent, file.parent)) for file in files]
    for pair in filter(None, pairs):
        if procfs.alive(pair.qemu):
            os.kill(pair.qemu.pid, signal.SIGKILL)
    end = time.monotonic() + 10
    while time.monotonic() < end and any(
        procfs.alive(one) for pair in pairs if pair for one in pair
    ):
        time.sleep(0.02)


def progress(text: str) -> None:
    """Say on a terminal what is going on, on one line."""
    if sys.stderr.isatty():
        print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)
