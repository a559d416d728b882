"""Kill -9 at random moments of what is done with layers: what was said to be done is there, and
what was not said to be done has changed nothing. The guest itself says what its disk holds.

WORKSTATION_TORTURE_RUNS=N does N runs (`make torture`), WORKSTATION_TORTURE_SEED=S repeats one.
"""

import asyncio
import hashlib
import os
import random
import re
import shutil
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import ENVIRON, Shell, end_machines, eventually
from tests.test_guest import boot, small
from workstation.core import heads
from workstation.core.workstation import Workstation
from workstation.model.host import Level
from workstation.model.machine import State
from workstation.paths import Paths

RUNS = int(os.environ.get("WORKSTATION_TORTURE_RUNS", "100"))
SEED = os.environ.get("WORKSTATION_TORTURE_SEED", "")

FRONT_END = """
import asyncio, sys
from workstation.core.workstation import Workstation
from workstation.paths import Paths

async def main():
    async with Workstation(Paths.from_environment(), watch=False, front_end="torture") as station:
        await station.settled("one")
        await station.host_facts()
        print("ready", flush=True)
        sys.stdin.readline()
        await eval(sys.argv[1])
        print("done", flush=True)
asyncio.run(main())
"""


@dataclass(frozen=True)
class Operation:
    call: str
    live: bool
    """Whether the guest runs at its beginning."""
    makes: str = ""
    """The snapshot that is there when it is done."""
    drops: str = ""
    """The snapshot that is not."""
    goes_to: str = ""
    """The snapshot whose content the machine has when it is done; otherwise it keeps its own."""


OPERATIONS = {
    "snapshot": Operation('station.layers.snapshot("one", "new")', True, makes="new"),
    "snapshot of the disks": Operation(
        'station.layers.snapshot("one", "new", memory=False)', True, makes="new"
    ),
    "snapshot at rest": Operation('station.layers.snapshot("one", "new")', False, makes="new"),
    "suspend": Operation('station.layers.suspend("one")', True),
    "resume": Operation('station.start("one")', False),
    "revert": Operation('station.layers.revert("one", "a", discard=True)', True, goes_to="a"),
    "revert at rest": Operation(
        'station.layers.revert("one", "x", discard=True)', False, goes_to="x"
    ),
    "squash into a head": Operation('station.layers.squash("one", "b")', False, drops="b"),
    "squash under a running guest": Operation(
        'station.layers.squash("one", "b")', True, drops="b"
    ),
    "squash into a layer": Operation('station.layers.squash("one", "a")', True, drops="a"),
    "compact": Operation('station.layers.compact("one")', False),
    "clone": Operation('station.layers.clone("one", "two", at="a")', False),
    "clone of now": Operation('station.layers.clone("one", "two")', True),
    "delete a snapshot": Operation('station.layers.forget("one", "x")', False, drops="x"),
    "delete a machine": Operation('station.delete("other")', False),
}

CONTENT = {word: (f"{word}\n" * 100_000).encode() for word in "abcx"}
"""What a file in /data holds, by its name."""

HOLDS = {"a": "a", "b": "ab", "x": "ax", "head": "abc", "new": "abc"}
"""The files at each moment; the last one is also the guest's word in its memory."""


# -- the guest ------------------------------------------------------------------------


async def write(station: Workstation, word: str) -> None:
    async with Shell.on(station, "one") as shell:
        await shell.run(f"WORD={word}; yes {word} | head -n 100000 >/data/{word}; sync")


async def prepare(paths: Paths) -> None:
    """A machine that is suspended, with the snapshots a, b on it and x on a; and a clone of it."""
    async with Workstation(paths, front_end="test") as station:
        await boot(station, "one", small(drives=[{"size": "64 MiB"}]))
        await write(station, "a")
        await station.layers.snapshot("one", "a")
        await write(station, "x")
        await station.layers.snapshot("one", "x")
        await station.layers.revert("one", "a", discard=True)
        await write(station, "b")
        await station.layers.snapshot("one", "b")
        await write(station, "c")
        await station.layers.suspend("one")
        await station.layers.clone("one", "other", at="b")
        await station.layers.take_digests()


WRITER = (
    "(n=0; while :; do n=$((n+1)); echo $n >>/data/n; sync; echo synced-$n; done) & WRITER=$!"
)


def synced(log: bytes) -> int:
    """The last number that the guest said is on its disk."""
    return max((int(found) for found in re.findall(rb"synced-(\d+)\r", log)), default=0)


async def verify_guest(
    station: Workstation, moment: str, *, memory: bool | None, numbers: int = 0
) -> None:
    """What the guest reads from its disk, and what it remembers."""
    if not memory:
        await station.wait_ready("one")
    async with Shell.on(station, "one") as shell:
        await shell.run("kill $WRITER; wait; sync; echo 3 >/proc/sys/vm/drop_caches")
        await shell.run("true")
        files = await shell.run("cd /data; sha256sum [a-z]; cd /")
        word = await shell.run("echo $WORD")
        counted = await shell.run("sort -n /data/n | tail -n 1")
    expected = {name: hashlib.sha256(CONTENT[name]).hexdigest() for name in HOLDS[moment]}
    found = {line.split()[1]: line.split()[0] for line in files.splitlines() if "  " in line}
    found.pop("n", None)
    assert found == expected, moment
    if memory is not None:
        assert word == (HOLDS[moment][-1] if memory else ""), moment
    assert int(counted if counted.isdigit() else 0) >= numbers, moment


# -- a run ------------------------------------------------------------------------------


class Run:
    """One operation, cut off at a moment, in a home of its own."""

    def __init__(self, home: Path, name: str, chance: random.Random) -> None:
        self.environ = environ_of(home)
        self.paths = Paths.from_environment(self.environ)
        self.operation = OPERATIONS[name]
        self.chance = chance
        self.done = False
        self.numbers = 0

    async def cut_off(self, seconds: float | None, target: str) -> float:
        """Begin the operation and kill after that time, or never; returns how long it took."""
        if self.operation.live:
            await self._go_live()
        front_end = await asyncio.create_subprocess_exec(
            sys.executable, "-c", FRONT_END, self.operation.call, env=self.environ,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        assert front_end.stdin and front_end.stdout
        assert await front_end.stdout.readline() == b"ready\n", await front_end.communicate()
        began = time.monotonic()
        front_end.stdin.write(b"\n")
        words = asyncio.ensure_future(front_end.stdout.readline())
        await asyncio.wait({words}, timeout=seconds)
        took = time.monotonic() - began
        if target in ("QEMU", "both"):
            end_machines(self.paths.machines)
        if target in ("front-end", "both") and front_end.returncode is None:
            front_end.kill()
        self.done = await words == b"done\n"
        _, complaint = await front_end.communicate()
        assert seconds is not None or self.done, complaint.decode()
        self.numbers = synced(self._serial())
        return took

    async def _go_live(self) -> None:
        async with Workstation(self.paths, watch=False) as station:
            await station.start("one")
            async with Shell.on(station, "one") as shell:
                await shell.run(WRITER)
                log = self.paths.machine("one").serial_log
                await eventually(lambda: synced(log.read_bytes()) > 2)

    def _serial(self) -> bytes:
        try:
            return self.paths.machine("one").serial_log.read_bytes()
        except FileNotFoundError:
            return b""

    async def verify(self, *, thorough: bool) -> None:
        """The next front-end: all that was cut off is mended, and what is there is right."""
        async with Workstation(self.paths, front_end="test") as station:
            for name in station.machines:
                await station.settled(name)
            await eventually(lambda: not list(self.paths.machines.glob("*/pending.json")))
            await self._verify_listed(station)
            await self._verify_head(station)
            tags = list(station.layers.names_of("one").snapshots)
            for tag in tags if thorough else self.chance.sample(tags, 1):
                await self._verify_tag(station, tag)
            if "two" in station.machines:
                await station.start("two")
            problems = [
                one for one in await station.layers.check(repair=True)
                if one.level is Level.PROBLEM or "no machine" in one.text
            ]  # fmt: skip
            assert not problems
            self._verify_tidy()

    async def _verify_listed(self, station: Workstation) -> None:
        tags = set(station.layers.names_of("one").snapshots)
        operation = self.operation
        if operation.drops and self.done:
            assert operation.drops not in tags
        if operation.makes and self.done:
            assert operation.makes in tags
        known = {"a", "b", "x", "new", "cut-off"}
        assert {"a", "b", "x"} - {operation.drops} <= tags <= known
        if "two" in operation.call and self.done:
            assert "two" in station.machines
        if "other" in operation.call and self.done:
            assert "other" not in station.machines
        for entry in station.layers.history("one"):
            assert station.layers.store.read(entry.layer)

    async def _verify_head(self, station: Workstation) -> None:
        """The machine as it was left."""
        view = station.view("one")
        survived = view.pid is not None
        if survived:
            await eventually(lambda: station.view("one").state is State.RUNNING)
        else:
            frozen = view.state is State.FROZEN
            await station.start("one")
            survived = frozen and station.view("one").state is State.RUNNING
        moment = "head"
        if self.operation.goes_to:
            head = heads.read_history(self.paths.machine("one")).head
            layer = station.layers.names_of("one").snapshots[self.operation.goes_to]
            at_goal = head.layer == layer
            assert at_goal or not self.done
            if at_goal:
                moment = self.operation.goes_to
        numbers = self.numbers if moment == "head" else 0
        await verify_guest(station, moment, memory=survived, numbers=numbers)

    async def _verify_tag(self, station: Workstation, tag: str) -> None:
        layer = station.layers.store.read(station.layers.names_of("one").snapshots[tag])
        await station.layers.revert("one", tag, discard=True)
        moment = "new" if tag == "cut-off" else tag
        await verify_guest(station, moment, memory=layer.memory is not None)

    def _verify_tidy(self) -> None:
        assert not list(self.paths.making.glob("*"))
        assert not list(self.paths.trash.glob("*"))
        for name in os.listdir(self.paths.machines):
            machine = self.paths.machine(name)
            assert not list(machine.data.glob(".*.new"))
            left = set(os.listdir(machine.heads))
            assert left == {heads.read_history(machine).head.id}, name


# -- the homes --------------------------------------------------------------------------


def environ_of(home: Path) -> dict[str, str]:
    kept = {name: value for name, value in ENVIRON.items() if not name.startswith("XDG_")}
    return kept | {
        "HOME": str(home), "XDG_RUNTIME_DIR": str(home / "run"), "WORKSTATION_ACCEL": "tcg",
    }  # fmt: skip


@pytest.fixture(scope="module")
def prepared(appliance: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A home with the machine, at rest; made once and copied for every run."""
    home = Path("/tmp") / f"ws-{os.getpid()}-t"
    paths = Paths.from_environment(environ_of(home))
    os.environ["WORKSTATION_ACCEL"] = "tcg"
    try:
        paths.prepare()
        paths.images.mkdir(parents=True)
        paths.image("appliance").symlink_to(appliance)
        asyncio.run(prepare(paths))
        yield home
    finally:
        end_machines(home)
        shutil.rmtree(home, ignore_errors=True)


@asynccontextmanager
async def copied(prepared: Path) -> AsyncIterator[Path]:
    home = prepared.with_name(f"{prepared.name}c")
    subprocess.run(["cp", "-a", "--reflink=auto", prepared, home], check=True)
    try:
        yield home
    finally:
        end_machines(home)
        await eventually(lambda: not alive_in(home))
        shutil.rmtree(home, ignore_errors=True)


def alive_in(home: Path) -> bool:
    return bool(subprocess.run(["pgrep", "-f", f"{home}/"], capture_output=True).stdout)


_durations: dict[str, float] = {}


async def duration(prepared: Path, name: str) -> float:
    """How long the operation takes where nobody cuts it off."""
    if name not in _durations:
        async with copied(prepared) as home:
            _durations[name] = await Run(home, name, random.Random()).cut_off(None, "nobody")
    return _durations[name]


def a_run(seed: str) -> tuple[str, random.Random]:
    chance = random.Random(seed)
    return chance.choice(list(OPERATIONS)), chance


async def torture(prepared: Path, name: str, chance: random.Random, *, thorough: bool) -> None:
    whole = await duration(prepared, name)
    async with copied(prepared) as home:
        run = Run(home, name, chance)
        targets = ("front-end", "QEMU", "both") if run.operation.live else ("front-end",)
        target = chance.choice(targets)
        seconds = chance.uniform(0, whole * 1.1)
        took = await run.cut_off(seconds, target)
        print(f"{name}: killed {target} after {took:.3f} of {whole:.3f} s, done: {run.done}")
        await run.verify(thorough=thorough)


pytestmark = [pytest.mark.qemu]

QUICK = (
    "snapshot", "snapshot", "snapshot of the disks", "suspend", "revert", "revert",
    "squash under a running guest", "squash into a layer", "clone of now", "resume",
)  # fmt: skip


@pytest.mark.parametrize("number", range(len(QUICK)))
async def test_kill_at_a_random_moment(prepared: Path, number: int) -> None:
    seed = SEED or str(random.randrange(2**32))
    print(f"WORKSTATION_TORTURE_SEED={seed}")
    await torture(prepared, QUICK[number], random.Random(seed), thorough=False)


@pytest.mark.long
@pytest.mark.parametrize("number", range(RUNS))
async def test_many_kills(prepared: Path, number: int) -> None:
    seed = SEED or str(random.randrange(2**32))
    names = list(OPERATIONS)
    name = names[number % len(names)]
    print(f"WORKSTATION_TORTURE_SEED={seed}")
    await torture(prepared, name, random.Random(seed), thorough=True)
