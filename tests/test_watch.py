"""The machines' directory watched: real files, and what is told of them."""

import errno
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.conftest import eventually
from workstation.core.library.watch import Watch
from workstation.errors import HostError


class Told:
    """A watched directory with one machine, and the names that were told."""

    def __init__(self, machines: Path) -> None:
        self.machines = machines
        self.names: list[str] = []
        self.watch = Watch(machines, self.names.append)

    async def of(self, *expected: str) -> None:
        """Those names have been told, and no other, since the last time."""
        await eventually(lambda: set(expected) <= set(self.names))
        assert set(self.names) == set(expected)
        self.names.clear()

    async def last(self) -> None:
        """What was still to be told has been."""
        (self.machines / "last").touch()
        await eventually(lambda: "last" in self.names)
        (self.machines / "last").unlink()
        self.names.clear()
        await eventually(lambda: "last" in self.names)


@pytest.fixture
async def told(tmp_path: Path) -> AsyncIterator[Told]:
    (tmp_path / "machines/one/heads").mkdir(parents=True)
    watched = Told(tmp_path / "machines")
    with watched.watch:
        yield watched


async def test_a_changed_file_is_told_and_a_disk_of_the_guest_is_not(told: Told) -> None:
    (told.machines / "one/heads/drive0.qcow2").write_text("written by the guest")
    (told.machines / "one/machine.yaml").write_text("by hand")
    await told.of("one")
    (told.machines / "one/heads/drive0.qcow2").write_text("again")
    await told.last()
    assert set(told.names) == {"last"}


async def test_a_machine_that_comes_is_told_and_followed(told: Told, tmp_path: Path) -> None:
    (tmp_path / "making").mkdir()
    (tmp_path / "making").rename(told.machines / "two")
    await told.of("two")
    (told.machines / "two/lock").write_text("{}")
    await told.of("two")


async def test_a_machine_that_goes_is_told_and_not_followed(told: Told, tmp_path: Path) -> None:
    (told.machines / "one").rename(tmp_path / "trash")
    await told.of("one")
    (tmp_path / "trash/lock").write_text("{}")
    await told.last()
    assert set(told.names) == {"last"}


async def test_a_machine_with_a_new_name_is_told_by_that(told: Told) -> None:
    (told.machines / "one").rename(told.machines / "other")
    await told.of("one", "other")
    (told.machines / "other/lock").write_text("{}")
    await told.of("other")


async def test_where_changes_were_lost_every_machine_is_looked_at(told: Told) -> None:
    (told.machines / "one/machine.yaml").touch()
    await told.of("one")
    told.watch.on_queue_overflow()
    (told.machines / "stray").touch()
    await told.of("one", "stray")


async def test_a_host_without_room_for_watches_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "inotify watch limit reached")

    monkeypatch.setattr("workstation.core.library.watch.InotifyFD.add_callback", full)
    with pytest.raises(HostError, match="cannot be watched: inotify watch limit"):
        Watch(tmp_path, lambda name: None).__enter__()
