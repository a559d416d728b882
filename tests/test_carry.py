"""Two laptops: what a guest remembers is carried from one home to another in one file."""

import os
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import tiny
from tests.laptops import demo, file, laptop, lose, other_home, trust
from tests.test_guest import awake
from tests.test_layers import recall, remember, with_disk
from workstation.core.bundle.export import Wish
from workstation.core.bundle.importing import Words
from workstation.core.workstation import Workstation
from workstation.model.machine import State

pytestmark = [pytest.mark.qemu]


__all__ = ["demo", "file", "laptop", "other_home"]


@pytest.mark.usefixtures("demo")
async def test_a_running_guest_goes_on_elsewhere_with_its_history(
    station: Workstation, laptop: Workstation, file: Path
) -> None:
    done = await station.carry.export("one", file)
    assert station.view("one").state is State.RUNNING
    assert (done.layers, done.memory, done.size) == (2, True, file.stat().st_size)
    trust(laptop, station)
    await lose(station)

    came = await laptop.carry.import_file(file)
    assert (came.name, came.resumes, came.said) == ("one", True, ())
    file.unlink()
    await laptop.start("one")
    # Its console shows where it was, and not an empty screen.
    assert b"appliance ready" in laptop.serial_tail("one")
    assert await recall(laptop, "one") == ("second", "second")
    await laptop.layers.revert("one", "before", discard=True)
    assert await recall(laptop, "one") == ("first", "first")


@pytest.mark.usefixtures("with_appliance")
async def test_what_was_done_on_the_stick_comes_home(
    station: Workstation, laptop: Workstation, file: Path
) -> None:
    """Opened where it lies, worked in, added to the file that it runs from, brought home."""
    await awake(station, "one", with_disk())
    await remember(station, "one", "first")
    first = await station.carry.export("one", file)
    await station.kill("one")
    trust(laptop, station)
    await laptop.inplace.open(file)
    await laptop.start("one")
    await remember(laptop, "one", "second")
    added = await laptop.carry.export("one", file)
    assert (added.layers, added.added) == (2, 1)
    assert added.written < first.written
    assert await recall(laptop, "one") == ("second", "second")
    await laptop.kill("one")
    await laptop.carry.inspect(file, verify_all=True)
    trust(station, laptop)
    came = await station.carry.import_file(file)
    assert (came.name, came.shared, came.resumes) == ("one-2", 1, True)
    await station.start("one-2")
    assert await recall(station, "one-2") == ("second", "second")


async def test_one_layer_has_the_memory_that_the_machine_goes_on_from(
    station: Workstation, file: Path
) -> None:
    """Off, it boots there: what it once had in mind stays with its history."""
    await station.create("one", tiny(drives=[{"size": "8 MiB"}]))
    await station.start("one")
    await station.layers.snapshot("one", "before")
    await station.kill("one")
    await station.carry.export("one", file, Wish(flatten=True))
    report = await station.carry.inspect(file)
    assert not report.manifest.layers[0].layer.memory
    file.unlink()
    await station.carry.export("one", file, Wish(flatten=True, tag="before"))
    report = await station.carry.inspect(file)
    assert report.manifest.layers[0].layer.memory


async def test_an_empty_machine_is_carried(
    station: Workstation, laptop: Workstation, file: Path
) -> None:
    await station.create("one", tiny(drives=[{"size": "8 MiB"}]))
    done = await station.carry.export("one", file, Wish(compress=True))
    assert not done.memory
    came = await laptop.carry.import_file(file, Words(name="two"))
    assert came.name == "two"
    assert os.listdir(laptop.paths.making) == []
    await laptop.start("two")
    assert laptop.view("two").state is State.RUNNING


@pytest.mark.parametrize("plugged", ["usb", "share"])
@pytest.mark.parametrize("flatten", [False, True])
async def test_memory_that_needs_a_device_of_its_host_stays_there(
    station: Workstation,
    laptop: Workstation,
    file: Path,
    tmp_path: Path,
    plugged: str,
    flatten: bool,
) -> None:
    devices: dict[str, dict[str, Any]] = {
        "usb": {"usb": ["dead:beef"]},
        "share": {"shares": [{"path": str(tmp_path), "tag": "data", "mode": "9p"}]},
    }
    await station.create("one", tiny(drives=[{"size": "8 MiB"}], **devices[plugged]))
    await station.start("one")
    done = await station.carry.export("one", file, Wish(flatten=flatten))
    assert not done.memory
    assert any("its memory, which goes on only with" in text for text in done.left_out)
    trust(laptop, station)
    await lose(station)
    came = await laptop.carry.import_file(file)
    assert not came.resumes
    await laptop.start("one")
    assert laptop.view("one").state is State.RUNNING


@pytest.mark.parametrize("flatten", [False, True])
async def test_memory_that_there_is_none_of_is_not_told_to_stay(
    station: Workstation, file: Path, flatten: bool
) -> None:
    await station.create("one", tiny(drives=[{"size": "8 MiB"}], usb=["dead:beef"]))
    await station.start("one")
    await station.layers.snapshot("one", "a", memory=False)
    done = await station.carry.export("one", file, Wish(flatten=flatten, tag="a"))
    assert [text for text in done.left_out if "dead:beef" in text] == ["the USB device dead:beef"]
