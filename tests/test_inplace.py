"""A bundle runs where it lies: at the moment that it was frozen, its disks read inside it."""

import asyncio
import hashlib
import os
import signal
import sys
from pathlib import Path

import pytest

from tests.conftest import Shell, eventually
from tests.laptops import bundle, laptop, made, other_home, whole
from tests.test_layers import recall, remember
from workstation.core.bundle.reader import open_bundle
from workstation.core.inplace import links
from workstation.core.layers import heads
from workstation.core.workstation import Workstation
from workstation.errors import HostError, InvalidError, NotFoundError, UsageError
from workstation.model.bundle import CHUNK
from workstation.model.host import Level
from workstation.model.machine import State
from workstation.qemu import graph, image
from workstation.qemu.blockdev import image_node
from workstation.qemu.monitor import Monitor
from workstation.qemu.options import as_json

__all__ = ["bundle", "laptop", "made", "other_home"]

pytestmark = [pytest.mark.qemu, pytest.mark.usefixtures("with_appliance")]


def monitor(station: Workstation, name: str) -> Monitor:
    found = station.machine(name).monitor
    assert found
    return found


# -- open ---------------------------------------------------------------------------


async def test_it_goes_on_where_it_lies_and_what_it_writes_stays_here(
    laptop: Workstation, bundle: Path
) -> None:
    before = bundle.read_bytes()
    opened = await laptop.inplace.open(bundle)
    assert (opened.name, opened.resumes, opened.distrusted) == ("one", True, False)
    await laptop.start("one")
    assert laptop.view("one").state is State.RUNNING
    assert await recall(laptop, "one") == ("second", "second")
    assert await whole(laptop, "one")
    await remember(laptop, "one", "third")
    store = laptop.layers.store
    names = {file.name for layer in store.ids() for file in store.files(layer)}
    assert not names & {"drive0.qcow2", "memory"}
    assert {"layer.json", "link.json", "vmlinuz"} <= names
    await laptop.layers.snapshot("one", "here")
    await laptop.layers.revert("one", "before", discard=True)
    assert await recall(laptop, "one") == ("first", "first")
    await laptop.layers.revert("one", "here", discard=True)
    assert await recall(laptop, "one") == ("third", "third")
    assert bundle.read_bytes() == before


async def test_deleting_the_machine_takes_only_what_is_here(
    laptop: Workstation, bundle: Path
) -> None:
    size = bundle.stat().st_size
    await laptop.inplace.open(bundle, "two")
    await laptop.delete("two")
    assert laptop.layers.store.ids() == []
    assert bundle.stat().st_size == size


async def test_a_stranger_s_memory_is_not_loaded_unless_that_is_typed(
    laptop: Workstation, bundle: Path
) -> None:
    signer = next(iter(laptop.carry.keys.trusted()))
    laptop.carry.keys.remove(signer)
    opened = await laptop.inplace.open(bundle)
    assert (opened.resumes, opened.distrusted, opened.signer_name) == (False, True, "")
    assert laptop.view("one").state is not State.FROZEN
    with pytest.raises(UsageError, match="was not signed by"):
        await laptop.inplace.open(bundle, load_memory="yes")
    typed = await laptop.inplace.open(bundle, load_memory=signer)
    assert (typed.name, typed.resumes) == ("one-2", True)
    assert any("“one” already" in text for text in typed.said)


@pytest.mark.parametrize("chunk", [0, -1])
async def test_memory_that_was_changed_never_reaches_the_guest(
    laptop: Workstation, bundle: Path, chunk: int
) -> None:
    await laptop.inplace.open(bundle)
    flip(bundle, laptop, "memory", chunk)
    with pytest.raises(HostError, match="is not whole"):
        await laptop.start("one")
    assert laptop.view("one").state is State.FROZEN
    await laptop.start("one", cold=True)
    await laptop.wait_ready("one")
    assert (await recall(laptop, "one"))[0] == ""


async def test_nothing_of_a_memory_is_handed_on_whose_end_was_changed(
    laptop: Workstation, bundle: Path
) -> None:
    await laptop.inplace.open(bundle)
    head = laptop.layers.names_of("one").head

    def handed() -> int:
        source, _ = heads.memory_of(laptop.layers.store, laptop.paths.machine("one"), head)
        with source.handed() as descriptor, open(descriptor, "rb", closefd=False) as pipe:
            size = len(pipe.read())
        assert size or source.trouble
        return size

    assert await asyncio.to_thread(handed) > CHUNK
    flip(bundle, laptop, "memory")
    assert await asyncio.to_thread(handed) == 1  # which begins no memory


def flip(bundle: Path, laptop: Workstation, name: str, chunk: int = -1) -> None:
    """One bit in a file of the layer that the machine stands on: in a chunk, if it has frames."""
    top = laptop.layers.names_of("one").head.layer or ""
    stored = open_bundle(bundle).file(top, name)
    place = stored.frames[chunk] if stored.frames else stored
    with bundle.open("r+b") as file:
        file.seek(place.offset + place.size // 2)
        byte = file.read(1)[0]
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte ^ 1]))


async def test_a_bad_chunk_raises_an_alarm_on_the_machine(
    laptop: Workstation, bundle: Path
) -> None:
    await laptop.inplace.open(bundle)
    assert await laptop.inplace.vigil.keep("one") == []
    assert all(link.verified for link in all_links(laptop))
    for layer in laptop.layers.store.ids():
        found = laptop.layers.store.link(layer)
        assert found
        again = found._replace(verified=False)
        links.write_again(laptop.layers.store.directory(layer), again)
    flip(bundle, laptop, "drive0.qcow2")
    (alarm,) = await laptop.inplace.vigil.keep("one")
    assert "one.vmbundle" in alarm
    assert "drive0.qcow2 is not as it was written" in alarm
    laptop.machine("one").look()
    assert laptop.view("one").alarm == alarm
    with pytest.raises(InvalidError, match="not as it was written"):
        await laptop.inplace.settle("one")


def all_links(laptop: Workstation) -> list[links.Link]:
    store = laptop.layers.store
    return [link for layer in store.ids() if (link := store.link(layer))]


# -- the stick is gone, and comes back ------------------------------------------------


async def test_without_the_stick_a_start_says_what_to_plug_in(
    laptop: Workstation, bundle: Path, tmp_path: Path
) -> None:
    await laptop.inplace.open(bundle)
    away = tmp_path / "elsewhere.vmbundle"
    bundle.rename(away)
    with pytest.raises(NotFoundError, match=r"one\.vmbundle is not there") as refused:
        await laptop.start("one")
    assert "--for NAME" in refused.value.hint
    found = await laptop.layers.check()
    assert [one.level for one in found if one.subject.startswith("layer")] == [Level.NOTE] * 2
    assert any("plug it in" in one.mend for one in found)
    laptop.inplace.find_again("one", away)
    await laptop.start("one")
    assert await recall(laptop, "one") == ("second", "second")
    found = await laptop.layers.check()
    assert {one.level for one in found} <= {Level.OK}


async def test_a_guest_whose_stick_is_pulled_waits_and_goes_on(
    laptop: Workstation, bundle: Path, tmp_path: Path
) -> None:
    """QEMU's reads fail with EIO, as those of a device that is gone; the file comes back elsewhere.

    The failing device is QEMU's own (`blkdebug`), put below the chain by the same command that
    puts the file there again; tests/test_unplug.py does it with a device of the kernel.
    """
    await laptop.inplace.open(bundle)
    await laptop.start("one")
    await pull(laptop, "one")
    away = tmp_path / "other" / "one.vmbundle"
    away.parent.mkdir()
    bundle.rename(away)
    async with Shell.on(laptop, "one") as shell:
        shell.type("md5sum </data/big >/dev/null && echo read'' it")
        await eventually(lambda: laptop.view("one").state is State.PAUSED)
        assert "one.vmbundle is gone" in laptop.view("one").reason
        with pytest.raises(NotFoundError, match="is not there"):
            await laptop.resume("one")
        laptop.inplace.find_again("one", away)
        await laptop.resume("one")
        assert laptop.view("one").state is State.RUNNING
        assert await shell.run("echo on") == "on"
    assert await whole(laptop, "one")
    assert await recall(laptop, "one") == ("second", "second")


async def pull(laptop: Workstation, name: str) -> None:
    """From now on, whatever QEMU reads in the bundle fails."""
    session = monitor(laptop, name)
    for number, (node, extent) in enumerate((await graph.parts(session)).items()):
        hole, host = f"gone{number}", f"gone{number}.host"
        file = {"driver": "file", "node-name": host, "filename": str(extent.path)}
        rule = {"event": "none", "iotype": "read", "errno": 5, "once": False}
        await session.execute("blockdev-add", **file, **{"read-only": True})
        bad = {"driver": "blkdebug", "node-name": hole, "image": host, "inject-error": [rule]}
        await session.execute("blockdev-add", **bad)
        part = {"driver": "raw", "node-name": f"{node}.file", "read-only": True, "file": hole}
        place = {"offset": extent.offset, "size": extent.length()}
        await session.execute("blockdev-reopen", options=[{**part, **place}])


# -- settle in ------------------------------------------------------------------------


async def test_it_settles_in_while_it_runs_and_needs_the_stick_no_more(
    laptop: Workstation, bundle: Path
) -> None:
    await laptop.inplace.open(bundle)
    await laptop.start("one")
    assert laptop.view("one").reads == str(bundle)
    done = await laptop.inplace.settle("one")
    assert done.layers == 2
    assert done.still == ()
    bundle.unlink()
    assert laptop.view("one").reads == ""
    assert await graph.parts(monitor(laptop, "one")) == {}
    async with Shell.on(laptop, "one") as shell:
        await shell.run("echo 3 >/proc/sys/vm/drop_caches")
    assert await whole(laptop, "one")
    await remember(laptop, "one", "third")
    await laptop.kill("one")
    await laptop.start("one")
    await laptop.wait_ready("one")
    assert (await recall(laptop, "one"))[1] == "third"
    await laptop.layers.revert("one", "before", discard=True)
    assert await recall(laptop, "one") == ("first", "first")
    found = await laptop.layers.check(repair=True)
    assert {one.level for one in found} == {Level.OK}


@pytest.mark.long
async def test_a_machine_that_is_off_settles_in_and_its_clone_too(
    laptop: Workstation, bundle: Path
) -> None:
    await laptop.inplace.open(bundle)
    await laptop.layers.clone("one", "two")
    await laptop.start("two")
    await laptop.inplace.settle("one")
    bundle.unlink()
    assert await graph.parts(monitor(laptop, "two")) == {}
    assert await whole(laptop, "two")
    await laptop.start("one")
    assert await recall(laptop, "one") == ("second", "second")


@pytest.mark.long
async def test_settling_in_that_is_cancelled_goes_on_where_it_was(
    laptop: Workstation, bundle: Path
) -> None:
    await laptop.inplace.open(bundle)
    await laptop.start("one")
    settling = asyncio.ensure_future(laptop.inplace.settle("one"))
    first = heads.read_history(laptop.paths.machine("one")).snapshots["before"]
    disk = laptop.layers.store.directory(first) / "drive0.qcow2"
    await eventually(lambda: disk.exists() or settling.done())
    settling.cancel()
    await asyncio.wait({settling})
    assert await whole(laptop, "one")
    await laptop.inplace.settle("one")
    bundle.unlink()
    assert await whole(laptop, "one")


async def test_a_killed_settling_loses_nothing(
    laptop: Workstation, bundle: Path, other_home: Path
) -> None:
    """The program that settles is killed with the first file in place, the guest's QEMU later."""
    await laptop.inplace.open(bundle)
    await laptop.start("one")
    await remember(laptop, "one", "third")
    program = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _SETTLE, "one",
        env=os.environ | {"HOME": str(other_home), "XDG_RUNTIME_DIR": str(other_home / "run")},
    )  # fmt: skip
    first = heads.read_history(laptop.paths.machine("one")).snapshots["before"]
    disk = laptop.layers.store.directory(first) / "drive0.qcow2"
    await eventually(lambda: disk.exists())
    program.send_signal(signal.SIGKILL)
    await program.wait()
    assert await whole(laptop, "one")
    await laptop.kill("one")
    await laptop.start("one")
    await laptop.wait_ready("one")
    assert (await recall(laptop, "one"))[1] == "third"
    await laptop.inplace.settle("one")
    bundle.unlink()
    await laptop.layers.revert("one", "before", discard=True)
    assert await recall(laptop, "one") == ("first", "first")


_SETTLE = """
import asyncio, sys
from workstation.core.workstation import Workstation
from workstation.paths import Paths
async def main():
    async with Workstation(Paths.from_environment(), watch=False) as station:
        await station.inplace.settle(sys.argv[1])
asyncio.run(main())
"""


# -- what is done with layers, done with layers in a bundle -------------------------------


@pytest.mark.long
async def test_whatever_is_done_with_layers_is_done_with_those_in_a_bundle(
    laptop: Workstation, bundle: Path
) -> None:
    """Without a guest: what the files hold is compared before and after."""
    await laptop.inplace.open(bundle, cold=True)
    before = await content(laptop, "one")
    await laptop.layers.clone("one", "full", at="before", full=True)
    assert laptop.view("full").reads == ""
    assert laptop.layers.names_of("full").head.layer is None
    await laptop.layers.compact("one")
    assert await content(laptop, "one") == before
    await laptop.layers.snapshot("one", "here")
    await laptop.layers.squash("one", "before")
    assert await content(laptop, "one") == before
    layers = laptop.layers.history("one")
    assert sum(layer.own for layer in layers) > 2**20
    assert {one.level for one in await laptop.layers.check(repair=True)} <= {Level.OK, Level.NOTE}
    assert laptop.layers.collect() == 0


async def content(laptop: Workstation, name: str) -> str:
    """SHA-256 of what a guest would see on the machine's disk."""
    machine = laptop.paths.machine(name)
    head = heads.read_history(machine).head
    files = heads.chain_of(machine, laptop.layers.store, head, "drive0")
    target = laptop.paths.data / "seen.raw"
    source: dict[str, object] | None = None
    for file in reversed(files):
        source = image_node(file) | ({"backing": source} if file.format == "qcow2" else {})
    facts = await laptop.host_facts()
    await image._run(
        facts.qemu_img, "convert", "-q", "-O", "raw", f"json:{as_json(source or {})}", str(target)
    )
    found = hashlib.sha256(target.read_bytes()).hexdigest()
    target.unlink()
    return found
