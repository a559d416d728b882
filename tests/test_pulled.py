"""What is looked at before a bundle is opened in place, and what nothing must be left of."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests.conftest import eventually, tiny
from tests.test_carry_attacks import bundle, image
from tests.test_inplace import monitor, pull
from workstation.core.bundle.keys import fingerprint
from workstation.core.host import media
from workstation.core.host.media import Medium
from workstation.core.inplace import pulled
from workstation.core.inplace.repoint import point_again
from workstation.core.workstation import Workstation
from workstation.errors import OvercommitError, UsageError
from workstation.model.machine import State
from workstation.model.profile import Bus, Profile

pytestmark = pytest.mark.qemu

PATIENCE = 60

KEY = Ed25519PrivateKey.generate()


def with_nvme(**changes: object) -> Profile:
    return tiny(drives=[{"size": "8 MiB", "bus": "nvme"}], **changes)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "one.vmbundle"


@pytest.fixture
def stick(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What lies in the test's directory lies on a stick."""
    medium = Medium(tmp_path, "/dev/sdz1", "STICK", "exfat", 2**30, 2**31, True, True)
    real = media.medium_of

    def medium_of(path: Path, *more: media.Host) -> Medium | None:
        return medium if path.absolute().is_relative_to(tmp_path) else real(path, *more)

    monkeypatch.setattr(media, "medium_of", medium_of)


def frozen(station: Workstation, file: Path, profile: Profile) -> None:
    """A bundle with memory, of somebody who is trusted."""
    bundle(file, image(file.parent), profile=profile, memory=b"\0" * 4096, key=KEY)
    station.carry.keys.add(fingerprint(KEY.public_key().public_bytes_raw().hex()), "Maria")


# -- NVMe ---------------------------------------------------------------------------------


@pytest.mark.usefixtures("stick")
async def test_nvme_does_not_go_on_from_a_stick_that_can_be_pulled(
    station: Workstation, file: Path
) -> None:
    frozen(station, file, with_nvme())
    with pytest.raises(UsageError, match="cannot wait when the stick") as caught:
        await station.inplace.open(file)
    assert f"workstation import {file}" in caught.value.hint
    assert f"open {file} --cold" in caught.value.hint
    assert not station.machines
    opened = await station.inplace.open(file, cold=True)
    assert "NVMe drives are on sata" in " ".join(opened.said)
    definition = station.machine("one").definition
    assert definition
    assert [drive.bus for drive in definition.profile.drives] == [Bus.SATA]
    await station.start("one")
    assert station.view("one").state is State.RUNNING
    await station.kill("one")
    again = definition.profile.model_copy(
        update={"drives": tuple(one.model_copy(update={"bus": Bus.NVME})
                                for one in definition.profile.drives)}
    )  # fmt: skip
    with pytest.raises(UsageError, match="reads on the stick “STICK”") as caught:
        pulled.check_start(station.paths, "one", again)
    assert "workstation settle one" in caught.value.hint
    # Nor is it put on that bus, only to be refused when it is started.
    change = ["drives[0].bus=nvme"]
    with pytest.raises(UsageError, match="reads on the stick “STICK”"):
        station.changes.check("one", change)
    with pytest.raises(UsageError, match="reads on the stick “STICK”") as caught:
        await station.changes.set("one", change)
    assert caught.value.hint == "copy them into the library: workstation settle one"
    await station.changes.set("one", ["cpu.cores=1"])
    await station.inplace.settle("one")
    pulled.check_start(station.paths, "one", again)
    await station.changes.set("one", change)


async def test_nvme_is_opened_on_a_disk_that_stays(station: Workstation, file: Path) -> None:
    frozen(station, file, with_nvme())
    opened = await station.inplace.open(file)
    assert opened.resumes
    definition = station.machine("one").definition
    assert definition
    assert definition.profile.drives[0].bus is Bus.NVME


def test_with_many_drives_sata_has_no_room() -> None:
    drives = [{"size": "8 MiB", "bus": bus} for bus in ["sata"] * 5 + ["nvme"] * 2]
    changed = pulled.with_patience(tiny(drives=drives))
    assert [drive.bus for drive in changed.drives] == [Bus.SATA] * 5 + [Bus.VIRTIO] * 2


@pytest.mark.parametrize("bus", [bus for bus in Bus if bus is not Bus.NVME])
async def test_on_every_other_bus_the_guest_waits_for_the_stick(
    station: Workstation, file: Path, bus: Bus
) -> None:
    """The firmware reads the first sector after a reset; with the stick gone it stands still."""
    disk = str(file.with_suffix(".qcow2"))
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", disk, "8M"], check=True)
    written = ["qemu-io", "-f", "qcow2", "-c", "write -q -P 0x55 0 64k", disk]
    subprocess.run(written, check=True)
    kind = {"machine": {"type": "pc"}} if bus is Bus.IDE else {}
    profile = tiny(drives=[{"size": "8 MiB", "bus": bus}], **kind)
    bundle(file, Path(disk).read_bytes(), profile=profile, key=KEY)
    await station.inplace.open(file)
    await station.start("one")
    await until_it_reads(station, 0)
    await pull(station, "one")
    await station.reset("one")
    await eventually(lambda: station.view("one").state is State.PAUSED, PATIENCE)
    assert "could not be" in station.view("one").reason
    await point_again(station.machine("one"), station.layers.store)
    await station.resume("one")
    assert station.view("one").state is State.RUNNING
    before = await reads(station)
    await station.reset("one")
    await until_it_reads(station, before)


async def until_it_reads(station: Workstation, before: int) -> None:
    async with asyncio.timeout(PATIENCE):
        while await reads(station) == before:  # noqa: ASYNC110 (nobody announces it)
            await asyncio.sleep(0.05)


async def reads(station: Workstation) -> int:
    """How often QEMU has read its one disk for the guest, and got something."""
    (disk,) = await monitor(station, "one").execute("query-blockstats")
    found: int = disk["stats"]["rd_operations"]
    return found


# -- memory -------------------------------------------------------------------------------


async def test_memory_is_looked_at_before_the_machine_is_made(
    station: Workstation, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frozen(station, file, tiny(drives=[{"size": "8 MiB"}]))
    found = psutil.virtual_memory()
    monkeypatch.setattr(psutil, "virtual_memory", lambda: found._replace(available=2**20))
    with pytest.raises(OvercommitError, match="“one” needs 96 MiB") as caught:
        await station.inplace.open(file)
    assert "open it with --force" in caught.value.hint
    assert not station.machines
    assert station.layers.store.ids() == []
    assert not list(station.paths.bundles.glob("*"))
    assert (await station.inplace.open(file, force=True)).name == "one"


# -- nothing is left ------------------------------------------------------------------------


async def test_of_a_machine_that_is_deleted_its_bundle_s_place_is_forgotten(
    station: Workstation, file: Path
) -> None:
    frozen(station, file, tiny(drives=[{"size": "8 MiB"}]))
    await station.inplace.open(file)
    await station.inplace.open(file)
    assert len(list(station.paths.bundles.glob("*.json"))) == 1
    await station.delete("one")
    assert len(list(station.paths.bundles.glob("*.json"))) == 1
    await station.inplace.settle("one-2")
    assert list(station.paths.bundles.glob("*.json")) == []
    await station.inplace.open(file, "three")
    await station.delete("three")
    await station.delete("one-2")
    assert list(station.paths.bundles.glob("*.json")) == []


KILLED = """
import asyncio, os, signal, sys
from pathlib import Path
from workstation.core.foreign import send
from workstation.core.workstation import Workstation
from workstation.paths import Paths

async def convert(program, source, kind, target, told, **more):
    target.write_bytes(b"half of it")
    os.kill(os.getpid(), signal.SIGKILL)

send.convert = convert

async def main():
    async with Workstation(Paths.from_environment(), front_end="test", watch=False) as station:
        await station.foreign.export("one", Path(sys.argv[1]), "raw")

asyncio.run(main())
"""


async def test_what_a_killed_export_left_on_the_stick_goes_at_the_next_start(
    station: Workstation, environ: dict[str, str], tmp_path: Path
) -> None:
    await station.create("one", tiny(drives=[{"size": "8 MiB"}]))
    target = tmp_path / "stick" / "one.raw"
    target.parent.mkdir()
    other = target.with_name(".0-12345678.part")
    other.write_text("somebody else's")
    words = [sys.executable, "-c", KILLED, str(target)]
    killed = subprocess.run(words, env=environ, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert len(os.listdir(target.parent)) == 2
    async with Workstation(station.paths, front_end="test", watch=False):
        assert os.listdir(target.parent) == [other.name]
    assert os.listdir(station.paths.making) == []
