"""Freezing, going back, branching: beside bare QMP doing the same."""

import array
import asyncio
import json
import os
import re
import socket
import subprocess
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.bench.home import Home, home, progress
from tests.bench.launch import started
from tests.bench.measure import Clock, Figure, Series, in_turns
from tests.bench.qmp import Plain
from tests.conftest import Shell
from tests.test_guest import small
from workstation.core.images import Images
from workstation.core.machine import run
from workstation.core.workstation import Workstation
from workstation.model.profile import Profile
from workstation.paths import Paths
from workstation.qemu.memory import RUNS_ON_MEANWHILE

NAME = "vm"
USED = 1024
"""MiB that the guest really uses."""
CHAINS = (1, 8, 32)
LONGER = (1, 8, 32, 64)
READS = 20_000
COMMANDS = {
    "read": "cat /data/read >/dev/null",
    "written": "for i in 1 2 3 4 5 6 7 8; do cat /part; done >/data/write; sync",
}

REAL_PATHS = Paths.from_environment()


@asynccontextmanager
async def running(place: Home, profile: Profile) -> AsyncIterator[Workstation]:
    """A guest at its shell."""
    found = await Images(REAL_PATHS).ensure("appliance")
    place.paths.images.mkdir(parents=True, exist_ok=True)
    if not place.paths.image("appliance").exists():
        place.paths.image("appliance").symlink_to(found.path)
    async with place.station() as station:
        progress("booting the guest")
        await station.create(NAME, profile)
        await station.start(NAME, force=True)
        await station.wait_ready(NAME)
        yield station


# -- live snapshot ----------------------------------------------------------------


async def snapshot() -> list[Figure]:
    profile = small(memory=f"{USED + 256} MiB", drives=[{"size": "1 GiB"}])
    with home() as place:
        async with running(place, profile) as station:
            async with Shell.on(station, NAME) as shell:
                progress("filling the guest's memory")
                fill = f"mkdir /fill; mount -t tmpfs -o size={USED + 8}M fill /fill"
                await shell.run(f"{fill}; yes | head -c 8388608 >/part", seconds=120)
                await shell.run(
                    f"for i in $(seq {USED // 8}); do cat /part; done >/fill/all", seconds=300
                )
                assert await shell.run("du -m /fill/all | cut -f1") == str(USED)
            stops: list[float] = []
            taken = 0

            async def ours() -> float:
                nonlocal taken
                taken += 1
                with Clock() as clock:
                    _, still = await _watched(place, station.layers.snapshot(NAME, f"s{taken}"))
                stops.append(still)
                await station.layers.forget(NAME, f"s{taken}")
                return clock.seconds

            async def raw() -> float:
                return await asyncio.to_thread(_raw_snapshot, place)

            mine, other = await in_turns("snapshot", ours, raw, 5)
            live = _live(place)
    return [
        Figure(f"live snapshot, {USED} MiB used", mine, raw=other, raw_name="raw QMP",
               ratio_limit=1.2),
        # Without KVM the guest stands still for all of it (qemu/memory.py).
        Figure("  the guest's stop in it", Series(stops[1:]), limit=0.05 if live else None),
    ]  # fmt: skip


def _live(place: Home) -> bool:
    """Whether the guest runs on while its memory is saved."""
    record = run.read(place.paths.machine(NAME))
    return record is not None and record.accelerator in RUNS_ON_MEANWHILE


async def _watched(place: Home, work: Any) -> tuple[object, float]:
    """What the work returns, and how long QEMU says that the guest stood still, in seconds."""
    with Plain(place.paths.machine(NAME).monitor(4)) as monitor:
        result = await work
        stop = await asyncio.to_thread(_moment, monitor, "STOP")
        go_on = await asyncio.to_thread(_moment, monitor, "RESUME")
    return result, go_on - stop


def _moment(monitor: Plain, kind: str) -> float:
    while True:
        message = monitor.receive()
        if message.get("event") == kind:
            stamp = message["timestamp"]
            return float(stamp["seconds"]) + float(stamp["microseconds"]) / 1e6


class _Bare(Plain):
    """Arguments, and descriptors passed along."""

    def call(self, command: str, descriptor: int | None = None, **arguments: object) -> Any:
        text = json.dumps({"execute": command, "arguments": arguments}).encode() + b"\n"
        rights = [] if descriptor is None else [
            (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [descriptor]))
        ]  # fmt: skip
        self._socket.sendmsg([text], rights)
        while True:
            message = self.receive()
            if "event" not in message:
                return message["return"]


def _raw_snapshot(place: Home) -> float:
    """The least that bare QMP needs: memory to a file, a new overlay, go on."""
    directory = place.directory / f"raw-{os.urandom(4).hex()}"
    directory.mkdir()
    overlay, memory = directory / "drive0.qcow2", directory / "memory"
    live = _live(place)
    with _Bare(place.paths.machine(NAME).monitor(5)) as monitor, Clock() as clock:
        if not live:
            monitor.call("stop")
        subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", overlay, "1G"], check=True)
        nodes = monitor.call("query-named-block-nodes", flat=True)
        top = next(n["node-name"] for n in nodes if n["drv"] == "qcow2" and not n["ro"])
        name = f"drive0.{os.urandom(4).hex()}"
        with memory.open("wb") as file:
            monitor.call("migrate-set-parameters", **{"max-bandwidth": 2**40})
            monitor.call("getfd", file.fileno(), fdname="raw")
            monitor.call("migrate", uri="fd:raw")
            while monitor.call("query-migrate")["status"] != "completed":
                time.sleep(0.02)
        node = {"driver": "file", "filename": str(overlay)}
        added = {"driver": "qcow2", "node-name": name, "file": node, "backing": None}
        monitor.call("blockdev-add", None, **added)
        monitor.call("blockdev-snapshot", node=top, overlay=name)
        monitor.call("cont")
    memory.unlink()
    return clock.seconds


# -- going back ---------------------------------------------------------------------


async def revert() -> list[Figure]:
    with home() as place:
        async with running(place, small(drives=[{"size": "1 GiB"}])) as station:
            tag = await station.layers.set_golden(NAME)
            layer = station.layers.names_of(NAME).snapshots[tag]
            memory = station.layers.store.directory(layer) / "memory"
            resets: list[float] = []

            async def ours() -> float:
                with Clock() as reset:
                    await station.layers.reset_demo(NAME)
                resets.append(reset.seconds)
                await station.kill(NAME)
                with Clock() as clock:
                    await station.layers.revert(NAME, tag, discard=True)
                await station.kill(NAME)
                return clock.seconds

            async def raw() -> float:
                return await asyncio.to_thread(raw_incoming, place, memory)

            mine, other = await in_turns("revert", ours, raw, 9)
    return [
        Figure("revert to running", mine, raw=other, raw_name="raw QEMU, -incoming",
               ratio_limit=1.3),
        Figure("demo reset: running to running", Series(resets[1:]), limit=0.5),
    ]  # fmt: skip


def raw_incoming(place: Home, memory: Path) -> float:
    record = run.read(place.paths.machine(NAME))
    assert record
    with memory.open("rb") as file:
        argv = [re.sub(r"^fd:\d+$", f"fd:{file.fileno()}", word) for word in record.argv]
        with Clock() as clock, started(place, NAME, argv, file.fileno()) as (process, path):
            with Plain(path) as monitor:
                while monitor.execute("query-status")["status"] == "inmigrate":
                    pass
                monitor.execute("cont")
                clock.stop()
                monitor.execute("quit")
            process.wait(30)
    return clock.seconds


# -- branching ----------------------------------------------------------------------


async def clone() -> list[Figure]:
    with home() as place:
        async with place.station() as station:
            profile = small(drives=[{"size": "100 GiB"}], boot={}, ready="")
            await station.create(NAME, profile)
            await station.layers.snapshot(NAME, "base")
            times = []
            for number in range(9):
                with Clock() as clock:
                    await station.layers.clone(NAME, f"copy-{number}", at="base")
                times.append(clock.seconds)
    return [Figure("clone of a 100 GiB disk", Series(times), limit=0.1)]


# -- long chains --------------------------------------------------------------------


async def chain() -> list[Figure]:
    """A guest's throughput where its data lies under so many layers."""
    figures = []
    with home() as place:
        async with running(place, small(drives=[{"size": "1 GiB"}])) as station:
            async with Shell.on(station, NAME) as shell:
                await shell.run("yes | head -c 8388608 >/part")
                await shell.run("for i in 1 2 3 4 5 6 7 8; do cat /part; done >/data/read; sync")
            length = 0
            for wanted in CHAINS:
                while length < wanted:
                    length += 1
                    progress(f"chain: layer {length}")
                    await station.layers.snapshot(NAME, f"s{length}", memory=False)
                for what, command in COMMANDS.items():
                    took = [await _timed(station, command) for _ in range(3)]
                    figures.append(
                        Figure(f"chain of {wanted:2} layers: 64 MiB {what}", Series(took))
                    )
    return figures


async def reads() -> list[Figure]:
    """The same without a guest, whose own work hides what a chain costs, and longer."""
    taken: dict[int, list[float]] = {length: [] for length in LONGER}
    with home() as place:
        top = await asyncio.to_thread(_stack, place.directory)
        for turn in range(3):
            for length in LONGER:
                progress(f"reading through {length} layers: {turn + 1} of 3")
                taken[length].append(await asyncio.to_thread(_read_through, top[length]))
    first = Series(taken[LONGER[0]])
    return [
        Figure(
            f"chain of {length:2} layers: {READS} reads of 4 KiB", Series(took),
            raw=first, raw_name="the same through one",
        )
        for length, took in taken.items()
    ]  # fmt: skip


def _stack(directory: Path) -> dict[int, Path]:
    """Overlays by their height on a base whose data they show; each holds a little of its own."""
    options = ("-q", "-f", "qcow2")
    below = directory / "0.qcow2"
    subprocess.run(["qemu-img", "create", *options, below, "1G"], check=True)
    subprocess.run(
        ["qemu-io", "-c", "write -P 7 0 512M", below], check=True, stdout=subprocess.DEVNULL
    )
    stack = {}
    for height in range(1, max(LONGER) + 1):
        stack[height] = directory / f"{height}.qcow2"
        backing = ("-F", "qcow2", "-b", below)
        subprocess.run(["qemu-img", "create", *options, *backing, stack[height]], check=True)
        write = f"write -P 1 {height * 2 % 512}M 64k"
        subprocess.run(
            ["qemu-io", "-c", write, stack[height]], check=True, stdout=subprocess.DEVNULL
        )
        below = stack[height]
    return stack


def _read_through(file: Path) -> float:
    options = ("-t", "none", "-c", str(READS), "-d", "1", "-s", "4k", "-S", "64k")
    with Clock() as clock:
        words = ["qemu-img", "bench", *options, str(file)]
        subprocess.run(words, check=True, stdout=subprocess.DEVNULL)
    return clock.seconds


async def _timed(station: Workstation, command: str) -> float:
    async with Shell.on(station, NAME) as shell:
        await shell.run("rm -f /data/write; sync; echo 3 >/proc/sys/vm/drop_caches")
        with Clock() as clock:
            await shell.run(command)
    return clock.seconds
