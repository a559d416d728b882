"""Carrying without guests: what comes in beside what is here already."""

import asyncio
import shutil
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest

from tests.carried import NOTHING, disk, expected, left, made
from tests.conftest import overlay, tiny
from tests.laptops import file, laptop, other_home
from workstation.core.bundle.importing import Words
from workstation.core.layers import heads
from workstation.core.workstation import Workstation
from workstation.errors import InvalidError, UsageError
from workstation.model.bundle import CHUNK
from workstation.model.events import Activity, Event

__all__ = ["file", "laptop", "other_home"]


async def test_two_imports_at_once(station: Workstation, laptop: Workstation, file: Path) -> None:
    await made(station, 1, 2)
    await station.carry.export("one", file)
    came = await asyncio.gather(laptop.carry.import_file(file), laptop.carry.import_file(file))
    assert sorted(one.name for one in came) == ["one", "one-2"]
    for name in ("one", "one-2"):
        assert disk(laptop, name)[: 2 * CHUNK] == expected(2)
    assert len(left(laptop)[1]) == 2
    assert left(laptop)[2] == []


async def test_an_import_beside_the_original_clashes_with_nothing(
    station: Workstation, file: Path
) -> None:
    await station.create(
        "one",
        tiny(drives=[{"size": "8 MiB"}], networks=[{"forwards": ["18080:80", "18081:81"]}]),
    )
    await station.carry.export("one", file)
    came = await station.carry.import_file(file)
    assert (came.name, came.shared) == ("one-2", 1)
    first, second = station.machine("one").definition, station.machine("one-2").definition
    assert first and second
    assert first.uuid != second.uuid
    assert first.profile.networks[0].mac != second.profile.networks[0].mac
    assert [rule.host for rule in second.profile.networks[0].forwards] == [18082, 18083]
    said = " ".join(came.said)
    for word in ("“one-2”", "UUID", "MAC", "18080", "18082"):
        assert word in said
    with pytest.raises(UsageError, match="already"):
        await station.carry.import_file(file, Words(name="one-2"))


async def test_a_forged_layer_does_not_take_the_place_of_one_that_is_here(
    station: Workstation, laptop: Workstation, file: Path
) -> None:
    await made(station, 1)
    await station.carry.export("one", file)
    await laptop.carry.import_file(file)
    layer = station.layers.names_of("one").head.layer or ""
    directory = station.layers.store.directory(layer)
    image = directory / "drive0.qcow2"
    image.chmod(0o600)
    with image.open("r+b") as changed:
        changed.seek(CHUNK)
        changed.write(b"forged")
    (directory / "digests.json").unlink(missing_ok=True)
    file.unlink()
    await station.carry.export("one", file)
    with pytest.raises(InvalidError, match="holds something else"):
        await laptop.carry.import_file(file)
    assert left(laptop)[0] == ["one"]
    assert disk(laptop, "one")[: 2 * CHUNK] == expected(1)


async def cancelled(station: Workstation, work: Coroutine[Any, Any, object]) -> None:
    """Cancel it as soon as it has done a part of its bytes."""
    task = asyncio.ensure_future(work)

    def stop(event: Event) -> None:
        if isinstance(event, Activity) and event.done and not event.finished:
            task.cancel()

    leave = station.subscribe(stop)
    with pytest.raises(asyncio.CancelledError):
        await task
    leave()


async def test_a_cancelled_export_and_import_leave_nothing(
    station: Workstation, laptop: Workstation, file: Path
) -> None:
    await made(station, 1, 2, 3)
    await cancelled(station, station.carry.export("one", file))
    assert list(file.parent.glob("*.vmbundle*")) == []
    assert list(file.parent.glob(".*.part")) == []
    await station.carry.export("one", file)
    await cancelled(laptop, laptop.carry.import_file(file))
    assert left(laptop) == NOTHING
    shutil.rmtree(laptop.paths.making)


async def test_the_head_of_an_imported_machine_is_its_own(
    station: Workstation, laptop: Workstation, file: Path
) -> None:
    await made(station, 1)
    await station.carry.export("one", file)
    await laptop.carry.import_file(file)
    machine = laptop.paths.machine("one")
    assert heads.is_blank(machine, heads.read_history(machine).head.id)
    assert overlay(machine).stat().st_mode & 0o777 == 0o600
