"""libvirt domains and Quickemu configurations: what is taken, what is dropped, what is refused."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import foreign_samples as samples
from tests.conftest import base, chain
from tests.test_foreign_images import nothing_is_left
from tests.test_foreign_packages import holds, profile_of
from workstation.core.foreign.described import plain_name
from workstation.core.foreign.libvirt_read import read_libvirt
from workstation.core.foreign.quickemu import read_quickemu
from workstation.core.foreign.recognise import Kind
from workstation.core.workstation import Workstation
from workstation.errors import (
    HostError,
    InvalidError,
    NotFoundError,
    UsageError,
    WorkstationError,
)
from workstation.model.host import HostFacts
from workstation.model.profile import Bus, Family, Firmware, Nic
from workstation.model.scalars import NAME_PATTERN

QUICKEMU = """\
#!/usr/bin/quickemu --vm
guest_os="linux"
disk_img="debian/disk.qcow2"   # made by quickget
disk_size="32G"
iso="debian/install.iso"
ram="4G"
cpu_cores="4"
boot="efi"
tpm="on"
port_forwards=("8080:80" "2222:22" "oops")
public_dir="/home/her/Public"
usb_devices=("046d:082d")
spice_port="5930"
"""


def plain(text: str) -> str:
    """A configuration that every host can have: no TPM, a BIOS."""
    return text.replace('boot="efi"', 'boot="legacy"').replace('tpm="on"\n', "")


# -- libvirt ---------------------------------------------------------------------------


async def test_libvirt(station: Workstation, tmp_path: Path) -> None:
    samples.image(tmp_path, "qcow2", name="files.qcow2")
    path = tmp_path / "files.xml"
    # As it was on its own host; the disk lies beside the description now.
    disk = "/var/lib/libvirt/images/files.qcow2"
    path.write_text(samples.LIBVIRT.format(format="qcow2", disk=disk))
    made = await station.foreign.adopt(path)
    profile = profile_of(station, "files")
    assert (made.name, made.kind) == ("files", Kind.LIBVIRT)
    assert (profile.cpu.model, profile.cpu.cores, profile.cpu.threads) == ("host", 2, 2)
    assert (profile.memory, profile.family) == (2 * 2**30, Family.LINUX)
    assert profile.boot.firmware is Firmware.UEFI_SECURE
    assert [drive.bus for drive in profile.drives] == [Bus.VIRTIO]
    assert [(net.model, net.mac) for net in profile.networks] == [(Nic.VIRTIO, "52:54:00:aa:bb:cc")]
    assert profile.devices.tpm
    assert profile.devices.sound == "hda"
    assert (profile.shares, profile.notes) == ((), "the file server")
    words = "\n".join(made.dropped)
    for lost in ("a block disk", "a device of its host", "a directory of its host",
                 "the network network", "arguments for QEMU", "/srv/iso/debian.iso"):  # fmt: skip
        assert lost in words
    holds(station, "files", tmp_path)


@pytest.mark.parametrize("where", ["/private", "../private", "private.raw"])
async def test_libvirt_names_no_file_of_this_computer(
    station: Workstation, tmp_path: Path, where: str
) -> None:
    victim = samples.sentinel(tmp_path)
    directory = tmp_path / "got"
    directory.mkdir()
    (directory / "private.raw").symlink_to(victim)
    name = f"{tmp_path}{where}" if where.startswith("/") else where
    path = directory / "files.xml"
    path.write_text(samples.LIBVIRT.format(format="raw", disk=name))
    with pytest.raises(NotFoundError, match="not beside it"):
        await station.foreign.adopt(path)
    assert nothing_is_left(station.paths)
    assert samples.leaked(station.paths.data) == []


def test_a_disk_of_libvirt_has_the_format_that_it_says() -> None:
    text = samples.LIBVIRT.format(format="raw", disk="a.img").encode()
    assert read_libvirt(text, "a.xml").disks[0].format == "raw"
    with pytest.raises(InvalidError, match="the format dmg"):
        read_libvirt(samples.LIBVIRT.format(format="dmg", disk="a").encode(), "a.xml")


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [("arch='x86_64'", "arch='aarch64'", "aarch64"), (">hvm<", ">xen<", "another kind"),
     ("'KiB'", "'furlong'", "no unit of memory"), (">2097152<", ">lots<", "no number"),
     ("domain", "network", "no libvirt domain")],
)  # fmt: skip
def test_domains_that_are_refused(old: str, new: str, words: str) -> None:
    text = samples.LIBVIRT.format(format="raw", disk="a.img").replace(old, new)
    with pytest.raises(InvalidError, match=words):
        read_libvirt(text.encode(), "a.xml")


# -- Quickemu --------------------------------------------------------------------------


async def test_quickemu(station: Workstation, tmp_path: Path) -> None:
    (tmp_path / "debian").mkdir()
    samples.image(tmp_path / "debian", "qcow2", name="disk.qcow2")
    samples.disc(tmp_path / "debian")
    path = tmp_path / "debian.conf"
    path.write_text(plain(QUICKEMU))
    made = await station.foreign.adopt(path)
    profile = profile_of(station, "debian")
    assert (profile.memory, profile.cpu.cores) == (4 * 2**30, 4)
    assert [drive.bus for drive in profile.drives] == [Bus.VIRTIO]
    assert [str(one) for one in profile.networks[0].forwards] == ["8080:80", "2222:22"]
    assert profile.cdroms[0].image == "debian.iso"
    assert made.dropped == (
        "public_dir: /home/her/Public", "usb_devices: 046d:082d", "the forward oops",
    )  # fmt: skip
    holds(station, "debian", tmp_path)


def test_quickemu_of_efi() -> None:
    machine = read_quickemu(QUICKEMU, "debian.conf")
    assert (machine.firmware, machine.tpm) == (Firmware.UEFI, True)
    machine = read_quickemu(QUICKEMU + 'secureboot="on"\n', "debian.conf")
    assert machine.firmware is Firmware.UEFI_SECURE


async def test_quickemu_before_its_first_start(station: Workstation, tmp_path: Path) -> None:
    """The disk is made when it is first used; an installer's disc may be gone after that."""
    path = tmp_path / "debian.conf"
    path.write_text(plain(QUICKEMU))
    made = await station.foreign.adopt(path)
    assert profile_of(station, made.name).drives[0].size == 32 * 2**30
    assert len(chain(station.paths, made.name)) == 1
    words = "\n".join(made.dropped)
    assert "debian/disk.qcow2, not beside it" in words
    assert "the disc debian/install.iso" in words


@pytest.mark.parametrize("name", ["/etc/passwd", "../private", "link.qcow2"])
async def test_quickemu_names_no_file_of_this_computer(
    station: Workstation, tmp_path: Path, name: str
) -> None:
    victim = samples.sentinel(tmp_path)
    directory = tmp_path / "got"
    directory.mkdir()
    (directory / "link.qcow2").symlink_to(victim)
    path = directory / "debian.conf"
    path.write_text(plain(QUICKEMU).replace("debian/disk.qcow2", name))
    made = await station.foreign.adopt(path)
    assert any(name in line for line in made.dropped)
    assert len(chain(station.paths, made.name)) == 1
    assert samples.leaked(station.paths.data) == []


@pytest.mark.parametrize(
    "line",
    ['ram="$(touch out)"', "ram=`touch out`", "touch out", 'ram="4G"; touch out', "ram=4G | sh",
     'ram="4G" touch', "source other.conf", "port_forwards=($(id))", 'ram="${RAM}"', "ram=4G&",
     'if true; then', "export ram=4G"],
)  # fmt: skip
def test_nothing_in_a_configuration_is_run(line: str) -> None:
    with pytest.raises(InvalidError, match=r"line 2 of a\.conf"):
        read_quickemu(f'guest_os="linux"\n{line}\n', "a.conf")


@pytest.mark.parametrize("text", ['ram="lots"', 'disk_size="16"', 'guest_os="macos"'])
def test_values_of_quickemu_that_are_refused(text: str) -> None:
    with pytest.raises(InvalidError):
        read_quickemu(f'guest_os="linux"\n{text}\n', "a.conf")


@given(st.text(max_size=300))
def test_any_configuration_is_read_or_refused(text: str) -> None:
    try:
        assert read_quickemu(f'guest_os="linux"\n{text}', "a.conf").disks
    except InvalidError as error:
        assert str(error)


# -- discs, and what else there is --------------------------------------------------------


async def test_a_disc_becomes_a_machine_that_boots_it(station: Workstation, tmp_path: Path) -> None:
    path = samples.disc(tmp_path, "Debian 12.ISO")
    made = await station.foreign.adopt(path)
    profile = profile_of(station, made.name)
    assert (made.name, made.kind) == ("debian-12", Kind.ISO)
    assert profile.cdroms[0].image == "debian-12.iso"
    assert profile.drives[0].size == 20 * 2**30
    assert (station.paths.images / "debian-12.iso").read_bytes() == path.read_bytes()
    again = await station.foreign.adopt(path)
    assert profile_of(station, again.name).cdroms[0].image == "debian-12-2.iso"


async def test_a_disc_that_is_cut_off(station: Workstation, tmp_path: Path) -> None:
    path = samples.disc(tmp_path)
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size - 2048)
    with pytest.raises(InvalidError, match="cut off"):
        await station.foreign.adopt(path)
    assert nothing_is_left(station.paths)


async def test_a_failure_leaves_no_disc_behind(
    station: Workstation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: object, **__: object) -> None:
        raise InvalidError("no")

    monkeypatch.setattr("workstation.core.foreign.adopt.create_machine", fail)
    with pytest.raises(InvalidError):
        await station.foreign.adopt(samples.disc(tmp_path))
    assert not list(station.paths.images.iterdir())


@pytest.mark.parametrize("magic", [b"\x1f\x8b\x08", b"\xfd7zXZ\0", b"(\xb5/\xfd"])
async def test_what_is_compressed_is_to_be_unpacked_first(
    station: Workstation, tmp_path: Path, magic: bytes
) -> None:
    path = tmp_path / "disk.raw.gz"
    path.write_bytes(magic.ljust(1024, b"x"))
    with pytest.raises(WorkstationError, match="is compressed") as caught:
        await station.foreign.adopt(path)
    assert "gunzip" in caught.value.hint


@given(st.text())
def test_any_text_gives_a_name(text: str) -> None:
    import re

    assert re.fullmatch(NAME_PATTERN, plain_name(text))


async def test_a_base_is_there_as_long_as_its_machine(station: Workstation, tmp_path: Path) -> None:
    made = await station.foreign.adopt(samples.raw(tmp_path))
    assert station.layers.collect() == 0
    assert base(station.paths, made.name).exists()
    await station.delete(made.name)
    assert not list(station.paths.layers.iterdir())


async def test_two_imports_at_once(station: Workstation, tmp_path: Path) -> None:
    path = samples.raw(tmp_path, "web.raw")
    made = await asyncio.gather(*(station.foreign.adopt(path) for _ in range(3)))
    assert sorted(one.name for one in made) == ["web", "web-2", "web-3"]
    for one in made:
        holds(station, one.name, tmp_path)


async def test_what_cannot_be_had_is_known_before_the_copy(
    station: Workstation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    facts = await station.host_facts()

    async def without_firmware() -> HostFacts:
        return replace(facts, firmware=())

    async def convert(*_: object, **__: object) -> None:
        raise AssertionError("it was copied")

    monkeypatch.setattr(station, "host_facts", without_firmware)
    monkeypatch.setattr("workstation.core.foreign.adopt.convert", convert)
    samples.image(tmp_path, "qcow2", name="files.qcow2")
    path = tmp_path / "files.xml"
    path.write_text(samples.LIBVIRT.format(format="qcow2", disk="files.qcow2"))
    with pytest.raises(HostError):
        await station.foreign.adopt(path)
    with pytest.raises(UsageError, match="cannot be a machine's name"):
        await station.foreign.adopt(path, "No Name")
    assert nothing_is_left(station.paths)
