"""What a new machine stands on: its images, pinned, and what is refused."""

import os
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from tests.conftest import base, chain, tiny
from workstation.core.machine.create import bootable, create_machine, pin
from workstation.errors import HostError, InvalidError, NotFoundError, UsageError, WorkstationError
from workstation.model.host import HostFacts
from workstation.model.machine import Definition
from workstation.model.profile import Profile
from workstation.paths import Paths
from workstation.profile.load import parse_definition
from workstation.qemu import qcow2

FACTS = HostFacts(
    qemu_img="qemu-img",
    machine_types={"q35": "pc-q35-7.2", "pc-q35-7.2": "pc-q35-7.2"},
    cpu_models=frozenset({"Nehalem-v1"}),
)

SENTINEL = b"nobody may read this "


def qemu_img(*arguments: object) -> None:
    subprocess.run(["qemu-img", *map(str, arguments)], check=True, capture_output=True)


async def create(paths: Paths, **changes: object) -> Definition:
    return await create_machine(paths, FACTS, "one", tiny(**changes), based_on="tiny")


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    path = tmp_path / 'my, "own" disk.raw'
    path.write_bytes(b"guest data".ljust(2**20, b"\0"))
    return path


@pytest.fixture
def layered(tmp_path: Path, raw: Path) -> Path:
    path = tmp_path / "disk.qcow2"
    qemu_img("convert", "-f", "raw", "-O", "qcow2", raw, path)
    return path


@pytest.mark.parametrize("kind", ["raw", "layered"])
async def test_a_drive_stands_on_a_copy_of_its_image(
    paths: Paths, kind: str, request: pytest.FixtureRequest
) -> None:
    source: Path = request.getfixturevalue(kind)
    before = source.read_bytes()
    await create(paths, drives=[{"image": str(source)}])
    head, below = chain(paths, "one")
    assert (head.format, below.format) == ("qcow2", source.suffix[1:])
    assert qcow2.read_header(head.path).size == 2**20
    source.write_bytes(b"written over")
    assert below.path.read_bytes() == before


async def test_a_larger_drive_makes_room(paths: Paths, raw: Path) -> None:
    await create(paths, drives=[{"image": str(raw), "size": "3 MiB"}])
    head, _ = chain(paths, "one")
    assert qcow2.read_header(head.path).size == 3 * 2**20


def nothing_is_left(paths: Paths) -> bool:
    return not [*paths.machines.glob("*"), *paths.making.glob("*")]


async def test_a_drive_smaller_than_its_image_is_refused(paths: Paths, tmp_path: Path) -> None:
    path = tmp_path / "disk.qcow2"
    qemu_img("create", "-f", "qcow2", path, "8M")
    with pytest.raises(UsageError, match=r"drives\[0\].size is 1 MiB, and its image has 8 MiB"):
        await create(paths, drives=[{"image": str(path), "size": "1 MiB"}])
    assert nothing_is_left(paths)


async def test_an_image_that_is_not_there_says_what_to_check(paths: Paths) -> None:
    with pytest.raises(NotFoundError, match=r"/nowhere/disk\.raw") as caught:
        await create(paths, drives=[{"image": "/nowhere/disk.raw"}])
    assert caught.value.hint == "check the path in the profile"
    with pytest.raises(NotFoundError, match="my-disk") as caught:
        await create(paths, drives=[{"image": "my-disk"}])
    assert str(paths.images / "my-disk.qcow2") in caught.value.hint
    with pytest.raises(NotFoundError, match="debian-12") as caught:
        await create(paths, drives=[{"image": "debian-12"}])
    assert caught.value.hint == "workstation images pull debian-12"
    assert nothing_is_left(paths)


@pytest.fixture
def sentinel(tmp_path: Path) -> Path:
    """A file whose time of last reading is in the past: reading it would move that on."""
    path = tmp_path / "sentinel"
    path.write_bytes(SENTINEL * 50_000)
    os.utime(path, (1, 1_000_000_000))
    return path


@pytest.mark.parametrize("how", ["backing", "json", "data_file"])
async def test_an_image_that_leads_to_another_file_is_refused_unread(
    paths: Paths, tmp_path: Path, sentinel: Path, how: str
) -> None:
    path = tmp_path / "disk.qcow2"
    backing = {
        "backing": str(sentinel),
        "json": f'json:{{"driver":"raw","file":{{"driver":"file","filename":"{sentinel}"}}}}',
    }
    if how == "data_file":
        data = tmp_path / "data"
        qemu_img("create", "-f", "qcow2", "-o", f"data_file={data},data_file_raw=on", path, "1M")
        data.unlink()
        data.symlink_to(sentinel)
    else:
        qemu_img("create", "-f", "qcow2", "-u", "-b", backing[how], "-F", "raw", path, "1M")
    with pytest.raises(InvalidError, match="in another file"):
        await create(paths, drives=[{"image": str(path)}])
    assert sentinel.stat().st_atime == 1
    assert nothing_is_left(paths)


async def test_a_raw_disk_with_a_qcow2_header_in_it_stays_raw(
    paths: Paths, tmp_path: Path, sentinel: Path
) -> None:
    """A guest can write such a header; to believe it would open the file that it names."""
    path = tmp_path / "disk.raw"
    qemu_img("create", "-f", "qcow2", "-u", "-b", sentinel, "-F", "raw", path, "1M")
    await create(paths, drives=[{"image": str(path)}])
    taken = base(paths, "one")
    assert taken.suffix == ".raw"
    assert taken.stat().st_size == path.stat().st_size
    assert sentinel.stat().st_atime == 1


async def test_a_file_of_the_library_serves_many_machines(paths: Paths) -> None:
    image = paths.image("system")
    image.mkdir(parents=True)
    (image / "disk.raw").write_bytes(bytes(2**20))
    (image / "image.yaml").write_text("name: system\nbuilt: now\nfiles: {disk.raw: abc}\n")
    await create(paths, drives=[{"image": "system"}])
    assert base(paths, "one").samefile(image / "disk.raw")


@pytest.mark.parametrize("linked", [False, True])
async def test_a_persons_own_file_in_the_library_is_copied(
    paths: Paths, raw: Path, linked: bool
) -> None:
    """It may be written to again by whatever program it came from."""
    own = paths.images / "debian-12.raw"
    paths.images.mkdir()
    own.symlink_to(raw) if linked else own.write_bytes(raw.read_bytes())
    before = raw.read_bytes()
    await create(paths, drives=[{"image": "debian-12"}])
    own.write_bytes(b"written over")
    assert base(paths, "one").read_bytes() == before


async def test_a_kernel_is_pinned(paths: Paths, tmp_path: Path) -> None:
    kernel = tmp_path / "bzImage"
    kernel.write_bytes(b"first")
    await create(paths, boot={"kernel": str(kernel)})
    kernel.write_bytes(b"second")
    assert paths.machine("one").kernel.read_bytes() == b"first"


async def test_all_that_is_made_is_for_the_owner_alone(paths: Paths, raw: Path) -> None:
    raw.chmod(0o644)
    old = os.umask(0)
    try:
        await create(paths, drives=[{"image": str(raw)}, {"size": "1 MiB"}])
    finally:
        os.umask(old)
    for path in (paths.machine("one").data, *paths.machine("one").data.rglob("*")):
        assert path.stat().st_mode & 0o077 == 0, path


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"cpu": {"model": "Pentium9"}}, InvalidError, "no CPU model “Pentium9”"),
        ({"boot": {"firmware": "uefi"}}, HostError, "no UEFI firmware"),
        ({"drives": [{"image": "/etc/hostname"}]}, InvalidError, "cannot be told from its name"),
    ],
)
async def test_what_cannot_be_made_leaves_nothing(
    paths: Paths, changes: dict[str, object], error: type[WorkstationError], words: str
) -> None:
    with pytest.raises(error, match=words) as caught:
        await create(paths, **changes)
    assert caught.value.hint
    assert nothing_is_left(paths)


@pytest.mark.parametrize("version", ["pc-q35-rhel9.6.0", "pc-q35-noble", "pc-q35-10.2"])
async def test_what_was_pinned_can_be_read_again(paths: Paths, version: str) -> None:
    facts = replace(FACTS, machine_types={"q35": version})
    made = await create_machine(paths, facts, "one", tiny(networks=[{}]), based_on="tiny")
    assert made.profile.machine.type == version
    text = paths.machine("one").file.read_text()
    assert parse_definition(text, "machine.yaml") == made


@pytest.mark.parametrize(
    ("pinned", "boots_as"),
    [
        ("pc-q35-7.2", "pc-q35-7.2"),
        ("pc-q35-10.0", "pc-q35-11.1"),
        ("pc-q35-noble", "pc-q35-11.1"),
        ("pc-i440fx-6.2", "pc-i440fx-11.1"),
        ("microvm", "microvm"),
    ],
)
def test_what_another_qemu_pinned_boots_as_the_newest_of_its_kind(
    pinned: str, boots_as: str
) -> None:
    types = {"q35": "pc-q35-11.1", "pc": "pc-i440fx-11.1", "pc-q35-7.2": "pc-q35-7.2"}
    profile = Profile.model_validate(
        {"name": "x", "machine": {"type": pinned}, "boot": {"kernel": "/k"}}
    )
    again = bootable(profile, replace(FACTS, machine_types=types))
    assert again.machine.type == boots_as
    assert again == profile or pinned != boots_as


def test_pinning_again_changes_nothing() -> None:
    once = pin(tiny(networks=[{}, {}]), FACTS, "one")
    assert pin(once, FACTS, "one") == once
    assert once.machine.type == "pc-q35-7.2"
    assert once.cpu.model == "Nehalem-v1"
    assert len({network.mac for network in once.networks}) == 2
