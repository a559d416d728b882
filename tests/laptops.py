"""A second laptop: another home, with a library of its own."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.conftest import Shell, a_home
from tests.test_guest import awake
from tests.test_layers import remember, with_disk
from workstation.core.workstation import Workstation
from workstation.paths import Paths


def at(home: Path) -> Paths:
    return Paths.from_environment({"HOME": str(home), "XDG_RUNTIME_DIR": str(home / "run")})


def trust(laptop: Workstation, station: Workstation) -> None:
    """What the one has signed is trusted by the other."""
    laptop.carry.keys.add(station.carry.keys.own_fingerprint(), "the first one")


@pytest.fixture
def other_home() -> Iterator[Path]:
    with a_home() as directory:
        yield directory


@pytest.fixture
async def laptop(other_home: Path) -> AsyncIterator[Workstation]:
    """A front-end on the library of the other laptop, which is empty."""
    async with Workstation(at(other_home), front_end="test", watch=False) as station:
        yield station


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Where a bundle is to lie."""
    return tmp_path / "one.vmbundle"


@pytest.fixture
async def demo(station: Workstation, with_appliance: None) -> None:
    """“one” runs on the first laptop, “first” in mind and on its disk at “before”, “second” now."""
    await start_demo(station)


async def start_demo(station: Workstation) -> None:
    await awake(station, "one", with_disk())
    await remember(station, "one", "first")
    await station.layers.snapshot("one", "before")
    await remember(station, "one", "second")


async def lose(station: Workstation) -> None:
    """The first laptop is gone, and all that was on it."""
    await station.kill("one")
    shutil.rmtree(station.paths.data)


@pytest.fixture(scope="session")
def made(appliance: Path) -> Iterator[tuple[Path, str]]:
    """A running machine with a history, in a file, and the fingerprint of who signed it.

    It holds “first” in memory and on disk at “before”, “second” at its end, and a file on its disk
    whose digest it has in memory. The laptop that it comes from is gone.
    """
    with a_home() as home:
        file = home / "one.vmbundle"
        yield file, asyncio.run(_make(at(home), appliance, file))


async def _make(paths: Paths, appliance: Path, file: Path) -> str:
    paths.prepare()
    paths.images.mkdir(parents=True)
    paths.image("appliance").symlink_to(appliance)
    async with Workstation(paths, front_end="test", watch=False) as station:
        await start_demo(station)
        async with Shell.on(station, "one") as shell:
            await shell.run("dd if=/dev/urandom of=/data/big bs=64k count=200; sync")
            await shell.run("SUM=$(md5sum </data/big); echo 3 >/proc/sys/vm/drop_caches")
        await station.carry.export("one", file)
        signer = station.carry.keys.own_fingerprint()
        await lose(station)
    return signer


@pytest.fixture
def bundle(made: tuple[Path, str], laptop: Workstation, tmp_path: Path) -> Path:
    """The same in a file of the test's own; the other laptop trusts its signer."""
    file = tmp_path / "stick" / "one.vmbundle"
    file.parent.mkdir()
    shutil.copyfile(made[0], file)
    laptop.carry.keys.add(made[1], "the first one")
    return file


async def whole(station: Workstation, name: str) -> bool:
    """Whether the guest reads on its disk what it has in mind of it."""
    async with Shell.on(station, name) as shell:
        await shell.run("true")
        return await shell.run('[ "$SUM" = "$(md5sum </data/big)" ] && echo same') == "same"
