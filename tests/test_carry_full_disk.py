"""Exports and imports on a file system that is really full: a small tmpfs in its own namespace.

No root is needed for that (`unshare -rm`). Everything on it is done by a program inside, for it is
gone with that. How large the file system is decides where it gets full; that the room is asked for
before is taken away, so that something is begun at all.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.carried import put
from tests.conftest import tiny
from tests.laptops import other_home
from workstation.core.workstation import Workstation
from workstation.paths import Paths

__all__ = ["other_home"]

INSIDE = ("unshare", "-rm", "--propagation", "private", "--")

PROGRAM = """
import asyncio, os, random, shutil, subprocess, sys
from pathlib import Path
from workstation.core.bundle.reader import open_bundle
from workstation.core.layers.collect import collect
from workstation.core.workstation import Workstation
from workstation.errors import WorkstationError
from workstation.paths import Paths

place, library, bundle, what, runs = *map(Path, sys.argv[1:4]), sys.argv[4], int(sys.argv[5])
chance, needed, MIB = random.Random(what), bundle.stat().st_size, 2**20
plenty = shutil.disk_usage(place)._replace(free=2**40)
shutil.disk_usage = lambda path: plenty

def mounted(size, *more):
    options = ",".join((*more, f"size={size // 4096 * 4096}", "mode=700"))
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", place], check=True)

def station(home):
    environ = {"HOME": str(home), "XDG_RUNTIME_DIR": str(home / "run")}
    return Workstation(Paths.from_environment(environ), front_end="full", watch=False)

async def imported(size):
    async with station(place / "home") as laptop:
        try:
            await laptop.carry.import_file(bundle)
            return True
        except (WorkstationError, OSError) as error:
            assert isinstance(error, WorkstationError) and error.hint, repr(error)
            collect(laptop.paths, laptop.layers.store)
            assert not laptop.machines
            assert not [*laptop.paths.layers.iterdir(), *laptop.paths.making.iterdir()]
            return False
        finally:
            mounted(2**30, "remount")
            if not laptop.machines:
                await laptop.carry.import_file(bundle)
            found = await laptop.layers.check(repair=True)
            assert {one.level.value for one in found} == {"ok"}, found

async def exported(size, again):
    target = place / "one.vmbundle"
    if again:
        shutil.copyfile(bundle, target)
    before = target.read_bytes() if again else b""
    async with station(library) as first:
        try:
            await first.carry.export("one", target)
            full = False
        except (WorkstationError, OSError) as error:
            assert isinstance(error, WorkstationError) and error.hint, repr(error)
            full = True
        if full and again:
            assert target.read_bytes() == before
        if full and not again:
            assert os.listdir(place) == []
        mounted(2**30, "remount")
        await first.carry.export("one", target)
        await first.carry.inspect(target, verify_all=True)
        assert not open_bundle(target).cut_off and len(open_bundle(target).ids()) == 2
    return not full

async def main():
    outcomes = set()
    for number in range(runs):
        least = needed if what == "export again" else MIB
        size = least + chance.randrange(64 * 1024, 3 * MIB if what == "export again" else needed)
        mounted(size)
        try:
            ours = imported(size) if what == "import" else exported(size, what == "export again")
            outcomes.add(await ours)
        finally:
            subprocess.run(["umount", place], check=True)
    print("refused" if False in outcomes else "never full")

asyncio.run(main())
"""


@pytest.fixture
async def made(other_home: Path) -> Path:
    """A library with a machine of two layers, and a bundle with the first of them."""
    if not shutil.which("unshare") or subprocess.run([*INSIDE, "true"], check=False).returncode:
        pytest.skip("no namespaces for an ordinary user here")
    environ = {"HOME": str(other_home), "XDG_RUNTIME_DIR": str(other_home / "run")}
    async with Workstation(Paths.from_environment(environ), front_end="test") as station:
        await station.create("one", tiny(drives=[{"size": "32 MiB"}]))
        put(station, "one", 1)
        await station.layers.snapshot("one", "s1")
        await station.carry.export("one", other_home / "before.vmbundle")
        put(station, "one", 2)
        await station.layers.snapshot("one", "s2")
    return other_home


def filled(home: Path, what: str, runs: int) -> None:
    place = home / "small"
    place.mkdir()
    arguments = (str(place), str(home), str(home / "before.vmbundle"), what, str(runs))
    kept = {name: value for name, value in os.environ.items() if not name.startswith("XDG_")}
    done = subprocess.run(
        [*INSIDE, sys.executable, "-c", PROGRAM, *arguments],
        capture_output=True, text=True, check=False, env=kept,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.strip() == "refused"


@pytest.mark.parametrize("what", ["export", "export again", "import"])
async def test_a_full_file_system(made: Path, what: str) -> None:
    filled(made, what, 2)


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("what", ["export", "export again", "import"])
async def test_a_full_file_system_anywhere(made: Path, what: str) -> None:
    filled(made, what, 60)
