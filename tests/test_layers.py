"""Freeze, go back, branch: with a real guest that says itself what it remembers."""

import asyncio
import contextlib
import os
import signal

import pytest

from tests.conftest import Shell, eventually, tiny
from tests.test_guest import awake, small
from workstation.core.layers import heads, resume
from workstation.core.workstation import Workstation
from workstation.errors import HostError, NotFoundError, UsageError
from workstation.model.host import Level
from workstation.model.machine import State
from workstation.model.profile import Accelerator, Profile

pytestmark = [pytest.mark.qemu, pytest.mark.usefixtures("with_appliance")]


def with_disk(**changes: object) -> Profile:
    return small(drives=[{"size": "256 MiB"}], **changes)


async def remember(station: Workstation, name: str, word: str) -> None:
    """The guest keeps a word in its memory and another on its disk."""
    async with Shell.on(station, name) as shell:
        await shell.run(f"WORD={word}; echo {word} >/data/word; sync")


async def recall(station: Workstation, name: str) -> tuple[str, str]:
    """What the guest has in its memory, and on its disk."""
    async with Shell.on(station, name) as shell:
        await shell.run("true")
        return await shell.run("echo $WORD"), await shell.run("cat /data/word")


async def test_a_running_guest_is_frozen_goes_on_and_comes_back(station: Workstation) -> None:
    await awake(station, "one", with_disk())
    await remember(station, "one", "first")
    pid = station.view("one").pid
    layer = await station.layers.snapshot("one", "a", note="where it began")
    assert station.view("one").state is State.RUNNING
    assert station.view("one").pid == pid
    await remember(station, "one", "second")
    await station.layers.revert("one", "a", discard=True)
    assert station.view("one").state is State.RUNNING
    assert await recall(station, "one") == ("first", "first")
    entry = next(one for one in station.layers.history("one") if one.layer == layer.id)
    assert (entry.tags, entry.note, entry.memory, entry.head) == (
        ("a",), "where it began", True, True,
    )  # fmt: skip


async def test_disks_only_boots_cold_with_what_was_synced(station: Workstation) -> None:
    await awake(station, "one", with_disk())
    await remember(station, "one", "first")
    await station.layers.snapshot("one", "a", memory=False)
    await remember(station, "one", "second")
    await station.layers.revert("one", "a", discard=True)
    await station.wait_ready("one")
    assert await recall(station, "one") == ("", "first")


async def test_a_machine_that_is_off_is_frozen_at_once(station: Workstation) -> None:
    await awake(station, "one", with_disk())
    await remember(station, "one", "first")
    await station.stop("one")
    await station.layers.snapshot("one", "a")
    assert station.view("one").state is State.OFF
    await station.start("one")
    await station.wait_ready("one")
    await remember(station, "one", "second")
    await station.layers.revert("one", "a", discard=True)
    await station.wait_ready("one")
    assert await recall(station, "one") == ("", "first")


async def test_suspend_ends_the_process_and_start_goes_on(station: Workstation) -> None:
    await awake(station, "one", with_disk())
    await remember(station, "one", "first")
    for _ in range(2):
        await station.layers.suspend("one")
        assert station.view("one").state is State.FROZEN
        assert station.view("one").pid is None
        await station.start("one")
        assert station.view("one").state is State.RUNNING
        assert await recall(station, "one") == ("first", "first")


async def test_after_a_resume_the_memory_is_never_used_again(station: Workstation) -> None:
    """Old memory on newer disks would destroy the file system."""
    await awake(station, "one", with_disk())
    await station.layers.suspend("one")
    await station.start("one")
    await remember(station, "one", "later")
    os.kill(station.view("one").pid or 0, signal.SIGKILL)
    await eventually(lambda: station.view("one").state is State.CRASHED)
    await station.start("one")
    await station.wait_ready("one")
    assert await recall(station, "one") == ("", "later")


async def test_a_frozen_machine_may_boot_cold_instead(station: Workstation) -> None:
    await awake(station, "one", with_disk())
    await remember(station, "one", "first")
    await station.layers.suspend("one")
    await station.start("one", cold=True)
    await station.wait_ready("one")
    assert await recall(station, "one") == ("", "first")


async def test_a_frozen_machine_keeps_its_moment_in_a_snapshot(station: Workstation) -> None:
    await awake(station, "one", with_disk())
    await remember(station, "one", "first")
    await station.layers.suspend("one")
    await station.layers.snapshot("one", "a")
    assert station.view("one").state is State.FROZEN
    await station.start("one")
    await remember(station, "one", "second")
    await station.layers.revert("one", "a", discard=True)
    assert await recall(station, "one") == ("first", "first")


async def test_golden_brings_the_demo_back_from_a_crash(station: Workstation) -> None:
    await awake(station, "one", with_disk())
    await remember(station, "one", "first")
    tag = await station.layers.set_golden("one")
    await remember(station, "one", "second")
    os.kill(station.view("one").pid or 0, signal.SIGKILL)
    await eventually(lambda: station.view("one").state is State.CRASHED)
    await station.layers.reset_demo("one")
    assert await recall(station, "one") == ("first", "first")
    assert station.layers.names_of("one").golden == tag


async def test_a_clone_goes_its_own_way_with_its_network_off(station: Workstation) -> None:
    await awake(station, "one", with_disk(networks=[{}]))
    await remember(station, "one", "first")
    await station.layers.clone("one", "two")
    assert station.view("one").state is State.RUNNING
    assert station.view("two").state is State.FROZEN
    await station.start("two")
    await remember(station, "two", "second")
    assert await recall(station, "one") == ("first", "first")
    assert await recall(station, "two") == ("second", "second")
    async with Shell.on(station, "two") as shell:
        await eventually_prints(shell, "cat /sys/class/net/eth0/operstate", "down")
        await station.network("two", up=True)
        await eventually_prints(shell, "cat /sys/class/net/eth0/operstate", "up")
    one, two = station.view("one"), station.view("two")
    assert one.uuid != two.uuid
    assert one.profile and two.profile
    assert one.profile.networks[0].mac != two.profile.networks[0].mac
    assert any("network is off" in line.text for line in station.log)


async def eventually_prints(shell: Shell, command: str, answer: str) -> None:
    async with asyncio.timeout(20):
        while await shell.run(command) != answer:
            pass


async def test_work_is_not_thrown_away_without_a_word(station: Workstation) -> None:
    await awake(station, "one", with_disk())
    await station.layers.snapshot("one", "a")
    async with Shell.on(station, "one") as shell:
        await shell.run("dd if=/dev/urandom of=/data/big bs=1M count=8; sync")
    with pytest.raises(UsageError, match="MiB written since") as refused:
        await station.layers.revert("one", "a")
    assert "--discard" in refused.value.hint
    assert station.view("one").state is State.RUNNING


async def test_names_are_checked(station: Workstation) -> None:
    await station.create("one", tiny(drives=[{"size": "16 MiB"}]))
    await station.layers.snapshot("one", "first")
    with pytest.raises(UsageError, match="already"):
        await station.layers.snapshot("one", "first")
    with pytest.raises(UsageError, match="cannot be a snapshot's name"):
        await station.layers.snapshot("one", "../x")
    with pytest.raises(NotFoundError, match="no snapshot") as missing:
        await station.layers.revert("one", "frist")
    assert "first" in missing.value.hint
    station.layers.rename("one", "first", "second")
    assert list(station.layers.names_of("one").snapshots) == ["second"]


async def test_deleting_a_snapshot_touches_nothing_that_others_stand_on(
    station: Workstation,
) -> None:
    layers = station.layers
    await station.create("one", tiny(drives=[{"size": "16 MiB"}]))
    first = await layers.snapshot("one", "first")
    second = await layers.snapshot("one", "second")
    await layers.clone("one", "two", at="first")
    await layers.forget("one", "first")
    assert set(layers.store.ids()) == {first.id, second.id}
    await layers.revert("one", "second")
    await station.kill("one")
    await station.delete("one")
    layers.collect()
    assert layers.store.ids() == [first.id]
    await station.delete("two")
    layers.collect()
    assert layers.store.ids() == []


async def test_frozen_files_are_read_only(station: Workstation) -> None:
    await station.create("one", tiny(drives=[{"size": "16 MiB"}]))
    layer = await station.layers.snapshot("one", "first")
    for file in station.layers.store.directory(layer.id).iterdir():
        assert file.stat().st_mode & 0o222 == 0, file


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"accelerator": "kvm"}, "it ran under kvm"),
        ({"machine_type": "pc-q35-99.0"}, "no machine type pc-q35-99.0"),
        ({"cpu_model": "Cooperlake-v9"}, "no CPU model Cooperlake-v9"),
        ({"qemu_version": (99, 0, 0)}, "frozen by QEMU 99.0.0"),
    ],
)
async def test_a_resume_that_cannot_be_is_refused_before_qemu_starts(
    station: Workstation, change: dict[str, object], reason: str
) -> None:
    await station.create("one", tiny())
    await station.start("one")
    await station.layers.suspend("one")
    paths = station.paths.machine("one")
    history = heads.read_history(paths)
    assert history.head.memory
    memory = history.head.memory.model_copy(update=change)
    head = history.head.model_copy(update={"memory": memory})
    heads.write_history(paths, history.model_copy(update={"head": head}))
    with pytest.raises(HostError, match=reason) as refused:
        await station.start("one")
    assert "--cold" in refused.value.hint
    assert station.view("one").state is State.FROZEN
    await station.start("one", cold=True)
    assert station.view("one").state is State.RUNNING


async def test_the_same_host_takes_its_own_memory(station: Workstation) -> None:
    await station.create("one", tiny())
    await station.start("one")
    await station.layers.suspend("one")
    memory = heads.read_history(station.paths.machine("one")).head.memory
    assert memory
    resume.check_resume("one", memory, await station.host_facts(), Accelerator.TCG)


async def test_a_cancelled_snapshot_leaves_the_guest_running_and_no_trace(
    station: Workstation,
) -> None:
    await awake(station, "one", with_disk(memory="256 MiB"))
    await remember(station, "one", "first")
    before = heads.read_history(station.paths.machine("one"))
    work = asyncio.create_task(station.layers.snapshot("one", "a"))
    await eventually(lambda: station.paths.machine("one").pending.exists() or work.done())
    work.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await work
    await station.machine("one").settled()
    if work.cancelled():
        left = heads.read_history(station.paths.machine("one"))
        assert left == before or "a" in left.snapshots
    assert await recall(station, "one") == ("first", "first")
    assert not station.paths.machine("one").pending.exists()
    assert not list(station.paths.making.iterdir())


async def chain_of_three(station: Workstation) -> None:
    """Snapshots a, b and c; the guest has changed its word after each."""
    await awake(station, "one", with_disk())
    for tag in ("a", "b", "c"):
        await remember(station, "one", f"word-{tag}")
        async with Shell.on(station, "one") as shell:
            await shell.run(f"echo only-{tag} >/data/only-{tag}; sync")
        await station.layers.snapshot("one", tag)
    await remember(station, "one", "last")


async def files_of(station: Workstation, name: str) -> str:
    async with Shell.on(station, name) as shell:
        return await shell.run("cat /data/only-* | sort | tr '\\n' ' '")


async def test_squashing_keeps_every_moment_above_right(station: Workstation) -> None:
    """Offline and with the guest running, into a layer and into the head."""
    await chain_of_three(station)
    await station.layers.squash("one", "a")  # below b: b and c are made anew, the guest runs
    assert list(station.layers.names_of("one").snapshots) == ["b", "c"]
    assert await recall(station, "one") == ("last", "last")
    await station.layers.squash("one", "c")  # below the head of a running guest
    assert await recall(station, "one") == ("last", "last")
    assert await files_of(station, "one") == "only-a only-b only-c "
    await station.stop("one")
    assert len(station.layers.store.ids()) == 1
    await station.start("one")
    await station.wait_ready("one")
    assert (await recall(station, "one"))[1] == "last"
    assert await files_of(station, "one") == "only-a only-b only-c "
    await station.layers.revert("one", "b", discard=True)
    assert await recall(station, "one") == ("word-b", "word-b")
    assert await files_of(station, "one") == "only-a only-b "
    await station.stop("one")
    await station.layers.squash("one", "b")  # below the head of a machine that is off
    assert station.layers.store.ids() == []
    await station.start("one")
    await station.wait_ready("one")
    assert (await recall(station, "one"))[1] == "word-b"
    assert await files_of(station, "one") == "only-a only-b "


async def test_a_group_is_frozen_and_brought_back_together(station: Workstation) -> None:
    for name in ("one", "two"):
        await awake(station, name, with_disk(tags=["lab"]))
        await remember(station, name, f"first-{name}")
    await station.create("off", tiny(tags=["lab"], drives=[{"size": "16 MiB"}]))
    await station.create("other", tiny())
    apart = await station.layers.snapshot_group("lab", "together")
    assert 0 <= apart < 60
    for name in ("one", "two"):
        assert station.view(name).state is State.RUNNING
        await remember(station, name, "second")
    await station.layers.revert_group("lab", "together", discard=True)
    for name in ("one", "two"):
        assert await recall(station, name) == (f"first-{name}", f"first-{name}")
    assert "together" in station.layers.names_of("off").snapshots
    assert not station.layers.names_of("other").snapshots
    with pytest.raises(NotFoundError):
        await station.layers.snapshot_group("nobody", "x")


async def test_compacting_gives_back_what_is_zero(station: Workstation) -> None:
    await awake(station, "one", with_disk())
    await remember(station, "one", "first")
    await station.layers.snapshot("one", "a")
    async with Shell.on(station, "one") as shell:
        await shell.run("dd if=/dev/urandom of=/data/big bs=1M count=40; sync")
        await shell.run("dd if=/dev/zero of=/data/big bs=1M count=40 conv=notrunc; sync")
    await station.stop("one")
    freed = await station.layers.compact("one")
    assert freed > 30 << 20
    await station.start("one")
    await station.wait_ready("one")
    assert (await recall(station, "one"))[1] == "first"
    async with Shell.on(station, "one") as shell:
        assert await shell.run("tr -d '\\0' </data/big | wc -c") == "0"
        assert await shell.run("ls -l /data/big | tr -s ' ' | cut -d' ' -f5") == str(40 << 20)


async def test_deleting_files_in_the_guest_shrinks_the_head(station: Workstation) -> None:
    await awake(station, "one", with_disk())
    async with Shell.on(station, "one") as shell:
        await shell.run("dd if=/dev/urandom of=/data/big bs=1M count=40; sync")
        full = station.layers.written("one")
        await shell.run("rm /data/big; sync; fstrim /data; sync")
    await eventually(lambda: station.layers.written("one") < full - (30 << 20))


async def test_the_store_check_finds_what_is_broken_and_mends_what_it_can(
    station: Workstation,
) -> None:
    layers = station.layers
    await station.create("one", tiny(drives=[{"size": "16 MiB"}]))
    good = await layers.snapshot("one", "good")
    bad = await layers.snapshot("one", "bad")
    assert not [one for one in await layers.check(repair=True) if one.level is Level.PROBLEM]
    assert {one.level for one in await layers.check()} == {Level.OK}
    file = layers.store.directory(bad.id) / "drive0.qcow2"
    file.chmod(0o600)
    with file.open("r+b") as opened:
        opened.seek(-1, os.SEEK_END)
        opened.write(b"x")
    found = {one.subject: one for one in await layers.check() if one.level is not Level.OK}
    assert set(found) == {f"layer {bad.id}"}
    texts = [one.text for one in await layers.check() if one.subject == f"layer {bad.id}"]
    assert any("not as it was frozen" in text for text in texts)
    assert any("can be written" in text for text in texts)
    await layers.check(repair=True)
    assert file.stat().st_mode & 0o222 == 0
    (layers.store.directory(good.id) / "layer.json").unlink()
    station.layers.store.forget()
    lost = [one for one in await layers.check() if one.subject == "machine one"]
    assert any("not there" in one.text for one in lost)
