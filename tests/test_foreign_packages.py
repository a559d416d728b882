"""OVA and OVF as other programs write them, and as people do who mean harm."""

import gzip
import hashlib
import io
import tarfile
from pathlib import Path

import pytest

from tests import foreign_samples as samples
from tests.conftest import base, chain
from tests.test_foreign_images import nothing_is_left
from workstation.core.foreign import xml
from workstation.core.foreign.manifest import parse_manifest
from workstation.core.foreign.ovf_read import read_ovf
from workstation.core.foreign.ovf_words import in_bytes
from workstation.core.foreign.piece import Piece
from workstation.core.foreign.tar import members
from workstation.core.workstation import Workstation
from workstation.errors import InvalidError, WorkstationError
from workstation.model.profile import Bus, Clock, Family, Firmware, Nic, Profile


def profile_of(station: Workstation, name: str) -> Profile:
    profile = station.view(name).profile
    assert profile
    return profile


def holds(station: Workstation, name: str, directory: Path, drive: str = "drive0") -> None:
    """The machine's disk is the sample."""
    source = samples.raw(directory, "expected.raw")
    below = base(station.paths, name, drive)
    samples.qemu_img("compare", "-f", "raw", "-F", "qcow2", source, below)


# -- as they come --------------------------------------------------------------------


@pytest.mark.parametrize("manifest", ["sha1", "sha256", "sha512", ""])
async def test_virtualbox(station: Workstation, tmp_path: Path, manifest: str) -> None:
    disk = samples.stream(tmp_path).read_bytes()
    path = tmp_path / "web.ova"
    files = {"web.ovf": samples.virtualbox(), "web-disk001.vmdk": disk}
    # VirtualBox writes SHA1 (file)= digest, with a blank.
    samples.ova(path, files, manifest=manifest, style="{name} ({file}) = {digest}")
    made = await station.foreign.adopt(path)
    profile = profile_of(station, made.name)
    assert made.name == "web-server-2"
    assert (profile.memory, profile.cpu.count) == (2**30, 2)
    assert (profile.family, profile.clock) == (Family.LINUX, Clock.UTC)
    assert profile.boot.firmware is Firmware.BIOS
    assert [drive.bus for drive in profile.drives] == [Bus.SATA]
    assert [network.model for network in profile.networks] == [Nic.E1000]
    assert profile.devices.sound == "hda"
    assert len(profile.cdroms) == 1
    assert bool(made.dropped) == (not manifest)
    holds(station, made.name, tmp_path)


async def test_virtualbox_with_an_old_board_and_with_efi(
    station: Workstation, tmp_path: Path
) -> None:
    disk = samples.stream(tmp_path).read_bytes()
    made = {}
    for name, changes in {"ide": {"controller": "3"}, "efi": {"firmware": "EFI"}}.items():
        path = tmp_path / f"{name}.ova"
        samples.ova(path, {"a.ovf": samples.virtualbox(**changes), "web-disk001.vmdk": disk})
        machine = read_ovf(samples.virtualbox(**changes), "a.ovf").machine
        made[name] = (machine.chipset, machine.disks[0].bus, machine.firmware)
    assert made["ide"] == ("pc", Bus.IDE, Firmware.BIOS)
    assert made["efi"] == ("q35", Bus.SATA, Firmware.UEFI)


async def test_vmware(station: Workstation, tmp_path: Path) -> None:
    """Two disks, one of them blank; a disc in the package; EFI; what is not known is said."""
    disk, disc = samples.stream(tmp_path).read_bytes(), samples.disc(tmp_path).read_bytes()
    text = samples.VMWARE.format(size=len(disk), iso=len(disc), secure="false")
    path = samples.ova(
        tmp_path / "db.ova",
        {"db.ovf": text.encode(), "db-disk1.vmdk": disk, "db-file1.iso": disc,
         "db-file2.nvram": b"\0" * 8684},
    )  # fmt: skip
    made = await station.foreign.adopt(path)
    profile = profile_of(station, "db-server")
    assert (profile.cpu.sockets, profile.cpu.cores, profile.memory) == (2, 2, 4 * 2**30)
    assert (profile.family, profile.clock) == (Family.WINDOWS, Clock.LOCALTIME)
    assert profile.boot.firmware is Firmware.UEFI
    assert profile.notes == "root / see the safe"
    assert [(drive.size, drive.bus) for drive in profile.drives] == [
        (3 * 2**20, Bus.SATA), (16 * 2**30, Bus.NVME),
    ]  # fmt: skip
    assert len(chain(station.paths, "db-server", "drive1")) == 1
    assert [one.image for one in profile.cdroms] == ["db-server.iso"]
    assert (station.paths.images / "db-server.iso").read_bytes() == disc
    words = " ".join(made.dropped)
    for lost in ("lsilogicsas", "vmxnet3", "floppy0", ".nvram", "00:50:56:aa:bb:cc", "UEFI var"):
        assert lost in words
    holds(station, "db-server", tmp_path)


def test_secure_boot_of_vmware() -> None:
    text = samples.VMWARE.format(size=1, iso=1, secure="true").encode()
    assert read_ovf(text, "a.ovf").machine.firmware is Firmware.UEFI_SECURE


@pytest.mark.parametrize("namespace", ["envelope/2", "envelope/1/"])
def test_other_namespaces(namespace: str) -> None:
    text = samples.virtualbox().replace(b"envelope/1", namespace.encode())
    assert read_ovf(text, "a.ovf").machine.memory == 2**30


def test_items_of_ovf_2() -> None:
    text = samples.virtualbox()
    for old, new in ((b"<Item>", b"<StorageItem>"), (b"</Item>", b"</StorageItem>")):
        text = text.replace(old, new)
    assert len(read_ovf(text, "a.ovf").machine.disks) == 1


@pytest.mark.parametrize("place", ["directory", "file"])
async def test_a_package_that_is_a_directory(
    station: Workstation, tmp_path: Path, place: str
) -> None:
    package = tmp_path / "package"
    package.mkdir()
    disk = samples.stream(package, "web-disk001.vmdk").read_bytes()
    text = samples.virtualbox()
    (package / "web.ovf").write_bytes(text)
    (package / "web.mf").write_text(
        f"SHA256(web.ovf)= {hashlib.sha256(text).hexdigest()}\r\n"
        f"SHA256(web-disk001.vmdk)= {hashlib.sha256(disk).hexdigest()}\r\n"
    )
    path = package if place == "directory" else package / "web.ovf"
    made = await station.foreign.adopt(path)
    assert made.dropped == ()
    holds(station, made.name, tmp_path)


async def test_a_compressed_disk(station: Workstation, tmp_path: Path) -> None:
    disk = gzip.compress(samples.stream(tmp_path).read_bytes())
    text = samples.virtualbox(file=' ovf:compression="gzip"')
    path = samples.ova(tmp_path / "web.ova", {"web.ovf": text, "web-disk001.vmdk": disk})
    made = await station.foreign.adopt(path)
    holds(station, made.name, tmp_path)
    assert not list(station.paths.layers.rglob("part*"))


async def test_a_disk_in_parts(station: Workstation, tmp_path: Path) -> None:
    disk, size = samples.stream(tmp_path).read_bytes(), 100_000
    text = samples.virtualbox(file=f' ovf:chunkSize="{size}"')
    parts = {
        f"web-disk001.vmdk.{n:09}": disk[at : at + size]
        for n, at in enumerate(range(0, len(disk), size))
    }
    path = samples.ova(tmp_path / "web.ova", {"web.ovf": text, **parts})
    made = await station.foreign.adopt(path)
    holds(station, made.name, tmp_path)


async def test_other_disk_formats_in_a_package(station: Workstation, tmp_path: Path) -> None:
    """The format's name counts: a raw disk is raw, whatever it begins with."""
    (tmp_path / "o").mkdir()
    victim = samples.sentinel(tmp_path / "o")
    header = samples.backed(tmp_path, str(victim)).read_bytes().ljust(2**20, b"\0")
    text = samples.virtualbox("disk.img").replace(
        b"http://www.vmware.com/interfaces/specifications/vmdk.html#streamOptimized",
        b"http://www.example.org/#raw",
    )
    made = await station.foreign.adopt(
        samples.ova(tmp_path / "a.ova", {"a.ovf": text, "disk.img": header})
    )
    disk = tmp_path / "guest.raw"
    disk.write_bytes(header)
    below = base(station.paths, made.name)
    samples.qemu_img("compare", "-f", "raw", "-F", "qcow2", disk, below)
    assert samples.leaked(station.paths.data) == []


# -- numbers -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("number", "units", "size"),
    [("4", "byte * 2^20", 2**22), ("4", "byte*2^30", 2**32), ("512", "MegaBytes", 2**29),
     ("1", "GigaBytes", 2**30), ("7", "byte", 7), ("3", "byte * 10^6", 3_000_000),
     ("2", "MB", 2**21), ("999999999999999999", "byte * 9999^99", 2**63)],
)  # fmt: skip
def test_units(number: str, units: str, size: int) -> None:
    assert in_bytes(number, units) == size


@pytest.mark.parametrize(
    ("number", "units"),
    [("-4", "byte"), ("1e9", "byte"), ("٣", "byte"), ("9" * 5000, "byte"), ("1", "furlong"),
     ("1", "byte * 2^999999999"), ("", "byte")],
)  # fmt: skip
def test_what_is_no_size(number: str, units: str) -> None:
    with pytest.raises(InvalidError):
        in_bytes(number, units)


# -- what is refused --------------------------------------------------------------------


async def refused(station: Workstation, path: Path, words: str) -> None:
    with pytest.raises(WorkstationError, match=words) as caught:
        await station.foreign.adopt(path)
    assert caught.value.hint
    assert nothing_is_left(station.paths)


async def test_a_changed_disk_is_refused(station: Workstation, tmp_path: Path) -> None:
    disk = samples.stream(tmp_path).read_bytes()
    files = {"web.ovf": samples.virtualbox(), "web-disk001.vmdk": disk}
    path = samples.ova(tmp_path / "web.ova", files)
    at = path.read_bytes().index(disk[70_000:70_032])
    samples.poke(path, at, b"#")
    await refused(station, path, "not what the manifest says")


async def test_a_changed_description_is_refused(station: Workstation, tmp_path: Path) -> None:
    disk = samples.stream(tmp_path).read_bytes()
    files = {"web.ovf": samples.virtualbox(), "web-disk001.vmdk": disk}
    path = samples.ova(tmp_path / "web.ova", files)
    at = path.read_bytes().index(b">1024<")
    samples.poke(path, at, b">2048<")
    await refused(station, path, r"“web.ovf” is not what")


async def test_a_disk_that_the_manifest_does_not_know(station: Workstation, tmp_path: Path) -> None:
    disk, text = samples.stream(tmp_path).read_bytes(), samples.virtualbox()
    manifest = f"SHA256(web.ovf)= {hashlib.sha256(text).hexdigest()}\n".encode()
    files = {"web.ovf": text, "web.mf": manifest, "web-disk001.vmdk": disk}
    await refused(station, samples.ova(tmp_path / "web.ova", files, manifest=""), "does not know")


@pytest.mark.parametrize("line", ["SHA256(a)= 12", "MD5(a)= " + "0" * 32, "hello", "SHA1(a)="])
def test_a_manifest_that_is_none(line: str) -> None:
    with pytest.raises(InvalidError, match=r"line 2 of a\.mf"):
        parse_manifest(f"SHA1(x)= {'0' * 40}\n{line}\n", "a.mf")


@pytest.mark.parametrize("share", [0.99, 0.6, 0.02])
async def test_a_package_that_is_cut_off(
    station: Workstation, tmp_path: Path, share: float
) -> None:
    disk = samples.stream(tmp_path).read_bytes()
    files = {"web.ovf": samples.virtualbox(), "web-disk001.vmdk": disk}
    path = samples.ova(tmp_path / "web.ova", files)
    end = path.read_bytes().index(disk[:600]) + len(disk)
    with path.open("r+b") as file:
        file.truncate(int(end * share))
    await refused(station, path, "cut off|damaged")


async def test_a_disk_is_named_that_is_not_there(station: Workstation, tmp_path: Path) -> None:
    path = samples.ova(tmp_path / "web.ova", {"web.ovf": samples.virtualbox()})
    await refused(station, path, "which is not in")


async def test_a_compression_bomb(
    station: Workstation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workstation.core.foreign.limits._ALWAYS", 2**20)
    monkeypatch.setattr("workstation.core.foreign.limits._GROWTH", 10)
    disk = gzip.compress(bytes(64 * 2**20))
    text = samples.virtualbox(file=' ovf:compression="gzip"')
    path = samples.ova(tmp_path / "web.ova", {"web.ovf": text, "web-disk001.vmdk": disk})
    await refused(station, path, "unpacks to more than")


@pytest.mark.parametrize("name", ["../private", "/etc/passwd", "a/b.vmdk", "", "..", "json:{}"])
async def test_a_package_names_plain_files_only(
    station: Workstation, tmp_path: Path, name: str
) -> None:
    samples.sentinel(tmp_path)
    package = tmp_path / "package"
    package.mkdir()
    (package / "web.ovf").write_bytes(samples.virtualbox(name))
    await refused(station, package, "no plain name|which is not in|no name")
    assert samples.leaked(station.paths.data) == []


async def test_a_link_in_a_package_is_not_followed(station: Workstation, tmp_path: Path) -> None:
    victim = samples.sentinel(tmp_path)
    package = tmp_path / "package"
    package.mkdir()
    (package / "web.ovf").write_bytes(samples.virtualbox())
    (package / "web-disk001.vmdk").symlink_to(victim)
    await refused(station, package, "is a link")


async def test_a_flat_vmdk_in_a_package_leaks_nothing(station: Workstation, tmp_path: Path) -> None:
    (tmp_path / "o").mkdir()
    disk = samples.flat_vmdk(tmp_path, samples.sentinel(tmp_path / "o")).read_bytes()
    path = samples.ova(
        tmp_path / "a.ova", {"a.ovf": samples.virtualbox(), "web-disk001.vmdk": disk}
    )
    await refused(station, path, "vmdk image that is not read|keeps its content")
    assert samples.leaked(station.paths.data) == []


# -- tars ------------------------------------------------------------------------------


def tar(path: Path, *infos: tuple[tarfile.TarInfo, bytes]) -> Path:
    with tarfile.open(path, "w", format=tarfile.GNU_FORMAT) as archive:
        for info, data in infos:
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


def info(name: str, kind: bytes = tarfile.REGTYPE, target: str = "") -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    made.type, made.linkname = kind, target
    return made


TARS = {
    "a link": ((info("disk.vmdk", tarfile.SYMTYPE, "/etc/passwd"), b""), "no plain file"),
    "a hard link": ((info("disk.vmdk", tarfile.LNKTYPE, "/etc/passwd"), b""), "no plain file"),
    "a device": ((info("disk.vmdk", tarfile.CHRTYPE), b""), "no plain file"),
    "holes": ((info("disk.vmdk", tarfile.GNUTYPE_SPARSE), b"x" * 512), "no plain file"),
    "a way out": ((info("../out"), b"x"), "no plain name"),
    "an absolute path": ((info("/tmp/out"), b"x"), "no plain name"),
    "a name twice": ((info("a.ovf"), b"x"), "two members"),
    "a long name": ((info("d" * 70_000), b"x"), "extended header of"),
}


@pytest.mark.parametrize("what", TARS)
async def test_a_tar_holds_plain_files_only(
    station: Workstation, tmp_path: Path, what: str
) -> None:
    member, words = TARS[what]
    path = tar(tmp_path / "a.ova", (info("a.ovf"), samples.virtualbox()), member)
    await refused(station, path, words)
    assert not (tmp_path.parent / "out").exists()


async def test_a_tar_of_very_many_members(station: Workstation, tmp_path: Path) -> None:
    path = tar(tmp_path / "a.ova", *((info(f"{n}.ovf"), b"") for n in range(1200)))
    await refused(station, path, "more than 1000 members")


def pax(**headers: str) -> bytes:
    """One member that an extended header describes."""
    made = tarfile.TarInfo("short.vmdk")
    made.pax_headers, made.size = headers, 5
    return made.tobuf(tarfile.PAX_FORMAT) + b"12345".ljust(512, b"\0") + bytes(1024)


def test_extended_headers_give_names_and_sizes(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    path.write_bytes(pax(path="long.vmdk", size="4"))
    with Piece(path) as piece:
        assert [(name, one.size) for name, one in members(piece).items()] == [("long.vmdk", 4)]


@pytest.mark.parametrize(
    "headers", [{"size": "99999999"}, {"GNU.sparse.size": "9" * 12}, {"path": "../../out"}]
)
def test_extended_headers_that_harm(tmp_path: Path, headers: dict[str, str]) -> None:
    path = tmp_path / "a.tar"
    path.write_bytes(pax(**headers))
    with Piece(path) as piece, pytest.raises(InvalidError):
        members(piece)


def test_a_size_below_nothing(tmp_path: Path) -> None:
    """GNU tar's numbers have a sign: a member could lead back to itself, for good."""
    header = bytearray(info("a.ovf").tobuf(tarfile.GNU_FORMAT))
    header[124:136] = b"\xff" * 11 + b"\x00"
    header[148:156] = b" " * 8
    header[148:156] = f"{sum(header):06o}\0 ".encode()
    path = tmp_path / "a.tar"
    path.write_bytes(bytes(header) + bytes(2048))
    with Piece(path) as piece, pytest.raises(InvalidError):
        members(piece)


# -- XML ---------------------------------------------------------------------------------

HARMFUL = {
    "entities": '<!DOCTYPE a [<!ENTITY b "{}">]><Envelope>&b;</Envelope>'.format("x" * 100),
    "a file": '<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><Envelope>&b;</Envelope>',
    "a document type elsewhere": '<!DOCTYPE a SYSTEM "http://127.0.0.1:1/"><Envelope/>',
    "depth": "<Envelope>" + "<a>" * 100_000,
    "many elements": "<Envelope>" + "<a/>" * 100_000 + "</Envelope>",
    "no end": "<Envelope" + " <" * 1_000_000,
    "size": "<Envelope>" + " " * (5 * 2**20) + "</Envelope>",
    "no XML": "<Envelope>&",
    "another encoding": '<?xml version="1.0" encoding="x-no"?><Envelope/>',
    "a lone surrogate": "<Envelope>&#xd800;</Envelope>",
}


@pytest.mark.parametrize("what", HARMFUL)
def test_xml_that_harms(what: str) -> None:
    with pytest.raises(InvalidError):
        xml.parse(HARMFUL[what].encode(), "a.ovf")


async def test_harmful_xml_in_a_package(station: Workstation, tmp_path: Path) -> None:
    path = samples.ova(tmp_path / "a.ova", {"a.ovf": HARMFUL["a file"].encode()})
    await refused(station, path, "document type or entities")


REFUSED = {
    "two machines": (b"</Envelope>", b"<VirtualSystem/></Envelope>", "describes 2 machines"),
    "no hardware": (b"VirtualHardwareSection", b"Other", "describes no hardware"),
    "an unknown disk": (b"/disk/vmdisk1", b"/disk/vmdisk9", "is not described"),
    "an unknown file": (b'ovf:fileRef="file1"', b'ovf:fileRef="file9"', "is not described"),
    "a parent": (b'ovf:fileRef="file1"', b'ovf:fileRef="file1" ovf:parentRef="x"', "another one"),
    "another compression": (b'ovf:id="file1"', b'ovf:id="file1" ovf:compression="rar"', "gzip"),
    "too much memory": (b">1024<", b">99999999999<", "cannot be had here"),
    "no number": (b">1024<", b">lots<", "no number"),
}


@pytest.mark.parametrize("what", REFUSED)
async def test_descriptions_that_are_refused(
    station: Workstation, tmp_path: Path, what: str
) -> None:
    old, new, words = REFUSED[what]
    text = samples.virtualbox()
    assert old in text
    disk = samples.stream(tmp_path).read_bytes()
    path = samples.ova(
        tmp_path / "a.ova", {"a.ovf": text.replace(old, new), "web-disk001.vmdk": disk}
    )
    await refused(station, path, words)


async def test_text_of_a_stranger_cannot_draw_on_the_terminal(
    station: Workstation, tmp_path: Path
) -> None:
    disk = samples.stream(tmp_path).read_bytes()
    text = (
        samples.virtualbox()
        .replace(b">sound<", b">\xc2\x9b31m&#x202e;x<")
        .replace(b">35<", b">99<")
    )
    path = samples.ova(tmp_path / "a.ova", {"a.ovf": text, "web-disk001.vmdk": disk})
    made = await station.foreign.adopt(path)
    assert made.dropped
    assert all(line.isprintable() or "\ufffd" in line for line in made.dropped)
    assert not any("\x9b" in line or "\u202e" in line for line in made.dropped)
