"""Kill -9 at random moments of what is done with layers: what was said to be done is there, and
what was not said to be done has changed nothing. The guest itself says what its disk holds.

WORKSTATION_TORTURE_RUNS=N does N runs (`make torture`), WORKSTATION_TORTURE_SEED=S repeats one.
"""

import asyncio
import contextlib
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
from workstation.core.layers import heads
from workstation.core.serial import log as serial
from workstation.core.workstation import Workstation
from workstation.model.host import Level
from workstation.model.machine import State
from workstation.paths import Paths
from workstation.qemu import procfs

RUNS = int(os.environ.get("WORKSTATION_TORTURE_RUNS", "100"))
SEED = os.environ.get("WORKSTATION_TORTURE_SEED", "")

FRONT_END = """
import asyncio, os, signal, sys
from tests.conftest import end_machines
from workstation.core.workstation import Workstation
from workstation.paths import Paths
from workstation.qemu.monitor import Session

call, target, last = sys.argv[1], sys.argv[2], int(sys.argv[3])
paths = Paths.from_environment()
steps = None
TOUCHING = {"os.rename", "os.remove", "os.link", "os.mkdir", "os.rmdir", "os.chmod",
            "subprocess.Popen"}

def step():
    global steps
    if steps is None:
        return
    steps += 1
    if steps == last:
        steps = None
        if target != "front-end":
            end_machines(paths.machines)
        if target != "QEMU":
            os.kill(os.getpid(), signal.SIGKILL)

def audit(event, args):
    if event in TOUCHING or event == "open" and args[2] & (os.O_WRONLY | os.O_RDWR):
        step()

execute = Session.execute

async def counted(self, command, **arguments):
    result = await execute(self, command, **arguments)
    if not command.startswith("query"):
        step()
    return result

async def main():
    global steps
    Session.execute = counted
    sys.addaudithook(audit)
    async with Workstation(paths, watch=False, front_end="torture") as station:
        await station.settled("one")
        await station.host_facts()
        print("ready", flush=True)
        sys.stdin.readline()
        steps = 0
        await eval(call)
        print("done", steps or 0, flush=True)
asyncio.run(main())
"""
"""Does one operation, and kills at a given step of it: between any two things that it does to
files, to processes and to QEMU."""


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
    "squash under a running guest": Operation('station.layers.squash("one", "b")', True, drops="b"),
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
    """A machine that is suspended, with the snapshots a, b on it and x on a; and a copy of it."""
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
        await station.layers.clone("one", "other", at="b", full=True)
        await station.layers.take_digests()


WRITER = "(n=0; while :; do n=$((n+1)); echo $n >>/data/n; sync; echo synced-$n; done) & WRITER=$!"


def synced(log: bytes) -> int:
    """The last number that the guest said is on its disk."""
    return max((int(found) for found in re.findall(rb"synced-(\d+)\r", log)), default=0)


async def verify_guest(
    station: Workstation, moment: str, *, memory: bool, numbers: int = 0
) -> None:
    """What the guest reads from its disk, and what it remembers."""
    if not memory:
        await station.wait_ready("one")
    try:
        files, word, counted = await _ask_guest(station)
    except TimeoutError:
        said = station.serial_tail("one", size=500)
        pytest.fail(f"{moment}: the guest does not answer: {station.view('one')}, {said!r}")
    found = {line.split()[1]: line.split()[0] for line in files.splitlines() if "  " in line}
    found.pop("n", None)
    expected = {name: hashlib.sha256(CONTENT[name]).hexdigest() for name in HOLDS[moment]}
    assert found == expected, moment
    assert word == (HOLDS[moment][-1] if memory else ""), moment
    assert int(counted if counted.isdigit() else 0) >= numbers, moment


async def _ask_guest(station: Workstation) -> tuple[str, str, str]:
    async with Shell.on(station, "one") as shell:
        await shell.run("kill $WRITER; wait; sync; echo 3 >/proc/sys/vm/drop_caches")
        await shell.run("true")
        files = await shell.run("cd /data; sha256sum [a-z]; cd /")
        word = await shell.run("echo $WORD")
        return files, word, await shell.run("sort -n /data/n | tail -n 1")


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

    async def cut_off(
        self, target: str = "nobody", *, seconds: float | None = None, step: int = 0
    ) -> tuple[float, int]:
        """Begin the operation and kill after that time, at that step, or never.

        Returns how long it took, and in how many steps.
        """
        if self.operation.live:
            await self._go_live()
        front_end = await asyncio.create_subprocess_exec(
            sys.executable, "-c", FRONT_END, self.operation.call, target, str(step),
            env=self.environ,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        assert front_end.stdin and front_end.stdout
        assert await front_end.stdout.readline() == b"ready\n", await front_end.communicate()
        began = time.monotonic()
        front_end.stdin.write(b"\n")
        words = asyncio.ensure_future(front_end.stdout.readline())
        await asyncio.wait({words}, timeout=seconds)
        took = time.monotonic() - began
        if seconds is not None and target in ("QEMU", "both"):
            end_machines(self.paths.machines)
        if seconds is not None and target != "QEMU" and front_end.returncode is None:
            front_end.kill()
        said = (await words).split()
        self.done = bool(said)
        _, complaint = await front_end.communicate()
        assert target != "nobody" or self.done, complaint.decode()
        await eventually(self._witnessed)
        self.numbers = synced(self._serial())
        return took, int(said[1]) if said else 0

    def _witnessed(self) -> bool:
        """Whether of each QEMU that has ended the witness has, too."""
        pairs = [procfs.read_pair(self.paths.machine(name)) for name in self._names()]
        return all(
            procfs.alive(pair.qemu) or not procfs.alive(pair.witness) for pair in pairs if pair
        )

    def _names(self) -> list[str]:
        return os.listdir(self.paths.machines)

    async def _go_live(self) -> None:
        async with Workstation(self.paths, watch=False) as station:
            await station.start("one")
            async with Shell.on(station, "one") as shell:
                await shell.run(WRITER)
                log = self.paths.machine("one").serial_log
                await eventually(lambda: synced(serial.since(log, 0)) > 2)

    def _serial(self) -> bytes:
        return serial.since(self.paths.machine("one").serial_log, 0)

    async def verify(self, *, thorough: bool) -> None:
        """The next front-end: all that was cut off is mended, and what is there is right."""
        async with Workstation(self.paths, front_end="test") as station:
            for name in station.machines:
                await station.settled(name)
            await eventually(lambda: not list(self.paths.machines.glob("*/pending.json")))
            await eventually(lambda: station.view("one").holder is None)
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
            await eventually(lambda: not list(self.paths.trash.glob("*")))
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

        def settled() -> bool:
            now = station.view("one")
            return now.state is State.RUNNING or now.pid is None

        found = station.view("one").pid is not None
        # A QEMU that had just been told to end may still have been there.
        with contextlib.suppress(TimeoutError):
            await eventually(settled)
        view = station.view("one")
        survived = view.pid is not None
        if survived:
            assert view.state is State.RUNNING
        else:
            frozen = view.state is State.FROZEN
            assert frozen or not found
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


_measured: dict[str, tuple[float, int]] = {}


async def measured(prepared: Path, name: str) -> tuple[float, int]:
    """How long the operation takes where nobody cuts it off, and in how many steps."""
    if name not in _measured:
        async with copied(prepared) as home:
            _measured[name] = await Run(home, name, random.Random()).cut_off()
    return _measured[name]


async def torture(prepared: Path, name: str, seed: str, *, thorough: bool) -> None:
    chance = random.Random(seed)
    whole, steps = await measured(prepared, name)
    async with copied(prepared) as home:
        run = Run(home, name, chance)
        targets = (
            ("front-end", "front-end", "QEMU", "both") if run.operation.live else ("front-end",)
        )
        target = chance.choice(targets)
        seconds, step = chance.uniform(0, whole * 1.1), chance.randint(1, steps)
        if chance.random() < 0.7:
            moment = f"step {step} of {steps}"
            await run.cut_off(target, step=step)
        else:
            moment = f"{seconds:.3f} of {whole:.3f} s"
            await run.cut_off(target, seconds=seconds)
        print(f"{name}: killed {target} at {moment}; done: {run.done}")
        await run.verify(thorough=thorough)


pytestmark = [pytest.mark.qemu]

QUICK = (
    "snapshot", "snapshot", "snapshot of the disks", "suspend", "revert", "revert",
    "squash under a running guest", "squash into a layer", "clone of now", "resume",
)  # fmt: skip


def a_seed() -> str:
    seed = SEED or str(random.randrange(2**32))
    print(f"WORKSTATION_TORTURE_SEED={seed}")
    return seed


@pytest.mark.parametrize("number", range(len(QUICK)))
async def test_kill_at_a_random_moment(prepared: Path, number: int) -> None:
    await torture(prepared, QUICK[number], a_seed(), thorough=False)


@pytest.mark.long
@pytest.mark.parametrize("number", range(RUNS))
async def test_many_kills(prepared: Path, number: int) -> None:
    names = list(OPERATIONS)
    await torture(prepared, names[number % len(names)], a_seed(), thorough=True)
