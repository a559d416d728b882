"""What is cut off, or done by two at once: nothing is lost, and nobody has to help."""

import asyncio
import json
import os
import subprocess
import sys

import pytest

from tests.conftest import chain, eventually, overlay, tiny
from workstation.core.layers import freeze, heads, mend, mending, moves
from workstation.core.layers.store import Store
from workstation.core.machine import lock
from workstation.core.machine.create import write_definition
from workstation.core.machine.machine import Machine
from workstation.core.workstation import Workstation
from workstation.errors import BusyError, InvalidError, NotFoundError, WorkstationError
from workstation.model.machine import State
from workstation.model.profile import Cache, Profile
from workstation.paths import Paths
from workstation.qemu import qcow2
from workstation.qemu.blockdev import DiskFile, overlay_node
from workstation.qemu.memory import save_memory

pytestmark = pytest.mark.qemu


def with_disk(**changes: object) -> Profile:
    return tiny(drives=[{"size": "16 MiB"}], **changes)


async def cut_off_in_a_save(paths: Paths, *, saved: bool) -> None:
    """A front-end saves a guest's memory, and is gone before it lets the guest go on."""
    async with Workstation(paths, watch=False) as station:
        machine = station.machine("one")
        await machine.settled()
        assert machine.monitor
        history = heads.read_history(machine.paths)
        memory = machine.paths.head(history.head.id) / heads.MEMORY
        with memory.open("wb") as file:
            await save_memory(machine.monitor, file.fileno(), lambda done, total: None)
        pending = mend.Pending(running=True)
        machine.paths.pending.write_text(json.dumps(pending._asdict()))
        if saved:
            kept = freeze.provenance(machine)
            head = history.head.model_copy(update={"resume": "head", "memory": kept})
            heads.write_history(machine.paths, history.model_copy(update={"head": head}))


async def test_a_guest_that_was_left_standing_goes_on_by_itself(paths: Paths) -> None:
    async with Workstation(paths) as station:
        await station.create("one", with_disk())
        await station.start("one")
    await cut_off_in_a_save(paths, saved=False)
    async with Workstation(paths) as station:
        await station.settled("one")
        assert station.view("one").state is State.PAUSED
        await eventually(lambda: station.view("one").state is State.RUNNING)
        # Whether or not it is still being mended: this front-end does not refuse itself.
        await station.layers.suspend("one")


async def test_a_verb_waits_for_what_its_own_front_end_mends(
    paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = asyncio.Event()

    async def slowly(machine: Machine, store: Store) -> None:
        await gate.wait()
        await mend.mend(machine, store)

    monkeypatch.setattr(mending, "mend", slowly)
    monkeypatch.setattr(mending, "GRACE_SECONDS", 0.0)
    async with Workstation(paths) as station:
        await station.create("one", with_disk())
        machine = station.machine("one")
        machine.paths.pending.write_text(json.dumps(mend.Pending()._asdict()))
        await eventually(lambda: bool(lock.holding(machine.paths)))
        verb = asyncio.create_task(station.layers.snapshot("one", "a"))
        await asyncio.sleep(0)
        assert lock.holding(machine.paths)
        gate.set()
        await verb


async def test_a_suspend_that_was_cut_off_at_its_end_is_completed(paths: Paths) -> None:
    async with Workstation(paths) as station:
        await station.create("one", with_disk())
        await station.start("one")
    await cut_off_in_a_save(paths, saved=True)
    async with Workstation(paths) as station:
        await eventually(lambda: station.view("one").state is State.FROZEN)
        await station.start("one")
        assert station.view("one").state is State.RUNNING


async def test_a_front_end_that_stays_mends_after_one_that_was_killed(paths: Paths) -> None:
    async with Workstation(paths) as station:
        await station.create("one", with_disk())
        await station.start("one")
        await cut_off_in_a_save(paths, saved=False)
        await eventually(lambda: not station.paths.machine("one").pending.exists())
        await eventually(lambda: station.view("one").state is State.RUNNING)


async def test_an_overlay_that_was_only_added_is_not_taken_for_the_head(
    station: Workstation,
) -> None:
    """Cut off between the two steps of a switch: the guest writes to its old head."""
    await station.create("one", with_disk())
    await station.start("one")
    machine = station.machine("one")
    await machine.settled()
    assert machine.monitor
    old = heads.read_history(machine.paths).head.id
    new = await heads.make_head(machine.paths, {"drive0": 16 << 20})
    node = overlay_node(
        f"drive0.{new}",
        DiskFile(machine.paths.overlay(new, "drive0")),
        cache=Cache.WRITEBACK, discard=True, writable=True, backing=None,
    )  # fmt: skip
    await machine.monitor.execute("blockdev-add", **node)
    pending = mend.Pending(head=new, layer=heads.new_id(), tag="a", running=True)
    machine.paths.pending.write_text(json.dumps(pending._asdict()))
    await station.layers.snapshot("one", "b")
    names = station.layers.names_of("one")
    assert list(names.snapshots) == ["b"]
    assert names.head.id not in (old, new)
    nodes = [
        block["inserted"]["node-name"] for block in await machine.monitor.execute("query-block")
    ]
    assert nodes == [f"drive0.{names.head.id}"]
    assert not machine.paths.head(new).exists()


async def test_two_front_ends_go_back_at_once(paths: Paths) -> None:
    async with Workstation(paths) as one, Workstation(paths) as two:
        await one.create("one", with_disk())
        await one.layers.snapshot("one", "a")
        await one.layers.snapshot("one", "b")
        await eventually(lambda: "one" in two.machines)
        results = await asyncio.gather(
            one.layers.revert("one", "a"), two.layers.revert("one", "b"), return_exceptions=True
        )
        refused = [result for result in results if result is not None]
        assert len(refused) <= 1
        assert all(isinstance(result, WorkstationError) for result in refused)
        names = one.layers.names_of("one")
        assert names.head.layer in names.snapshots.values()
        assert os.listdir(paths.machine("one").heads) == [names.head.id]
        if BusyError not in map(type, refused):
            return
        await one.layers.revert("one", "b", discard=True)


async def test_nothing_is_collected_while_something_cannot_be_read(station: Workstation) -> None:
    store = station.layers.store
    for name in ("one", "two"):
        await station.create(name, with_disk())
        await station.layers.snapshot(name, "a")
    await station.layers.snapshot("two", "b")
    rubbish = station.layers.names_of("two").snapshots["b"]
    history = station.paths.machine("one").history
    whole = history.read_bytes()
    history.write_bytes(b"{")
    before = store.ids()
    with pytest.raises(InvalidError):
        station.layers.collect()
    assert store.ids() == before
    history.write_bytes(whole)
    manifest = store.directory(station.layers.names_of("two").snapshots["b"]) / "layer.json"
    manifest.chmod(0o600)
    whole = manifest.read_bytes()
    manifest.write_bytes(b"{")
    store.forget()
    with pytest.raises(NotFoundError):
        station.layers.collect()
    assert store.ids() == before
    manifest.write_bytes(whole)
    await station.layers.revert("two", "a")
    await station.layers.forget("two", "b")
    assert rubbish not in store.ids()


async def test_a_clone_of_what_was_just_deleted_is_refused(paths: Paths) -> None:
    async with Workstation(paths) as one, Workstation(paths) as two:
        await one.create("one", with_disk())
        await one.layers.snapshot("one", "a")
        await one.layers.snapshot("one", "b")
        await one.layers.revert("one", "a")
        await one.kill("one")
        layer = two.layers.store.read(two.layers.names_of("one").snapshots["b"])
        await one.layers.forget("one", "b")
        facts = await two.host_facts()
        with pytest.raises(NotFoundError):
            await moves.clone(paths, two.layers.store, facts, layer, "two", tag="b")
        assert "two" not in os.listdir(paths.machines)


async def test_a_head_that_was_squashed_while_it_ran_can_be_frozen(station: Workstation) -> None:
    await station.create("one", with_disk())
    for tag in ("a", "b", "c"):
        await station.layers.snapshot("one", tag)
    await station.start("one")
    await station.layers.squash("one", "c")
    await station.layers.snapshot("one", "d")
    await station.layers.revert("one", "d")
    assert station.view("one").state is State.RUNNING
    assert len(chain(station.paths, "one")) == 4


async def test_suspended_machines_may_be_compacted_and_squashed(station: Workstation) -> None:
    await station.create("one", with_disk())
    await station.layers.snapshot("one", "a")
    await station.start("one")
    await station.layers.snapshot("one", "b")
    await station.layers.suspend("one")
    await station.layers.squash("one", "a")
    await station.layers.squash("one", "b")
    await station.layers.compact("one")
    await station.start("one")
    assert not any("changed" in line.text for line in station.log)
    await station.layers.suspend("one")
    await station.layers.snapshot("one", "c")
    await station.layers.compact("one")
    await station.start("one")
    assert not any("changed" in line.text for line in station.log)


async def test_a_helper_does_not_outlive_a_killed_front_end(
    paths: Paths, environ: dict[str, str]
) -> None:
    """Its lock on a disk would keep the machine from starting."""
    script = """
import asyncio, os
from pathlib import Path
from workstation.paths import Paths
from workstation.qemu.host import probe
from workstation.qemu.workbench import workbench
async def main():
    async with workbench(await probe(Paths.from_environment(), os.environ)) as session:
        children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
        print(*children, flush=True)
        await asyncio.sleep(600)
asyncio.run(main())
"""
    front_end = await asyncio.create_subprocess_exec(
        sys.executable, "-c", script, env=environ, stdout=subprocess.PIPE
    )
    assert front_end.stdout
    shells = (await front_end.stdout.readline()).split()
    assert shells
    front_end.kill()
    await front_end.wait()
    await eventually(lambda: not any(os.path.exists(f"/proc/{int(pid)}") for pid in shells))


# -- what else belongs to a moment -------------------------------------------------------


async def test_uefi_variables_go_back_with_the_disks(station: Workstation) -> None:
    profile = tiny(boot={"firmware": "uefi"}, memory="128 MiB", drives=[{"size": "1 MiB"}])
    await station.create("one", profile)
    await station.start("one")
    nvram = overlay(station.paths.machine("one"), "nvram")
    await eventually(lambda: not qcow2.is_blank(nvram), 60)
    layer = await station.layers.snapshot("one", "a")
    assert set(layer.drives) == {"drive0", "nvram"}
    await station.layers.revert("one", "a", discard=True)
    assert station.view("one").state is State.RUNNING
    files = [file.path for file in chain(station.paths, "one", "nvram")]
    assert files[1] == station.layers.store.directory(layer.id) / "nvram.qcow2"
    await station.kill("one")
    await station.start("one", cold=True)
    assert station.view("one").state is State.RUNNING


async def test_a_tpms_state_goes_back_with_the_disks(station: Workstation) -> None:
    await station.create("one", with_disk(devices={"tpm": True}, memory="64 MiB"))
    await station.start("one")
    machine = station.paths.machine("one")
    await eventually(lambda: any(machine.tpm_state.glob("tpm2-*")))
    await station.layers.snapshot("one", "a")
    await station.kill("one")
    (machine.tpm_state / "later").write_text("x")
    await station.layers.revert("one", "a", discard=True)
    assert station.view("one").state is State.RUNNING
    assert not (machine.tpm_state / "later").exists()
    assert any(machine.tpm_state.glob("tpm2-*"))
    assert all(file.stat().st_mode & 0o200 for file in machine.tpm_state.iterdir())


async def test_a_revert_cut_off_after_its_switch_still_brings_profile_and_tpm(
    station: Workstation, monkeypatch: pytest.MonkeyPatch
) -> None:
    await station.create("one", with_disk())
    await station.layers.snapshot("one", "a")
    machine = station.machine("one")
    assert machine.definition
    changed = machine.definition.model_copy(update={"profile": with_disk(memory="64 MiB")})
    write_definition(machine.paths, changed, "one")
    machine.look()

    class Killed(BaseException):
        pass

    def killed(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(moves, "restore", killed)
        patch.setattr(mend, "restore", killed)
        with pytest.raises(Killed):
            await station.layers.revert("one", "a")
    await station.start("one")
    assert machine.definition.profile.memory == 32 << 20
