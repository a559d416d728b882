"""Disk images from other people: what is taken, and what is refused before QEMU sees it."""

import os
import socket
import struct
import subprocess
from contextlib import closing, suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests import foreign_samples as samples
from tests.conftest import base, overlay
from workstation.core.foreign.headers import examine
from workstation.core.foreign.limits import limits
from workstation.core.foreign.piece import Piece
from workstation.core.workstation import Workstation
from workstation.errors import InvalidError, NotFoundError, WorkstationError
from workstation.paths import Paths
from workstation.qemu import convert, qcow2

SGDISK = "/usr/sbin/sgdisk"

IMAGES = {
    "qcow2": ("qcow2", ()),
    "qcow2, version 2": ("qcow2", ("-o", "compat=0.10")),
    "qcow2, compressed": ("qcow2", ("-c",)),
    "qcow2, small clusters": ("qcow2", ("-o", "cluster_size=512")),
    "qcow2, prepared": ("qcow2", ("-o", "preallocation=metadata")),
    "vmdk": ("vmdk", ("-o", "subformat=monolithicSparse")),
    "vmdk, a stream": ("vmdk", ("-o", "subformat=streamOptimized")),
    "vdi": ("vdi", ()),
    "vdi, static": ("vdi", ("-o", "static=on")),
    "vhdx": ("vhdx", ()),
    "vhdx, fixed": ("vhdx", ("-o", "subformat=fixed")),
    "vhd": ("vpc", ("-o", "force_size=on")),
    "vhd, fixed": ("vpc", ("-o", "subformat=fixed,force_size=on")),
}


def nothing_is_left(paths: Paths) -> bool:
    places = (paths.machines, paths.making, paths.layers, paths.images)
    return not [one for place in places for one in place.glob("*")]


async def refused(station: Workstation, path: Path, words: str) -> None:
    with pytest.raises(WorkstationError, match=words) as caught:
        await station.foreign.adopt(path)
    assert caught.value.hint
    assert nothing_is_left(station.paths)


# -- what is taken -----------------------------------------------------------------


@pytest.mark.parametrize("kind", IMAGES)
async def test_an_image_becomes_the_disk_of_a_machine(
    station: Workstation, tmp_path: Path, kind: str
) -> None:
    driver, options = IMAGES[kind]
    path = samples.image(tmp_path, driver, *options, name="Old Disk.img")
    made = await station.foreign.adopt(path)
    assert (made.name, made.dropped) == ("old-disk", ())
    below = base(station.paths, made.name)
    samples.qemu_img("compare", "-f", "raw", "-F", "qcow2", samples.raw(tmp_path), below)
    assert qcow2.read_header(overlay(station.paths.machine(made.name))).size == 3 * 2**20
    assert below.stat().st_mode & 0o777 == 0o400
    profile = station.view(made.name).profile
    assert profile
    assert [(network.mode, network.model) for network in profile.networks] == [("user", "e1000")]


async def test_a_raw_disk_is_raw(station: Workstation, tmp_path: Path) -> None:
    made = await station.foreign.adopt(samples.raw(tmp_path, "plain.raw"), "mine")
    below = base(station.paths, "mine")
    samples.qemu_img("compare", "-f", "raw", "-F", "qcow2", tmp_path / "plain.raw", below)
    assert made.name == "mine"


async def test_names_that_are_taken_get_a_number(station: Workstation, tmp_path: Path) -> None:
    path = samples.raw(tmp_path, "web.raw", 2**20)
    names = [(await station.foreign.adopt(path)).name for _ in range(3)]
    assert names == ["web", "web-2", "web-3"]


@pytest.mark.parametrize(
    "name",
    ["json:{}", 'json:{"driver":"nbd"}.qcow2', "nbd:127.0.0.1:1.raw", "a:b", "--help", "ü ☃"],
)
async def test_a_name_is_only_a_name(
    station: Workstation, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    samples.image(tmp_path, "qcow2", name=name.replace("/", "-"))
    monkeypatch.chdir(tmp_path)
    made = await station.foreign.adopt(Path(name))
    samples.qemu_img(
        "compare", "-f", "raw", "-F", "qcow2", samples.raw(tmp_path), base(station.paths, made.name)
    )


async def test_a_name_that_is_no_text(station: Workstation, tmp_path: Path) -> None:
    path = samples.image(tmp_path, "qcow2")
    odd = Path(os.fsdecode(os.fsencode(tmp_path) + b"/odd\xff.qcow2"))
    path.rename(odd)
    assert (await station.foreign.adopt(odd)).name == "odd"


PARTITIONS = {
    "ef00": ("uefi", ["1:2048:4095"]),
    "8300": ("bios", ["1:2048:4095"]),
    "ef00 ef02": ("bios", ["1:2048:4095", "2:4096:6143"]),
}


@pytest.mark.skipif(not Path(SGDISK).exists(), reason="sgdisk is not installed")
@pytest.mark.parametrize("kinds", PARTITIONS)
async def test_a_disk_that_boots_by_uefi_gets_it(
    station: Workstation, tmp_path: Path, kinds: str
) -> None:
    """Its partition table says so, inside whatever format."""
    if not (await station.host_facts()).firmware:
        pytest.skip("there is no UEFI firmware here")
    firmware, places = PARTITIONS[kinds]
    path = tmp_path / "disk.raw"
    with path.open("wb") as file:
        file.truncate(64 * 2**20)
    for number, (place, kind) in enumerate(zip(places, kinds.split(), strict=True), 1):
        words = [SGDISK, "-n", place, "-t", f"{number}:{kind}", str(path)]
        subprocess.run(words, check=True, capture_output=True)
    samples.qemu_img("convert", "-f", "raw", "-O", "vhdx", path, tmp_path / "disk.vhdx")
    made = await station.foreign.adopt(tmp_path / "disk.vhdx")
    profile = station.view(made.name).profile
    assert profile
    assert profile.boot.firmware == firmware
    looked = await station.foreign.look(tmp_path / "disk.vhdx")
    assert looked.profile.boot.firmware == firmware


async def test_what_is_no_image_is_refused(station: Workstation, tmp_path: Path) -> None:
    text = tmp_path / "letter.txt"
    text.write_text("Dear Sir,\n")
    await refused(station, text, "nothing that is known here")
    with pytest.raises(InvalidError, match="is empty"):
        (tmp_path / "nothing").touch()
        await station.foreign.adopt(tmp_path / "nothing")
    with pytest.raises(NotFoundError, match="there is no file"):
        await station.foreign.adopt(tmp_path / "gone")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InvalidError, match="is not a file"):
        await station.foreign.adopt(tmp_path / "pipe")


# -- what is cut off -----------------------------------------------------------------


@pytest.mark.parametrize("kind", [kind for kind in IMAGES if kind != "vhd, fixed"])
@pytest.mark.parametrize("part", [0.8, pytest.param(0.5, marks=pytest.mark.long), 0.05])
def test_an_image_that_is_cut_off_is_refused(tmp_path: Path, kind: str, part: float) -> None:
    driver, options = IMAGES[kind]
    path = samples.image(tmp_path, driver, *options, name="disk")
    with path.open("r+b") as file:
        file.truncate(int(path.stat().st_size * part))
    with Piece(path) as piece, pytest.raises(InvalidError):
        examine(piece)


def test_of_a_fixed_vhd_the_name_says_that_its_end_is_missing(tmp_path: Path) -> None:
    path = samples.image(tmp_path, "vpc", "-o", "subformat=fixed,force_size=on", name="disk.vhd")
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size - 1)
    with Piece(path) as piece, pytest.raises(InvalidError, match="said to be vhd"):
        examine(piece)


# -- attacks -------------------------------------------------------------------------


@pytest.fixture
def victim(home: Path) -> Path:
    return samples.sentinel(home)


async def refused_without_a_leak(station: Workstation, path: Path, victim: Path) -> None:
    with pytest.raises(InvalidError) as caught:
        await station.foreign.adopt(path)
    assert caught.value.hint
    assert nothing_is_left(station.paths)
    assert samples.leaked(victim.parent, victim) == []


async def test_a_backing_file_is_never_followed(
    station: Workstation, tmp_path: Path, victim: Path
) -> None:
    await refused_without_a_leak(station, samples.backed(tmp_path, str(victim)), victim)


async def test_nor_one_that_is_json(station: Workstation, tmp_path: Path, victim: Path) -> None:
    backing = samples.with_json({"driver": "raw", "file.filename": str(victim)})
    await refused_without_a_leak(station, samples.backed(tmp_path, backing), victim)


async def test_nor_one_on_the_network(station: Workstation, tmp_path: Path, victim: Path) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        listener.setblocking(False)
        backing = f"nbd:127.0.0.1:{listener.getsockname()[1]}"
        await refused_without_a_leak(station, samples.backed(tmp_path, backing), victim)
        with pytest.raises(BlockingIOError):
            listener.accept()


async def test_nor_an_external_data_file(
    station: Workstation, tmp_path: Path, victim: Path
) -> None:
    await refused_without_a_leak(station, samples.with_data_file(tmp_path, victim), victim)


async def test_nor_a_flat_extent(station: Workstation, tmp_path: Path, victim: Path) -> None:
    await refused_without_a_leak(station, samples.flat_vmdk(tmp_path, victim), victim)


DESCRIPTORS = {
    "another extent": ("RW 6144 SPARSE \"sparse.vmdk\"\nRW 128 FLAT \"private\" 0", None),
    "a flat extent": ('RW 6144 FLAT "private" 0', None),
    "no capacity": ('RW 6144 FLAT "private" 0', 0),
    "a sparse extent elsewhere": ('RW 128 SPARSE "private"', None),
    "a parent": ('parentFileNameHint="private"\nRW 6144 SPARSE "sparse.vmdk"', None),
    "a device": ('RW 6144 VMFSRDM "private"', None),
}  # fmt: skip


@pytest.mark.parametrize("what", DESCRIPTORS)
async def test_nor_what_a_sparse_vmdk_names(
    station: Workstation, tmp_path: Path, what: str, victim: Path
) -> None:
    extent, capacity = DESCRIPTORS[what]
    (tmp_path / "private").hardlink_to(victim)
    text = samples.DESCRIPTOR.format(extent=extent)
    path = samples.sparse_vmdk(tmp_path, text, capacity=capacity)
    await refused_without_a_leak(station, path, victim)


async def test_a_parent_is_refused_by_its_number_alone(
    station: Workstation, tmp_path: Path, victim: Path
) -> None:
    text = samples.DESCRIPTOR.format(extent='RW 6144 SPARSE "sparse.vmdk"')
    text = text.replace("parentCID=ffffffff", "parentCID=00000001")
    await refused_without_a_leak(station, samples.sparse_vmdk(tmp_path, text), victim)


async def test_a_guest_that_wrote_a_qcow2_header_gains_nothing(
    station: Workstation, tmp_path: Path, victim: Path
) -> None:
    """Its raw disk says that it is a qcow2 with a backing file."""
    header = samples.backed(tmp_path, str(victim)).read_bytes()
    path = tmp_path / "guest.raw"
    path.write_bytes(header.ljust(4 * 2**20, b"\0"))
    await refused_without_a_leak(station, path, victim)
    with Piece(path) as piece:
        assert examine(piece, "raw").node(piece)["driver"] == "raw"


@pytest.mark.parametrize("kind", [4, 5])
async def test_a_vhd_with_a_parent_is_refused(tmp_path: Path, kind: int) -> None:
    path = samples.image(tmp_path, "vpc", "-o", "force_size=on", name="disk.vhd")
    footer = bytearray(path.read_bytes()[-512:])
    footer[60:64] = struct.pack(">I", kind)
    footer[64:68] = bytes(4)
    footer[64:68] = struct.pack(">I", ~sum(footer) & 0xFFFFFFFF)
    samples.poke(path, path.stat().st_size - 512, bytes(footer))
    with Piece(path) as piece, pytest.raises(InvalidError, match="in another file"):
        examine(piece)


@pytest.mark.parametrize("size", [2**63, 2**64 - 512, 2**46 + 512])
async def test_absurd_sizes_are_refused(station: Workstation, tmp_path: Path, size: int) -> None:
    await refused(station, samples.huge_qcow2(tmp_path, size), r"claims a size of")


async def test_a_size_that_its_tables_do_not_hold_is_refused(
    station: Workstation, tmp_path: Path
) -> None:
    path = samples.huge_qcow2(tmp_path, 2**40)
    with pytest.raises(InvalidError, match="too small a table"):
        await station.foreign.adopt(path)


async def test_a_small_image_does_not_fill_the_disk(
    station: Workstation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All clusters of 64 GiB are one and the same: 450 KB."""
    monkeypatch.setattr("workstation.core.foreign.limits._ALWAYS", 8 * 2**20)
    monkeypatch.setattr("workstation.core.foreign.limits._GROWTH", 8)
    path = samples.bomb_qcow2(tmp_path, 64 * 2**30)
    await refused(station, path, r"bomb.qcow2: its content is more than the 11.* MiB")


async def test_reading_for_too_long_is_ended(
    station: Workstation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workstation.core.foreign.limits._SECONDS", 1)
    monkeypatch.setattr("workstation.core.foreign.limits._BYTES_A_SECOND", 2**60)
    monkeypatch.setattr("workstation.core.foreign.limits._ALWAYS", 2**50)
    path = samples.bomb_qcow2(tmp_path, 2**42)
    with pytest.raises(WorkstationError, match=r"too long|more than"):
        await station.foreign.adopt(path)
    assert nothing_is_left(station.paths)


async def test_a_disk_that_claims_a_terabyte_and_holds_little_is_taken(
    station: Workstation, tmp_path: Path
) -> None:
    path = tmp_path / "thin.qcow2"
    samples.qemu_img("create", "-f", "qcow2", path, "1T")
    made = await station.foreign.adopt(path)
    assert base(station.paths, made.name).stat().st_size < 2**20


def test_the_limits_follow_the_file_and_the_room(tmp_path: Path) -> None:
    assert limits(300_000, 2**40, tmp_path).output <= 2**30 + 300_000_000
    assert limits(2**30, 2**20, tmp_path).output <= 6 * 2**20


async def test_qemu_img_has_no_network(tmp_path: Path) -> None:
    """Where this host lets us take it away; an image that got past the checks learns nothing."""
    if not convert.offline():
        pytest.skip("user namespaces are not to be had here")
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        host, port = listener.getsockname()
        node: dict[str, object] = {
            "driver": "raw",
            "file": {"driver": "nbd", "server": {"type": "inet", "host": host, "port": str(port)}},
        }
        with pytest.raises(WorkstationError, match="unreachable"):
            await convert.convert(
                "qemu-img", node, "qcow2", tmp_path / "out", lambda part: None,
                limits=convert.Limits(2**20, 10),
            )  # fmt: skip


async def test_qemu_img_says_only_so_much(tmp_path: Path) -> None:
    program = tmp_path / "babbler"
    program.write_text("#!/bin/sh\nyes 'an error' | head -c 20000000 >&2\nexit 1\n")
    program.chmod(0o755)
    with pytest.raises(WorkstationError) as caught:
        await convert.convert(
            str(program), {}, "qcow2", tmp_path / "out", lambda part: None,
            limits=convert.Limits(2**20, 10),
        )  # fmt: skip
    assert 1000 < len(caught.value.details) <= 2000


# -- anything ------------------------------------------------------------------------


@pytest.fixture(scope="module")
def small_images(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    directory = tmp_path_factory.mktemp("small")
    found = []
    for number, (driver, options) in enumerate(IMAGES.values()):
        path = directory / str(number)
        source = samples.raw(directory, "source", 2**18)
        samples.qemu_img("convert", "-f", "raw", "-O", driver, *options, source, path)
        found.append(path)
    return found


def test_what_is_too_short_for_its_end_is_refused(small_images: list[Path], tmp_path: Path) -> None:
    """Also where there is something before it, as in a package, which is never read as its own."""
    for number, image in enumerate(small_images):
        for length in (1, 79, 511, 600, 1023):
            path = tmp_path / f"{number}-{length}"
            path.write_bytes(bytes(2048) + image.read_bytes()[:length])
            with Piece(path) as whole, closing(whole.part("part", 2048, length)) as piece:
                assert piece.read(-512, 512) == b""
                with suppress(InvalidError):
                    assert examine(piece).size > 0


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    number=st.integers(0, len(IMAGES) - 1),
    changes=st.lists(st.tuples(st.integers(0, 4095), st.integers(0, 255)), max_size=6),
    kept=st.floats(0, 1),
)
def test_any_bytes_are_taken_or_refused(
    small_images: list[Path],
    tmp_path: Path,
    number: int,
    changes: list[tuple[int, int]],
    kept: float,
) -> None:
    """Headers with a few bytes changed end in a Disk or an InvalidError, and never in a fault."""
    raw = bytearray(small_images[number].read_bytes())
    for at, value in changes:
        raw[at] = value
    path = tmp_path / "any"
    path.write_bytes(raw[: max(1, int(len(raw) * kept))])
    with Piece(path) as piece:
        try:
            assert examine(piece).size > 0
        except InvalidError as error:
            assert str(error)
