"""The host's disk fills up at any step of what is done with layers: it is said, nothing is lost,
no trace is left, and once there is room the same thing works."""

import errno
import hashlib
import json
import os
import random
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Shell, chain, eventually, tiny
from tests.test_guest import boot, small
from workstation.core.layers import heads
from workstation.core.workstation import Workstation
from workstation.errors import HostError, WorkstationError
from workstation.model.host import Level
from workstation.model.machine import State
from workstation.paths import Paths

pytestmark = pytest.mark.qemu

MIB = 2**20


class Disk:
    """The file system that the machines lie on, which can fill up at a given step."""

    def __init__(self, mount: Path) -> None:
        self.mount = mount
        self.steps = 0
        self._last = 0
        self._filling = threading.Lock()

    def fill_at(self, step: int) -> None:
        """Fill up before the step of that number: a file that is opened to write, and such."""
        self.steps, self._last = 0, step

    def step(self) -> None:
        self.steps += 1
        if self.steps == self._last:
            self.fill()

    def fill(self) -> None:
        with self._filling, (self.mount / "filler").open("ab", buffering=0) as file:
            for size in (MIB, 4096):
                try:
                    while True:
                        file.write(bytes(size))
                except OSError as error:
                    assert error.errno == errno.ENOSPC

    def make_room(self) -> None:
        self._last = 0
        with self._filling:
            (self.mount / "filler").unlink(missing_ok=True)


class PretendedDisk(Disk):
    """Where nothing may be mounted: full for us, and not for the programs that we start."""

    full = False

    def step(self) -> None:
        super().step()
        if self.full:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def fill(self) -> None:
        self.full = True

    def make_room(self) -> None:
        self._last, self.full = 0, False


_disk: Disk | None = None
_TOUCHING = {"os.link", "os.mkdir"}


def _audit(event: str, args: Any) -> None:
    writes = event == "open" and isinstance(args[2], int) and args[2] & os.O_CREAT
    if _disk and (event in _TOUCHING or writes):
        path = str(args[0])
        if path.startswith(f"{_disk.mount}/") and not path.endswith("filler"):
            _disk.step()


sys.addaudithook(_audit)


@pytest.fixture
def disk(home: Path) -> Iterator[Disk]:
    """A small file system at the place where this user's machines are to be."""
    global _disk
    mount = home / "data"
    mount.mkdir()
    tried = _mounted(mount)
    try:
        _disk = PretendedDisk(mount) if tried.returncode else Disk(mount)
        yield _disk
    finally:
        _disk = None
        if not tried.returncode:
            subprocess.run(["umount", "-l", mount], check=True)


@pytest.fixture
def real_disk(disk: Disk) -> Disk:
    if isinstance(disk, PretendedDisk):
        pytest.skip("a file system cannot be mounted here: that takes root")
    return disk


def _mounted(mount: Path) -> subprocess.CompletedProcess[bytes]:
    command = ["mount", "-t", "tmpfs", "-o", "size=320m,mode=700", "tmpfs", str(mount)]
    return subprocess.run(command, capture_output=True)


@pytest.fixture
async def station(disk: Disk, paths: Paths) -> AsyncIterator[Workstation]:
    there = Paths(disk.mount / "workstation", paths.config, paths.cache, paths.runtime)
    there.prepare()
    async with Workstation(there, front_end="test") as station:
        yield station
        disk.make_room()
        for name in list(station.machines):
            if station.view(name).pid:
                await station.kill(name)


# -- at each step -----------------------------------------------------------------------

Move = Callable[[Workstation], Awaitable[object]]

MOVES: dict[str, tuple[bool, Move]] = {
    "snapshot": (True, lambda s: s.layers.snapshot("one", "new")),
    "snapshot of the disks": (True, lambda s: s.layers.snapshot("one", "new", memory=False)),
    "snapshot at rest": (False, lambda s: s.layers.snapshot("one", "new")),
    "suspend": (True, lambda s: s.layers.suspend("one")),
    "revert": (True, lambda s: s.layers.revert("one", "a", discard=True)),
    "squash into a head": (False, lambda s: s.layers.squash("one", "b")),
    "squash under a running guest": (True, lambda s: s.layers.squash("one", "b")),
    "squash into a layer": (False, lambda s: s.layers.squash("one", "a")),
    "clone": (False, lambda s: s.layers.clone("one", "two", at="a")),
    "compact": (False, lambda s: s.layers.compact("one")),
}
"""What is done, and whether the machine runs meanwhile."""


async def made(station: Workstation, *, live: bool) -> str:
    """A machine with the snapshots a and b, and something of each and of now on its drive."""
    await station.create("one", tiny(drives=[{"size": "32 MiB"}]))
    await station.start("one")
    await station.machine("one").settled()
    for number, tag in ((1, "a"), (5, "b"), (9, "")):
        await put_offline(station, number)
        await station.layers.snapshot("one", tag) if tag else None
    if live:
        await station.start("one")
    return await content(station)


async def put_offline(station: Workstation, number: int) -> None:
    if station.view("one").pid:
        await station.kill("one")
    file = heads.chain_of(
        station.paths.machine("one"),
        station.layers.store,
        station.layers.names_of("one").head,
        "drive0",
    )[0].path
    # Standing on nothing here: a whole cluster is written, so nothing below is read.
    command = f"write -P {number} {number * MIB} {2 * MIB}"
    subprocess.run(["qemu-io", "-f", "qcow2", "-c", command, file], check=True, stdout=-3)


async def content(station: Workstation) -> str:
    """A digest of what the machine's drive holds now, read through its whole chain."""
    source: dict[str, object] | None = None
    for file in reversed(chain(station.paths, "one")):
        inner = {"driver": "file", "filename": str(file.path), "locking": "off"}
        source = {"driver": file.format, "file": inner, "backing": source}
    command = ["qemu-img", "convert", "-U", "-O", "raw", f"json:{json.dumps(source)}"]
    target = station.paths.cache / "content"
    subprocess.run([*command, target], check=True)
    return hashlib.sha256(target.read_bytes()).hexdigest()


def spread(total: int, chance: random.Random, count: int) -> list[int]:
    return sorted(chance.sample(range(1, total + 1), min(count, total)))


@pytest.mark.parametrize("name", MOVES)
async def test_a_disk_that_fills_up(station: Workstation, disk: Disk, name: str) -> None:
    live, move = MOVES[name]
    await made(station, live=live)
    disk.fill_at(0)
    await move(station)
    total = disk.steps
    await clear(station)
    steps = spread(total, random.Random(name), 5)
    refused = 0
    for step in steps:
        before = await made(station, live=live)
        refused += await fill_up(station, disk, name, step, before)
        await clear(station)
    assert refused


async def clear(station: Workstation) -> None:
    for name in list(station.machines):
        if station.view(name).pid:
            await station.kill(name)
        await station.delete(name)
    station.layers.collect()


async def fill_up(station: Workstation, disk: Disk, name: str, step: int, before: str) -> bool:
    live, move = MOVES[name]
    tags = dict(station.layers.names_of("one").snapshots)
    disk.fill_at(step)
    try:
        await move(station)
        refused = False
    except WorkstationError as error:
        refused = True
        assert error.hint, f"step {step}: {error}"
        assert "Traceback" not in str(error)
    await station.machine("one").settled()
    where = f"{name}, step {step}"
    if refused:
        if name != "revert":
            assert bool(station.view("one").pid) == live, where
        if station.view("one").pid:
            await eventually(lambda: station.view("one").state is State.RUNNING)
    disk.make_room()
    if refused:
        after = station.layers.names_of("one").snapshots
        if not station.paths.machine("one").pending.exists():
            assert after == tags, where
            assert not list(station.paths.making.glob("*")), where
        await retry(station, move, where)
    if name != "revert":
        assert await content(station) == before, where
    problems = [
        one for one in await station.layers.check(repair=True) if one.level is Level.PROBLEM
    ]
    assert not problems, where
    return refused


async def retry(station: Workstation, move: Move, where: str) -> None:
    try:
        await move(station)
    except WorkstationError as error:
        assert "already" in str(error), f"{where}: {error}"


# -- before anything is done -------------------------------------------------------------


async def test_room_for_the_memory_is_checked_first(station: Workstation, real_disk: Disk) -> None:
    await station.create("one", tiny(memory="512 MiB"))
    await station.start("one")
    with pytest.raises(HostError, match="512 MiB") as refused:
        await station.layers.snapshot("one", "a")
    assert "make room" in refused.value.hint
    with pytest.raises(HostError, match="512 MiB"):
        await station.layers.suspend("one")
    assert station.view("one").state is State.RUNNING
    assert not station.paths.machine("one").pending.exists()


async def test_a_full_disk_can_be_emptied(station: Workstation, real_disk: Disk) -> None:
    """Deleting is what makes room, so it needs none."""
    await made(station, live=True)
    await station.layers.clone("one", "two", at="a")
    real_disk.fill()
    await station.layers.forget("one", "b")
    await station.delete("two")
    await station.kill("one")
    await station.delete("one")
    assert not station.machines


# -- what the guest writes ----------------------------------------------------------------


@pytest.mark.usefixtures("with_appliance")
async def test_a_guest_without_room_waits_and_goes_on(
    station: Workstation, real_disk: Disk
) -> None:
    await boot(station, "one", small(drives=[{"size": "64 MiB"}]))
    async with Shell.on(station, "one") as shell:
        await shell.run("true")
        real_disk.fill()
        shell.type(
            r"dd if=/dev/zero bs=1M count=8 | tr '\0' w >/data/big; sync; sha256sum /data/big"
        )
        await eventually(lambda: station.view("one").state is State.PAUSED, 120)
        assert "disk full" in station.view("one").reason
        real_disk.make_room()
        await station.resume("one")
        digest = hashlib.sha256(b"w" * 2**23).hexdigest()
        await eventually(lambda: digest.encode() in station.serial_tail("one"), 60)
