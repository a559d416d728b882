"""What holds only what is new brings the machine up to date that has the rest."""

import asyncio
import os
from pathlib import Path

import pytest

from tests.carried import disk, expected, left, made, put, trusted
from tests.conftest import tiny
from tests.laptops import laptop, other_home
from tests.test_guest import awake
from tests.test_layers import recall, remember, with_disk
from workstation.core.bundle.export import Wish
from workstation.core.bundle.importing import Words
from workstation.core.workstation import Workstation
from workstation.errors import NotFoundError, UsageError
from workstation.model.bundle import CHUNK
from workstation.model.machine import State

__all__ = ["laptop", "other_home"]


@pytest.fixture
def whole(tmp_path: Path) -> Path:
    return tmp_path / "one.vmbundle"


@pytest.fixture
def small(tmp_path: Path) -> Path:
    return tmp_path / "since.vmbundle"


async def on_both(station: Workstation, laptop: Workstation, whole: Path, small: Path) -> None:
    """“one” is on both at s1; `small` has what came after that here: s2."""
    await made(station, 1)
    await station.carry.export("one", whole)
    await laptop.carry.import_file(whole)
    put(station, "one", 2)
    await station.layers.snapshot("one", "s2")
    await station.carry.export("one", small, Wish(since="s1"))


def tags(station: Workstation, name: str = "one") -> list[str]:
    return list(station.layers.names_of(name).snapshots)


async def test_the_machine_that_has_the_rest_is_brought_up_to_date(
    station: Workstation, laptop: Workstation, whole: Path, small: Path
) -> None:
    await on_both(station, laptop, whole, small)
    assert small.stat().st_size < 4 * CHUNK
    before = laptop.machine("one").definition
    came = await laptop.carry.import_file(small)
    assert (came.name, came.updated, came.layers, came.said) == ("one", True, 1, ())
    assert left(laptop)[0] == ["one"]
    assert tags(laptop) == ["s1", "s2"]
    assert disk(laptop, "one")[: 2 * CHUNK] == expected(2)
    assert disk(laptop, "one", "s1")[: 2 * CHUNK] == expected(1)
    assert laptop.machine("one").definition == before
    again = await laptop.carry.import_file(small)
    assert again.said == ("“one” has that moment already, and stays where it is",)
    assert (again.updated, again.copied, tags(laptop)) == (True, 0, ["s1", "s2"])
    assert [found.level for found in await laptop.layers.check()] == ["ok"] * 3


async def test_work_that_is_not_in_a_snapshot_is_not_lost_silently(
    station: Workstation, laptop: Workstation, whole: Path, small: Path
) -> None:
    await on_both(station, laptop, whole, small)
    put(laptop, "one", 9)
    before = left(laptop)
    with pytest.raises(UsageError, match="MiB written since") as caught:
        await laptop.carry.import_file(small)
    assert "snapshot one TAG" in caught.value.hint
    assert f"import {small} --into one --discard" in caught.value.hint
    assert left(laptop) == before
    assert disk(laptop, "one")[: 2 * CHUNK] == expected(1)  # what is below its head
    assert laptop.layers.written("one") > CHUNK
    await laptop.layers.snapshot("one", "mine")
    await laptop.carry.import_file(small)
    assert tags(laptop) == ["s1", "mine", "s2"]
    assert disk(laptop, "one", "mine")[: 2 * CHUNK] == expected(9)
    assert disk(laptop, "one")[: 2 * CHUNK] == expected(2)


async def test_it_is_lost_where_that_is_said(
    station: Workstation, laptop: Workstation, whole: Path, small: Path
) -> None:
    await on_both(station, laptop, whole, small)
    put(laptop, "one", 9)
    await laptop.carry.import_file(small, Words(discard=True))
    assert laptop.layers.written("one") < 2**20
    assert disk(laptop, "one")[: 2 * CHUNK] == expected(2)
    assert len(os.listdir(laptop.paths.machine("one").heads)) == 1


async def test_a_name_that_is_taken_there_is_told(
    station: Workstation, laptop: Workstation, whole: Path, small: Path
) -> None:
    await on_both(station, laptop, whole, small)
    put(laptop, "one", 9)
    await laptop.layers.snapshot("one", "s2")
    came = await laptop.carry.import_file(small)
    assert came.said == ("its snapshot “s2” is called “s2-2” here",)
    assert disk(laptop, "one", "s2")[: 2 * CHUNK] == expected(9)
    assert disk(laptop, "one", "s2-2")[: 2 * CHUNK] == expected(2)


async def test_a_whole_bundle_and_a_pipe_do_it_too(
    station: Workstation, laptop: Workstation, whole: Path, small: Path
) -> None:
    await on_both(station, laptop, whole, small)
    put(station, "one", 3)
    await station.layers.snapshot("one", "s3")
    await station.carry.export("one", whole)
    came = await laptop.carry.import_file(whole, Words(into="one"))
    assert (came.name, came.updated, came.shared) == ("one", True, 1)
    assert tags(laptop) == ["s1", "s2", "s3"]
    put(station, "one", 4)
    reader, writer = os.pipe()
    sending = asyncio.ensure_future(station.carry.stream("one", writer, Wish(since="s3")))
    sending.add_done_callback(lambda _: os.close(writer))
    came = await laptop.carry.import_stream(reader)
    os.close(reader)
    await sending
    assert (came.name, came.updated) == ("one", True)
    assert disk(laptop, "one")[: 2 * CHUNK] == expected(4)
    # What is older than the machine adds nothing, and moves it nowhere.
    came = await laptop.carry.import_file(small, Words(into="one"))
    assert "stays where it is" in came.said[-1]
    assert disk(laptop, "one")[: 2 * CHUNK] == expected(4)


async def test_which_machine_is_meant(
    station: Workstation, laptop: Workstation, whole: Path, small: Path
) -> None:
    await on_both(station, laptop, whole, small)
    await laptop.create("other", tiny(drives=[{"size": "8 MiB"}]))
    with pytest.raises(UsageError, match="nothing in common with “other”"):
        await laptop.carry.import_file(small, Words(into="other"))
    with pytest.raises(NotFoundError):
        await laptop.carry.import_file(small, Words(into="nobody"))
    with pytest.raises(UsageError, match="--name makes another"):
        await laptop.carry.import_file(small, Words(into="one", name="two"))
    twin = await laptop.carry.import_file(whole)  # another UUID, the same layers
    assert twin.name == "one-2"
    assert (await laptop.carry.import_file(small, Words(into="one-2"))).name == "one-2"
    assert tags(laptop, "one-2") == ["s1", "s2"]
    assert tags(laptop) == ["s1"]
    await laptop.delete("one-2")
    await laptop.delete("one")
    with pytest.raises(NotFoundError, match="only what is new"):
        await laptop.carry.import_file(small)


async def test_what_is_the_machine_s_own_there_stays(
    station: Workstation, laptop: Workstation, whole: Path, small: Path, tmp_path: Path
) -> None:
    """Its ports where they are free, its addresses; and what of this computer it loses is said."""
    profile = tiny(drives=[{"size": "32 MiB"}], networks=[{"forwards": ["18080:80"]}])
    await station.create("one", profile)
    put(station, "one", 1)
    await station.layers.snapshot("one", "s1")
    await station.carry.export("one", whole)
    await laptop.carry.import_file(whole, Words(name="mine"))
    text = laptop.definition_text("mine")
    assert "shares: []" in text
    share = f"shares: [{{path: {tmp_path}, tag: data}}]"
    await laptop.save_definition("mine", text.replace("shares: []", share))
    put(station, "one", 2)
    await station.carry.export("one", small, Wish(since="s1"))
    came = await laptop.carry.import_file(small)
    assert (came.name, came.updated) == ("mine", True)
    assert any("share “data”" in text for text in came.said)
    definition = laptop.machine("mine").definition
    theirs = station.machine("one").definition
    assert definition and theirs
    assert definition.profile.name == "mine"
    assert definition.profile.networks == theirs.profile.networks
    assert definition.profile.shares == ()


@pytest.mark.qemu
async def test_a_machine_that_runs_runs_again(
    station: Workstation, laptop: Workstation, whole: Path, small: Path
) -> None:
    await on_both(station, laptop, whole, small)
    await laptop.start("one")
    pid = laptop.view("one").pid
    await laptop.carry.import_file(small)
    view = laptop.view("one")
    assert view.state is State.RUNNING
    assert view.pid not in (None, pid)
    assert disk(laptop, "one")[: 2 * CHUNK] == expected(2)


@pytest.mark.qemu
@pytest.mark.usefixtures("with_appliance")
async def test_a_guest_goes_on_where_the_other_one_is(
    station: Workstation, laptop: Workstation, whole: Path, small: Path
) -> None:
    await awake(station, "one", with_disk())
    await remember(station, "one", "first")
    await station.layers.snapshot("one", "monday")
    await station.carry.export("one", whole)
    await trusted(laptop, station)
    await laptop.carry.import_file(whole)
    await laptop.start("one")
    assert await recall(laptop, "one") == ("first", "first")
    await remember(station, "one", "second")
    await station.carry.export("one", small, Wish(since="monday"))
    assert small.stat().st_size < whole.stat().st_size
    await station.kill("one")
    came = await laptop.carry.import_file(small, Words(discard=True))
    assert (came.updated, came.resumes) == (True, True)
    assert laptop.view("one").state is State.RUNNING
    assert await recall(laptop, "one") == ("second", "second")
    await laptop.layers.revert("one", "monday", discard=True)
    assert await recall(laptop, "one") == ("first", "first")
