"""Exports and imports that are killed, or find the disk full, between any two steps of theirs: what
was there is there, what is new is whole or not there, and the same thing works afterwards."""

import asyncio
import os
import random
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.carried import CLUSTER, NOTHING, disk, expected, left, put
from tests.conftest import tiny
from tests.laptops import other_home
from workstation.core.bundle.reader import open_bundle
from workstation.core.layers.collect import collect
from workstation.core.workstation import Workstation
from workstation.model.bundle import CHUNK
from workstation.model.host import Level
from workstation.paths import Paths

__all__ = ["other_home"]

FRONT_END = """
import asyncio, os, resource, signal, sys
from pathlib import Path
from workstation.core.bundle import arrive
from workstation.core.workstation import Workstation
from workstation.paths import Paths

call, what, last = sys.argv[1], sys.argv[2], int(sys.argv[3])
steps = None
TOUCHING = {"os.rename", "os.remove", "os.link", "os.mkdir", "os.rmdir", "os.chmod", "os.truncate"}

def step():
    global steps
    if steps is None:
        return
    steps += 1
    if steps != last:
        return
    if what == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))

def audit(event, args):
    if event in TOUCHING or event == "open" and args[2] & (os.O_WRONLY | os.O_RDWR):
        step()

def counted(function):
    def call(*args):
        step()
        return function(*args)
    return call

os.pwrite, os.fsync = counted(os.pwrite), counted(os.fsync)

async def main():
    global steps
    sys.addaudithook(audit)
    async with Workstation(Paths.from_environment(), watch=False, front_end="torture") as station:
        await station.host_facts()
        station.carry.keys.own()
        print("ready", flush=True)
        sys.stdin.readline()
        steps = 0
        try:
            await eval(call)
        finally:
            found, steps = steps, None
            resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
        print("done", found, flush=True)
asyncio.run(main())
"""
"""Does one operation; it is killed at that step, or can write no file beyond 4 KiB from there."""

OPERATIONS = {
    "export": 'station.carry.export("one", Path({file!r}))',
    "export again": 'station.carry.export("one", Path({file!r}))',
    "import": "station.carry.import_file(Path({file!r}))",
}


class Pair:
    """A library with a machine, a bundle of it as it was before, and another library."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.file = directory / "one.vmbundle"
        self.original = directory / "before.vmbundle"

    def environ(self, laptop: str) -> dict[str, str]:
        home = str(self.directory / laptop)
        kept = {name: value for name, value in os.environ.items() if not name.startswith("XDG_")}
        return kept | {"HOME": home, "XDG_RUNTIME_DIR": f"{home}/run"}

    def station(self, laptop: str) -> Workstation:
        return Workstation(Paths.from_environment(self.environ(laptop)), front_end="test")

    def begin(self, operation: str) -> None:
        """The files as they are before it."""
        self.file.unlink(missing_ok=True)
        if operation != "export":
            self.file.write_bytes(self.original.read_bytes())

    async def run(self, operation: str, what: str, step: int) -> tuple[bool, int]:
        """Whether it said that it was done, and in how many steps."""
        laptop = "second" if operation == "import" else "first"
        call = OPERATIONS[operation].format(file=str(self.file))
        program = await asyncio.create_subprocess_exec(
            sys.executable, "-c", FRONT_END, call, what, str(step), env=self.environ(laptop),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        out, complaint = await program.communicate(b"\n")
        words = out.split()
        assert words[:1] == [b"ready"], complaint.decode()
        if what == "full" and len(words) == 1:
            assert b"workstation.errors.HostError" in complaint, complaint.decode()
        return len(words) > 1, int(words[2]) if len(words) > 2 else 0


@pytest.fixture
async def pair(other_home: Path) -> AsyncIterator[Pair]:
    found = Pair(other_home)
    async with found.station("first") as station:
        await station.create("one", tiny(drives=[{"size": "32 MiB"}]))
        put(station, "one", 1)
        await station.layers.snapshot("one", "s1")
        await station.carry.export("one", found.original)
        put(station, "one", 2, CLUSTER)
        await station.layers.snapshot("one", "s2")
    yield found


async def check_export(pair: Pair, operation: str, *, done: bool) -> None:
    """The file is what it was, or what it was to be; and the same thing works now."""
    if operation == "export":
        assert pair.file.exists() or not done
    elif not done:
        assert len(open_bundle(pair.file).ids()) in (1, 2)
    async with pair.station("first") as station:
        assert not list(pair.directory.glob(".*.part"))
        if done:
            await station.carry.inspect(pair.file, verify_all=True)
            assert len(open_bundle(pair.file).ids()) == 2
        await station.carry.export("one", pair.file)
        await station.carry.inspect(pair.file, verify_all=True)
        assert disk(station, "one")[CLUSTER : 2 * CHUNK] == expected(1)[CLUSTER:]
        assert {one.level for one in await station.layers.check(repair=True)} == {Level.OK}
    bundle = open_bundle(pair.file)
    assert len(bundle.ids()) == 2
    assert not bundle.cut_off


async def check_import(pair: Pair, *, done: bool) -> None:
    """The machine is there whole, or nothing is; and the same thing works now."""
    async with pair.station("second") as laptop:
        collect(laptop.paths, laptop.layers.store)
        if not left(laptop)[0]:
            assert not done
            assert left(laptop) == NOTHING
            await laptop.carry.import_file(pair.file)
        assert disk(laptop, "one")[: 2 * CHUNK] == expected(1)
        assert left(laptop)[2] == []
        assert {one.level for one in await laptop.layers.check(repair=True)} == {Level.OK}
        await laptop.delete("one")
        assert left(laptop) == NOTHING


async def torture(pair: Pair, operation: str, what: str, runs: int) -> None:
    chance = random.Random(f"{operation} {what}")
    pair.begin(operation)
    done, steps = await pair.run(operation, "nothing", 0)
    assert done
    assert steps > 10
    if operation == "import":
        await check_import(pair, done=True)
    for step in sorted(chance.sample(range(1, steps + 1), min(runs, steps))):
        pair.begin(operation)
        done, _ = await pair.run(operation, what, step)
        if operation == "import":
            await check_import(pair, done=done)
        else:
            await check_export(pair, operation, done=done)


@pytest.mark.parametrize(
    ("operation", "what"), [("export again", "kill"), ("import", "kill"), ("import", "full")]
)
async def test_cut_off(pair: Pair, operation: str, what: str) -> None:
    await torture(pair, operation, what, 1)


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("what", ["kill", "full"])
@pytest.mark.parametrize("operation", OPERATIONS)
async def test_cut_off_anywhere(pair: Pair, operation: str, what: str) -> None:
    await torture(pair, operation, what, 1000)
