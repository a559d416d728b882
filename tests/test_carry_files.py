"""Carrying without guests: what is written, where, and what of it is read."""

import asyncio
import fcntl
import os
import random
from pathlib import Path

import pytest

from tests.bundles import NOW, write
from tests.carried import CLUSTER, NOTHING, SECRET, disk, expected, left, made, put, trusted
from tests.conftest import tiny
from tests.laptops import file, laptop, other_home
from workstation.core.bundle import target
from workstation.core.bundle.export import OVERHEAD, Plan, Wish, check_target
from workstation.core.bundle.importing import Words
from workstation.core.bundle.reader import open_bundle
from workstation.core.bundle.source import SourceFile, SourceLayer
from workstation.core.bundle.vault import Vault
from workstation.core.layers import digests
from workstation.core.library import library
from workstation.core.workstation import Workstation
from workstation.errors import BusyError, HostError, NotFoundError, UsageError
from workstation.model.bundle import CHUNK, Content
from workstation.model.layer import Layer, LayerFile, Memory

__all__ = ["file", "laptop", "other_home"]


# -- what is in it ------------------------------------------------------------------------


async def test_history_is_carried_as_it_is(
    station: Workstation, laptop: Workstation, file: Path
) -> None:
    await made(station, 1, 2)
    await station.layers.set_golden("one", "s1")
    done = await station.carry.export("one", file)
    assert (done.layers, done.added, done.memory) == (2, 2, False)
    came = await laptop.carry.import_file(file)
    assert (came.name, came.layers, came.shared, came.resumes) == ("one", 2, 0, False)
    assert disk(laptop, "one", "s1")[: 2 * CHUNK] == expected(1)
    assert disk(laptop, "one")[: 2 * CHUNK] == expected(2)
    assert laptop.layers.names_of("one").golden == "s1"
    before, after = station.machine("one").definition, laptop.machine("one").definition
    assert before and after
    assert (before.uuid, before.created) == (after.uuid, after.created)
    assert [found.level for found in await laptop.layers.check()] == ["ok"] * 3


@pytest.mark.parametrize(
    "wish", [Wish(compress=True), Wish(flatten=True), Wish(flatten=True, compress=True)]
)
async def test_however_it_is_packed_the_disk_is_the_same(
    station: Workstation, laptop: Workstation, file: Path, wish: Wish
) -> None:
    await made(station, 1)
    put(station, "one", 2, CHUNK)  # over the first half of what is below
    await station.carry.export("one", file, wish)
    came = await laptop.carry.import_file(file)
    assert came.layers == (1 if wish.flatten else 2)
    seen = disk(laptop, "one")
    assert seen[:CHUNK] == random.Random(2).randbytes(CHUNK)
    assert seen[CHUNK : 2 * CHUNK] == expected(1)[CHUNK:]
    assert len(seen) == 32 * 2**20


async def test_one_point_only(station: Workstation, laptop: Workstation, file: Path) -> None:
    await made(station, 1, 2)
    await station.carry.export("one", file, Wish(tag="s1"))
    await laptop.carry.import_file(file)
    assert list(laptop.layers.names_of("one").snapshots) == ["s1"]
    assert disk(laptop, "one")[: 2 * CHUNK] == expected(1)


async def test_what_is_new_needs_what_was_before(
    station: Workstation, laptop: Workstation, file: Path, tmp_path: Path
) -> None:
    await made(station, 1)
    await station.carry.export("one", file)
    put(station, "one", 2)
    await station.layers.snapshot("one", "s2")
    small = tmp_path / "small.vmbundle"
    done = await station.carry.export("one", small, Wish(since="s1"))
    assert done.layers == 1
    with pytest.raises(NotFoundError, match="only what is new"):
        await laptop.carry.import_file(small)
    assert left(laptop) == NOTHING
    await laptop.carry.import_file(file)
    came = await laptop.carry.import_file(small, Words(name="one-2"))
    assert (came.name, came.layers, came.updated) == ("one-2", 1, False)
    assert disk(laptop, "one-2", "s1")[: 2 * CHUNK] == expected(1)
    assert disk(laptop, "one-2")[: 2 * CHUNK] == expected(2)


async def test_a_second_export_adds_what_is_new(
    station: Workstation, laptop: Workstation, file: Path
) -> None:
    await made(station, 1)
    first = await station.carry.export("one", file)
    before = file.read_bytes()
    put(station, "one", 2, CLUSTER)
    second = await station.carry.export("one", file)
    assert (second.layers, second.added) == (2, 1)
    assert second.written < first.written / 5
    assert file.read_bytes()[: len(before) - 1024] == before[:-1024]
    again = await station.carry.export("one", file)
    assert again.added == 0
    await laptop.carry.inspect(file, verify_all=True)
    came = await laptop.carry.import_file(file)
    assert came.layers == 2
    assert disk(laptop, "one")[CLUSTER : 2 * CHUNK] == expected(1)[CLUSTER:]


async def test_an_export_takes_the_digests_of_what_it_froze(
    station: Workstation, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It reads all of it anyway: nobody does so a second time."""
    await made(station, 1)
    await station.layers.take_digests()
    put(station, "one", 2)
    of_file, read = digests.of_file, []

    def reading(path: Path) -> Content:
        read.append(path)
        return of_file(path)

    monkeypatch.setattr(digests, "of_file", reading)
    await station.carry.export("one", file)
    store = station.layers.store
    top = store.directory(station.layers.names_of("one").head.layer or "")
    known = store.digests(top.name)
    await station.layers.take_digests()
    assert read == []
    assert known == {"drive0.qcow2": of_file(top / "drive0.qcow2")}


async def test_nothing_of_the_host_is_in_it(
    station: Workstation, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    share = tmp_path / "quokka-share"
    share.mkdir()
    disc = tmp_path / "quokka-disc.iso"
    disc.write_bytes(bytes(2048))
    image = tmp_path / "quokka-image.raw"
    image.write_bytes(bytes(2**20))
    monkeypatch.setenv("USER", "quokka-user")
    await station.create(
        "one",
        tiny(
            drives=[{"image": str(image)}, {"size": "8 MiB"}],
            cdroms=[{"image": str(disc)}],
            shares=[{"path": str(share), "tag": "data"}],
            networks=[{"forwards": ["0.0.0.0:18080:80"]}],
        ),
    )
    done = await station.carry.export("one", file)
    assert any("data" in text for text in done.left_out)
    assert any("CD drive 1" in text for text in done.left_out)
    content = file.read_bytes()
    for secret in (b"quokka", str(tmp_path).encode(), str(station.paths.data).encode(),
                   os.uname().nodename.encode(), b"0.0.0.0"):  # fmt: skip
        assert secret not in content, secret
    profile = open_bundle(file).manifest.machine.profile
    assert (profile.shares, profile.cdroms[0].image, profile.drives[0].size) == ((), None, 2**20)


# -- behind a passphrase --------------------------------------------------------------------


async def test_an_encrypted_bundle_says_nothing_without_its_passphrase(
    station: Workstation, laptop: Workstation, file: Path
) -> None:
    await made(station, 1)
    with pytest.raises(UsageError, match="at least 8"):
        await station.carry.export("one", file, Wish(passphrase="short"))
    await station.carry.export("one", file, Wish(passphrase=SECRET))
    content = file.read_bytes()
    # Long enough that no random bytes are them.
    for word in (b'"name":"one"', b'"drives"', b"QFI\xfb\0\0\0\3", expected(1)[:64]):
        assert word not in content
    for passphrase, what in (("", "is encrypted"), ("correct horses", "not the bundle's")):
        with pytest.raises(UsageError, match=what):
            await laptop.carry.import_file(file, passphrase=passphrase)
    assert left(laptop) == NOTHING
    report = await laptop.carry.inspect(file, verify_all=True, passphrase=SECRET)
    assert report.in_place
    await laptop.carry.import_file(file, passphrase=SECRET)
    assert disk(laptop, "one")[: 2 * CHUNK] == expected(1)


async def test_what_is_added_to_an_encrypted_bundle_is_encrypted_too(
    station: Workstation, laptop: Workstation, file: Path
) -> None:
    await made(station, 1)
    await station.carry.export("one", file, Wish(passphrase=SECRET))
    put(station, "one", 2)
    with pytest.raises(UsageError, match="is encrypted"):
        await station.carry.export("one", file)
    done = await station.carry.export("one", file, Wish(passphrase=SECRET))
    assert done.added == 1
    assert expected(2)[:64] not in file.read_bytes()
    await laptop.carry.import_file(file, passphrase=SECRET)
    assert disk(laptop, "one")[: 2 * CHUNK] == expected(2)


# -- where it goes ------------------------------------------------------------------------


async def test_what_is_there_is_not_written_over(station: Workstation, file: Path) -> None:
    await made(station, 1)
    file.write_text("something else")
    with pytest.raises(UsageError, match="no bundle"):
        await station.carry.export("one", file)
    assert file.read_text() == "something else"
    file.unlink()
    await station.carry.export("one", file)
    before = file.read_bytes()
    for wish in (Wish(flatten=True), Wish(compress=True), Wish(since="s1"), Wish(tag="s1")):
        with pytest.raises(UsageError, match="there already"):
            await station.carry.export("one", file, wish)
    await station.create("other", tiny(drives=[{"size": "8 MiB"}]))
    with pytest.raises(UsageError, match="another machine"):
        await station.carry.export("other", file)
    assert file.read_bytes() == before


async def test_a_place_that_is_not_there_is_said_before_anything_is_frozen(
    station: Workstation, file: Path
) -> None:
    await made(station, 1)
    put(station, "one", 2)
    before = station.layers.store.ids()
    with pytest.raises(UsageError, match="no directory"):
        await station.carry.export("one", file.parent / "stick" / "one.vmbundle")
    assert station.layers.store.ids() == before


async def test_two_exports_onto_one_file_do_not_mix(station: Workstation, file: Path) -> None:
    await made(station, 1)
    await station.carry.export("one", file)
    put(station, "one", 2)
    await station.layers.snapshot("one", "s2")
    done = await asyncio.gather(
        *(station.carry.export("one", file) for _ in range(3)), return_exceptions=True
    )
    assert any(not isinstance(one, BaseException) for one in done)
    assert all(isinstance(one, BusyError) for one in done if isinstance(one, BaseException))
    await station.carry.inspect(file, verify_all=True)
    assert len(open_bundle(file).ids()) == 2


async def test_what_a_killed_export_left_goes_with_the_next_start(
    station: Workstation, file: Path
) -> None:
    """Unless another export has taken it over by then."""
    left_behind = target.unfinished(file)
    left_behind.touch()
    workplace = station.paths.making / "killed"
    workplace.mkdir(parents=True)
    library.note_elsewhere(workplace, [left_behind])
    with left_behind.open("rb") as taken_over:
        fcntl.flock(taken_over, fcntl.LOCK_EX)
        library.clear_leftovers(station.paths)
        assert left_behind.exists()
    workplace.mkdir(parents=True)
    library.note_elsewhere(workplace, [left_behind])
    async with Workstation(station.paths, front_end="test", watch=False):
        assert not left_behind.exists()


async def test_a_strangers_bundle_is_not_signed_anew(
    station: Workstation, laptop: Workstation, file: Path
) -> None:
    await made(station, 1)
    await station.carry.export("one", file)
    await laptop.carry.import_file(file)
    with pytest.raises(UsageError, match="your signature"):
        await laptop.carry.export("one", file)
    await trusted(laptop, station)
    await laptop.carry.export("one", file)


async def test_room_is_asked_for_before(
    station: Workstation, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await made(station, 1)
    found = os.statvfs(file.parent)

    def full(path: object) -> os.statvfs_result:
        values = list(found)
        values[4] = 100  # f_bavail
        return os.statvfs_result(values)

    monkeypatch.setattr(os, "statvfs", full)
    with pytest.raises(HostError, match="is free"):
        await station.carry.export("one", file)
    assert list(file.parent.glob("*.vmbundle*")) == []


@pytest.mark.parametrize("how", ["plain", "encrypted", "compressed"])
def test_only_what_is_sure_to_be_written_needs_room(
    file: Path, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Memory, which is packed, may become small; a kernel is written once."""
    asked: list[int] = []
    monkeypatch.setattr(target, "check_fits", lambda path, size, existing: asked.append(size))
    kernel = Content(size=CHUNK, digests="00" * 32)
    memory = Memory(
        name="memory",
        machine_type="pc-q35-7.2", cpu_model="Nehalem-v1", accelerator="tcg",
        qemu_version=(7, 2, 0),
    )  # fmt: skip
    layer = Layer(
        id="00000000000000aa",
        created=NOW,
        profile=tiny(),
        drives={"drive0": LayerFile(name="drive0.qcow2")},
        memory=memory,
    )
    files = (
        SourceFile("drive0.qcow2", -1, 3 * 2**30),
        SourceFile("memory", -1, 8 * 2**30),
        SourceFile("vmlinuz", -1, CHUNK, kernel),
        SourceFile("initrd", -1, CHUNK, kernel),
    )
    plan = Plan(machine=write(file, b"x").machine, layers=(SourceLayer(layer, files),) * 2)
    vault = Vault.new() if how == "encrypted" else None
    check_target(plan._replace(compress=how == "compressed", vault=vault), file)
    least = {"plain": 6 * 2**30 + CHUNK, "encrypted": 6 * 2**30, "compressed": 0}
    assert asked == [least[how] + OVERHEAD]
