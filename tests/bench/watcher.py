"""A front-end in a process of its own that says what it sees, a JSON line per change.

`[perf_counter, machine, state]`; an empty state where the machine is gone. On Linux
`perf_counter` is one clock for all processes (CLOCK_MONOTONIC).
"""

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from workstation.core.workstation import Workstation
from workstation.model.events import Event, MachineChanged, MachineRemoved
from workstation.paths import Paths


class Watcher:
    """A front-end in another process, and what it has said."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout
        self._lines = process.stdout
        self.newest: dict[str, str] = {}
        """Each machine's state, as it said last of those lines that were read."""

    @classmethod
    @asynccontextmanager
    async def running(cls, environ: Mapping[str, str]) -> AsyncIterator["Watcher"]:
        """One that has adopted every machine; it ends with the block."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.bench.watcher", env=environ,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip
        watcher = cls(process)
        await watcher.sees("ready", name="")
        try:
            yield watcher
        finally:
            assert process.stdin
            process.stdin.close()
            await process.wait()

    async def sees(self, state: str, *, name: str, seconds: float = 30.0) -> float:
        """The moment, by `perf_counter`, at which it said so."""
        async with asyncio.timeout(seconds):
            while True:
                line = await self._lines.readline()
                if not line:
                    raise RuntimeError("the watcher has ended")
                moment, machine, seen = json.loads(line)
                if machine:
                    self._note(machine, seen)
                if (machine, seen) == (name, state):
                    return float(moment)

    def _note(self, machine: str, state: str) -> None:
        if state:
            self.newest[machine] = state
        else:
            self.newest.pop(machine, None)


def told(event: Event) -> None:
    match event:
        case MachineChanged(view):
            said = [time.perf_counter(), view.name, view.state]
        case MachineRemoved(name):
            said = [time.perf_counter(), name, ""]
        case _:
            return
    print(json.dumps(said), flush=True)


async def watch() -> None:
    """Until standard input ends."""
    async with Workstation(Paths.from_environment(), front_end="watcher") as station:
        for view in station.machines.values():
            told(MachineChanged(view))
        station.subscribe(told)
        print(json.dumps([time.perf_counter(), "", "ready"]), flush=True)
        await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(watch())
