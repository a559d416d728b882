"""A second laptop: another home, with a library of its own."""

import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.conftest import a_home
from workstation.core.workstation import Workstation
from workstation.paths import Paths


def at(home: Path) -> Paths:
    return Paths.from_environment({"HOME": str(home), "XDG_RUNTIME_DIR": str(home / "run")})


@pytest.fixture
def other_home() -> Iterator[Path]:
    with a_home() as directory:
        yield directory


@pytest.fixture
async def laptop(other_home: Path) -> AsyncIterator[Workstation]:
    """A front-end on the library of the other laptop, which is empty."""
    async with Workstation(at(other_home), front_end="test", watch=False) as station:
        yield station


def trust(laptop: Workstation, station: Workstation) -> None:
    laptop.carry.keys.add(station.carry.keys.own_fingerprint(), "the first one")


async def carried(station: Workstation, name: str, file: Path) -> None:
    """A machine is exported, and then its laptop is lost."""
    await station.carry.export(name, file)
    if station.view(name).state.live:
        await station.kill(name)
    shutil.rmtree(station.paths.data)
