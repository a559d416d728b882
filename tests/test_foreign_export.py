"""Export to other programs: they read what the guest has, and nothing is ever half there."""

import asyncio
import secrets
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from tests import foreign_samples as samples
from tests.conftest import base, end_machines, eventually, tiny
from workstation.cli.grammar import carry
from workstation.core.foreign import send
from workstation.core.host import media
from workstation.core.workstation import Workstation
from workstation.errors import HostError, NotFoundError, UsageError, WorkstationError
from workstation.model.events import Activity, Event
from workstation.model.host import HostFacts
from workstation.model.machine import State
from workstation.paths import Paths

pytestmark = pytest.mark.qemu

SPEAKS = "sector two speaks"

BOOT = bytes.fromhex(
    "31c08ed88ec08ed0bc007c"  # segments and a stack
    "b80102bb007eb90200b600cd13"  # the BIOS reads sector two of the disk to 0000:7e00
    "be007e"
    "ac84c07406baf803eeebf5"  # its bytes go to the serial line, up to a zero
    "f4ebfd"
)
"""A boot loader: what it prints lies on the disk, so only a disk that is right says it."""


def bootable(directory: Path, size: int = 2 * 2**20) -> Path:
    """A disk that a BIOS boots, and that says so on the serial line."""
    path = directory / "boots.raw"
    text = f"{SPEAKS}\r\n".encode().ljust(512, b"\0")
    disk = BOOT.ljust(510, b"\0") + b"\x55\xaa" + text + samples.content(size - 1024)
    path.write_bytes(disk)
    return path


@pytest.fixture
def far() -> Iterator[Path]:
    """Another home: the customer's laptop."""
    directory = Path(tempfile.mkdtemp(prefix="wf-"))
    yield directory
    end_machines(directory)
    shutil.rmtree(directory, ignore_errors=True)


@asynccontextmanager
async def elsewhere(directory: Path) -> AsyncIterator[Workstation]:
    home = {"HOME": str(directory), "XDG_RUNTIME_DIR": str(directory / "run")}
    async with Workstation(Paths.from_environment(home), front_end="far") as station:
        yield station


async def web(station: Workstation, directory: Path, **changes: object) -> None:
    """A machine on the bootable disk, and with room behind it."""
    drives = [{"image": str(bootable(directory)), "size": "4 MiB", "bus": "ide"}]
    profile = tiny(name="web", machine={"type": "pc"}, drives=drives, **changes)
    await station.create("web", profile)


def flat(directory: Path) -> Path:
    """What the guest sees of the disk of `web`."""
    path = directory / "expected.raw"
    path.write_bytes(bootable(directory).read_bytes().ljust(4 * 2**20, b"\0"))
    return path


def left(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


# -- there and back --------------------------------------------------------------------


async def test_an_ova_boots_in_another_home(
    station: Workstation, tmp_path: Path, far: Path
) -> None:
    await web(station, tmp_path, networks=[{"model": "virtio"}], notes="log in as root")
    done = await station.foreign.export("web", far / "web.ova", "ova")
    assert done.files == (far / "web.ova",)
    await station.delete("web")
    async with elsewhere(far) as there:
        made = await there.foreign.adopt(far / "web.ova")
        assert (made.name, made.dropped) == ("web", ())
        profile = there.view("web").profile
        assert profile
        assert (profile.drives[0].bus, profile.drives[0].size) == ("ide", 4 * 2**20)
        assert (profile.networks[0].model, profile.notes) == ("virtio", "log in as root")
        await there.start("web")
        await there.wait_text("web", SPEAKS)
        await there.kill("web")
    samples.qemu_img("compare", "-f", "raw", "-F", "qcow2", flat(tmp_path), base_at(far))


def base_at(directory: Path) -> Path:
    return base(Paths.from_environment({"HOME": str(directory)}), "web")


DRIVERS = {"qcow2": "qcow2", "raw": "raw", "vmdk": "vmdk", "vhdx": "vhdx", "vdi": "vdi"}


@pytest.mark.parametrize("kind", DRIVERS)
async def test_a_disk_comes_back_as_it_was(station: Workstation, tmp_path: Path, kind: str) -> None:
    await web(station, tmp_path)
    out = tmp_path / "out"
    out.mkdir()
    target = out / f"a:b, ü.{kind}"
    await station.foreign.export("web", target, kind)
    expected = flat(tmp_path)
    samples.qemu_img("compare", "-f", "raw", "-F", DRIVERS[kind], expected, target)
    assert left(out) == [target.name]
    made = await station.foreign.adopt(target)
    samples.qemu_img(
        "compare", "-f", "raw", "-F", "qcow2", expected, base(station.paths, made.name)
    )


async def test_every_disk_goes_along(station: Workstation, tmp_path: Path) -> None:
    image = str(samples.raw(tmp_path))
    drives = [{"size": "5 MiB"}, {"image": image}, {"size": "6 MiB"}]
    await station.create("web", tiny(name="web", drives=drives))
    out = tmp_path / "out"
    out.mkdir()
    await station.foreign.export("web", out / "disk.raw", "raw")
    assert left(out) == ["disk-2.raw", "disk-3.raw", "disk.raw"]
    assert [(out / name).stat().st_size for name in left(out)] == [
        3 * 2**20, 6 * 2**20, 5 * 2**20,
    ]  # fmt: skip
    assert (out / "disk-2.raw").read_bytes() == samples.content()
    await station.foreign.export("web", out / "web.ova", "ova")
    made = await station.foreign.adopt(out / "web.ova")
    profile = station.view(made.name).profile
    assert profile
    assert [drive.size for drive in profile.drives] == [5 * 2**20, 3 * 2**20, 6 * 2**20]


async def test_a_machine_that_runs_is_frozen_and_goes_on(
    station: Workstation, tmp_path: Path
) -> None:
    await web(station, tmp_path)
    await station.start("web")
    await station.wait_text("web", SPEAKS)
    pid = station.view("web").pid
    await station.foreign.export("web", tmp_path / "web.qcow2", "qcow2")
    assert (station.view("web").state, station.view("web").pid) == (State.RUNNING, pid)
    samples.qemu_img("compare", "-f", "raw", "-F", "qcow2", flat(tmp_path), tmp_path / "web.qcow2")
    await station.kill("web")


async def test_a_snapshot_can_be_exported(station: Workstation, tmp_path: Path) -> None:
    await web(station, tmp_path)
    await station.layers.snapshot("web", "clean")
    await station.foreign.export("web", tmp_path / "web.raw", "raw", tag="clean")
    assert (tmp_path / "web.raw").read_bytes() == flat(tmp_path).read_bytes()
    with pytest.raises(NotFoundError):
        await station.foreign.export("web", tmp_path / "no.raw", "raw", tag="dirty")


# -- the package -----------------------------------------------------------------------


async def test_what_is_in_an_ova(station: Workstation, tmp_path: Path) -> None:
    await web(station, tmp_path, description='a <b> & "c"')
    await station.foreign.export("web", tmp_path / "web.ova", "ova")
    with tarfile.open(tmp_path / "web.ova") as archive:
        found = archive.getmembers()
    assert [one.name for one in found] == ["web.ovf", "web-disk1.vmdk", "web.mf"]
    assert {(one.uid, one.gid, one.uname, one.gname) for one in found} == {(0, 0, "", "")}


async def test_nothing_of_this_host_is_in_it(station: Workstation, tmp_path: Path) -> None:
    shares = [{"path": str(tmp_path), "tag": "secret-share"}]
    await web(station, tmp_path, shares=shares)
    done = await station.foreign.export("web", tmp_path / "web.ova", "ova")
    content = (tmp_path / "web.ova").read_bytes()
    for word in (str(tmp_path), str(station.paths.data), "secret-share"):
        assert word.encode() not in content
    assert any("directories" in line for line in done.dropped)


@pytest.mark.skipif(not shutil.which("virt-v2v"), reason="make setup-long installs virt-v2v")
async def test_virt_v2v_reads_it(station: Workstation, tmp_path: Path) -> None:
    await web(station, tmp_path, cpu={"cores": 2}, memory="64 MiB", networks=[{}])
    await station.foreign.export("web", tmp_path / "web.ova", "ova")
    source = await said("virt-v2v", "-i", "ova", tmp_path / "web.ova", "--print-source")
    for words in ("source name: web", "memory: 67108864", "nr vCPUs: 2", "0 [sata]", "[e1000]"):
        assert words in source


async def said(*argv: object) -> str:
    run = asyncio.to_thread(
        subprocess.run, [str(word) for word in argv], capture_output=True, text=True
    )
    done = await run
    assert done.returncode == 0, done.stderr
    return str(done.stdout)


# -- libvirt -----------------------------------------------------------------------------

MACHINES: dict[str, dict[str, object]] = {
    "plain": {},
    "all of it": {
        "family": "windows",
        "description": "a <b> & 'c'",
        "cpu": {"model": "max", "sockets": 2, "cores": 2, "threads": 2},
        "drives": [{"size": "1 MiB", "bus": bus} for bus in ("virtio", "scsi", "sata", "nvme")],
        "cdroms": [{}, {}],
        "networks": [{"model": "e1000e"}, {"mode": "none"}],
        "display": {"adapter": "virtio"},
        "devices": {"sound": "hda", "tpm": True},
        "clock": "localtime",
    },
    "secure": {"boot": {"firmware": "uefi-secure"}, "devices": {"balloon": False}},
    "old": {"machine": {"type": "pc"}, "drives": [{"size": "1 MiB", "bus": "ide"}],
            "display": {"adapter": "none"}, "cdroms": [{}]},
}  # fmt: skip


@pytest.mark.skipif(
    not (shutil.which("virt-xml-validate") and shutil.which("xmllint")),
    reason="virt-xml-validate, xmllint: make setup-long installs them",
)
@pytest.mark.parametrize("what", MACHINES)
async def test_libvirt_takes_the_description(
    station: Workstation, tmp_path: Path, what: str
) -> None:
    profile = tiny(name="web", **({"drives": [{"size": "1 MiB"}]} | MACHINES[what]))
    if profile.boot.firmware != "bios" and not (await station.host_facts()).firmware:
        pytest.skip("there is no UEFI firmware here")
    await station.create("web", profile)
    await station.foreign.export("web", tmp_path / "web.xml", "libvirt")
    await said("virt-xml-validate", tmp_path / "web.xml", "domain")
    made = await station.foreign.adopt(tmp_path / "web.xml")
    again = station.view(made.name).profile
    assert again
    assert (again.memory, again.cpu.count) == (profile.memory, profile.cpu.count)
    assert (len(again.drives), len(again.cdroms)) == (len(profile.drives), len(profile.cdroms))
    assert again.boot.firmware is profile.boot.firmware
    assert again.machine.chipset == profile.machine.chipset


# -- nothing half made ---------------------------------------------------------------------


async def test_what_is_there_is_never_overwritten(station: Workstation, tmp_path: Path) -> None:
    await web(station, tmp_path)
    target = tmp_path / "web.qcow2"
    target.write_text("mine")
    with pytest.raises(UsageError, match="already"):
        await station.foreign.export("web", target, "qcow2")
    assert target.read_text() == "mine"
    (tmp_path / "lv.qcow2").write_text("mine")
    with pytest.raises(UsageError, match=r"lv\.qcow2 already"):
        await station.foreign.export("web", tmp_path / "lv.xml", "libvirt")
    assert not (tmp_path / "lv.xml").exists()
    with pytest.raises(NotFoundError, match="no directory"):
        await station.foreign.export("web", tmp_path / "no" / "web.ova", "ova")
    with pytest.raises(UsageError, match="is a directory"):
        await station.foreign.export("web", tmp_path, "ova")


@pytest.mark.parametrize("kind", ["qcow2", "ova"])
async def test_a_cancelled_export_leaves_nothing(
    station: Workstation, tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The program that writes is ended, and what it has written is gone."""
    await web(station, tmp_path)
    facts = await station.host_facts()
    slow = tmp_path / "qemu-img"
    mark = tmp_path / f"began-{secrets.token_hex(4)}"
    slow.write_text(
        f'#!/bin/sh\nfor last; do :; done\necho half >"$last"; echo $$ >{mark}\nexec sleep 600\n'
    )
    slow.chmod(0o755)

    async def with_slow() -> HostFacts:
        return replace(facts, qemu_img=str(slow))

    monkeypatch.setattr(station, "host_facts", with_slow)
    out = tmp_path / "out"
    out.mkdir()
    work = asyncio.create_task(station.foreign.export("web", out / "web.x", kind))
    await eventually(lambda: mark.exists() and bool(mark.read_text()))
    station.cancel(next(iter(station.activities)))
    with pytest.raises(asyncio.CancelledError):
        await work
    assert left(out) == []
    assert not list(station.paths.making.iterdir())
    assert not Path(f"/proc/{mark.read_text().strip()}").exists()


async def test_a_failed_export_leaves_nothing(station: Workstation, tmp_path: Path) -> None:
    """A disk of which a layer is missing."""
    await web(station, tmp_path)
    base(station.paths, "web").unlink()
    out = tmp_path / "out"
    out.mkdir()
    with pytest.raises(WorkstationError):
        await station.foreign.export("web", out / "web.qcow2", "qcow2")
    assert left(out) == []


async def test_fat_takes_no_large_file(
    station: Workstation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Known before a byte is written."""
    stick = media.Medium(tmp_path, "/dev/sdz1", "STICK", "vfat", 2**40, 2**40, True, True)
    monkeypatch.setattr(media, "medium_of", lambda path: stick)
    await station.create("web", tiny(name="web", drives=[{"size": "5 GiB"}]))
    with pytest.raises(HostError, match="a file on STICK") as caught:
        await station.foreign.export("web", tmp_path / "web.raw", "raw")
    assert "bundle" in caught.value.hint
    assert left(tmp_path) == []
    done = await station.foreign.export("web", tmp_path / "web.qcow2", "qcow2")
    assert done.medium == "STICK"


async def test_a_full_disk_is_known_before(
    station: Workstation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await web(station, tmp_path)
    await station.layers.snapshot("web", "here")
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=2**26))
    for kind in ("qcow2", "ova"):
        with pytest.raises(HostError, match="is free"):
            await station.foreign.export("web", tmp_path / f"web.{kind}", kind)


async def test_without_a_disk_there_is_nothing_to_export(
    station: Workstation, tmp_path: Path
) -> None:
    await station.create("web", tiny(name="web"))
    with pytest.raises(UsageError, match="has no disk") as caught:
        await station.foreign.export("web", tmp_path / "web.ova", "ova")
    assert "without --format" in caught.value.hint


async def test_progress_only_grows_up_to_its_end(station: Workstation, tmp_path: Path) -> None:
    await web(station, tmp_path)
    seen: list[Activity] = []

    def see(event: Event) -> None:
        if isinstance(event, Activity) and event.title == "export web":
            seen.append(event)

    station.subscribe(see)
    await station.foreign.export("web", tmp_path / "web.ova", "ova")
    done = [activity.done for activity in seen]
    assert done == sorted(done)
    assert seen[-1].finished
    assert seen[-1].done == seen[-1].total


def test_the_command_line_offers_every_format() -> None:
    assert carry.FORMATS == send.FORMATS
