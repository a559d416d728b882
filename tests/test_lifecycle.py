"""A machine's life, with real QEMU: made, started, paused, ended, found again."""

import asyncio
import os
import signal

import pytest

from tests.conftest import eventually, overlay, tiny
from workstation.core.machine import run
from workstation.core.machine.lock import MachineLock
from workstation.core.workstation import Workstation
from workstation.errors import (
    BusyError,
    InvalidError,
    LaunchError,
    NotAllowedError,
    NotFoundError,
    OvercommitError,
    UsageError,
)
from workstation.model.events import Event, Logged
from workstation.model.machine import State
from workstation.paths import Paths

pytestmark = pytest.mark.qemu


async def reached(station: Workstation, name: str, state: State) -> None:
    async with asyncio.timeout(20):
        await station.machine(name).until(lambda view: view.state is state)


async def test_a_machine_is_made_started_paused_and_ended(station: Workstation) -> None:
    made = await station.create("one", tiny(drives=[{"size": "1 GiB"}]))
    assert made.state is State.CREATED
    await station.start("one")
    view = station.view("one")
    assert view.state is State.RUNNING
    assert view.accelerator == "tcg"
    assert view.pid
    await station.pause("one")
    assert station.view("one").state is State.PAUSED
    await station.resume("one")
    assert station.view("one").state is State.RUNNING
    await station.kill("one")
    assert station.view("one").state is State.OFF
    assert run.read(station.paths.machine("one")) is not None
    await station.delete("one")
    assert "one" not in station.machines
    assert not station.paths.machine("one").data.exists()


async def test_what_a_guest_can_see_is_pinned(station: Workstation) -> None:
    profile = tiny(machine={"type": "q35"}, networks=[{}])
    view = await station.create("one", profile)
    assert view.profile
    assert view.profile.machine.type.startswith("pc-q35-")
    assert view.profile.cpu.model == "Nehalem-v1"
    assert view.profile.networks[0].mac
    other = await station.create("two", profile)
    assert other.profile
    assert other.profile.networks[0].mac != view.profile.networks[0].mac
    assert other.uuid != view.uuid


async def test_a_killed_qemu_is_a_crash_with_its_reason_and_starts_again(
    station: Workstation,
) -> None:
    await station.create("one", tiny())
    await station.start("one")
    os.kill(station.view("one").pid or 0, signal.SIGKILL)
    await reached(station, "one", State.CRASHED)
    assert "SIGKILL" in station.view("one").reason
    await station.start("one")
    assert station.view("one").state is State.RUNNING


async def test_a_crash_is_known_to_a_front_end_that_was_not_there(paths: Paths) -> None:
    async with Workstation(paths) as first:
        await first.create("one", tiny())
        await first.start("one")
        pid = first.view("one").pid or 0
    os.kill(pid, signal.SIGKILL)
    async with Workstation(paths) as second:
        await reached(second, "one", State.CRASHED)
        assert "SIGKILL" in second.view("one").reason


async def test_a_second_front_end_adopts_and_sees_every_change(paths: Paths) -> None:
    async with Workstation(paths) as first, Workstation(paths) as second:
        await first.create("one", tiny())
        await eventually(lambda: "one" in second.machines)
        await first.start("one")
        await reached(second, "one", State.RUNNING)
        assert second.view("one").pid == first.view("one").pid
        await second.pause("one")
        await reached(first, "one", State.PAUSED)
        await first.kill("one")
        await reached(second, "one", State.OFF)
        await second.delete("one")
        await eventually(lambda: "one" not in first.machines)


async def test_verbs_that_the_state_forbids_say_what_is_possible(station: Workstation) -> None:
    await station.create("one", tiny())
    with pytest.raises(NotAllowedError, match="cannot stop") as stopping:
        await station.stop("one")
    assert "start" in stopping.value.hint
    with pytest.raises(NotAllowedError, match="cannot stop --force"):
        await station.kill("one")
    await station.start("one")
    with pytest.raises(NotAllowedError, match="cannot start"):
        await station.start("one")
    with pytest.raises(NotAllowedError, match="cannot resume"):
        await station.resume("one")
    with pytest.raises(NotAllowedError, match="cannot delete"):
        await station.delete("one")
    assert station.view("one").state is State.RUNNING


async def test_a_locked_machine_says_who_holds_it(station: Workstation) -> None:
    await station.create("one", tiny())
    who = rf"another program.*pid {os.getpid()}.*backup"
    with (
        MachineLock(station.paths.machine("one"), "backup", "another program"),
        pytest.raises(BusyError, match=who),
    ):
        await station.start("one")
    await station.start("one")


async def test_the_lock_is_shown_while_it_is_held_and_not_after(station: Workstation) -> None:
    await station.create("one", tiny())
    machine = station.machine("one")
    with MachineLock(station.paths.machine("one"), "backup", "another program"):
        view = await asyncio.wait_for(machine.until(lambda view: view.holder is not None), 20)
        assert view.holder
        assert view.holder.verb == "backup"
    await asyncio.wait_for(machine.until(lambda view: view.holder is None), 20)


async def test_a_launch_failure_gives_qemus_words_and_the_cause(station: Workstation) -> None:
    await station.create("one", tiny(drives=[{"size": "16 MiB"}]))
    overlay(station.paths.machine("one")).unlink()
    with pytest.raises(LaunchError, match=r"exit code 1.*a file is missing") as failed:
        await station.start("one")
    assert "drive0.qcow2" in failed.value.details
    assert station.view("one").state is State.CRASHED


async def test_names_that_cannot_be_are_refused_before_anything_is_made(
    station: Workstation,
) -> None:
    for name in ("", "UPPER", "a/b", "../up", "-x", "a" * 41, ".new-1", "a\nb"):
        with pytest.raises(UsageError):
            await station.create(name, tiny())
    await station.create("one", tiny())
    with pytest.raises(UsageError, match="already"):
        await station.create("one", tiny())
    with pytest.raises(NotFoundError, match="there is no machine") as missing:
        station.view("oen")
    assert "one" in missing.value.hint
    assert list(station.machines) == ["one"]


async def test_more_memory_than_there_is_must_be_forced(station: Workstation) -> None:
    await station.create("one", tiny(memory="4 TiB"))
    with pytest.raises(OvercommitError, match="TiB"):
        await station.start("one")
    assert station.view("one").state is State.CREATED


async def test_a_taken_host_port_is_replaced_and_told(station: Workstation) -> None:
    async with await asyncio.start_server(lambda r, w: None, "127.0.0.1", 0) as taken:
        port = taken.sockets[0].getsockname()[1]
        await station.create("one", tiny(networks=[{"forwards": [f"{port}:80"]}]))
        await station.start("one")
        got = station.view("one").forwards[0]
        assert got.host > port
        assert any(f"{port} was taken" in line.text for line in station.log)


async def test_a_hand_edit_shows_up_and_a_bad_one_is_that_machines_problem(
    paths: Paths,
) -> None:
    async with Workstation(paths) as station:
        await station.create("one", tiny())
        await station.create("two", tiny())
        machine = station.machine("one")
        file = machine.paths.file
        good = file.read_text()
        file.write_text(good.replace("memory: 32 MiB", "memory: 48 MiB"))
        view = await asyncio.wait_for(
            machine.until(lambda view: bool(view.profile and view.profile.memory == 48 << 20)), 20
        )
        file.write_text(good.replace("memory:", "memroy:"))
        view = await asyncio.wait_for(machine.until(lambda view: bool(view.problem)), 20)
        assert "memroy" in view.problem
        assert "memory" in view.problem
        assert not station.view("two").problem
        with pytest.raises(InvalidError):
            await station.start("one")
        file.write_text(good)
        await asyncio.wait_for(machine.until(lambda view: not view.problem), 20)


async def test_saving_a_bad_definition_changes_nothing(station: Workstation) -> None:
    await station.create("one", tiny())
    before = station.definition_text("one")
    with pytest.raises(InvalidError):
        await station.save_definition("one", before.replace("memory:", "memroy:"))
    assert station.definition_text("one") == before
    await station.save_definition("one", before.replace("32 MiB", "64 MiB"))
    profile = station.view("one").profile
    assert profile
    assert profile.memory == 64 << 20


async def test_a_half_made_machine_is_not_listed_and_is_cleared(paths: Paths) -> None:
    left = paths.making / "0123"
    (left / "head").mkdir(parents=True)
    (left / "head" / "drive0.qcow2").write_text("half")
    async with Workstation(paths) as station:
        assert not station.machines
        assert not left.exists()


async def test_a_start_that_was_cut_off_leaves_a_machine_that_starts(paths: Paths) -> None:
    async with Workstation(paths) as station:
        await station.create("one", tiny())
        await station.start("one")
        await station.kill("one")
        machine = station.paths.machine("one")
        # What is there when the front-end dies between the record and the process.
        machine.process.unlink()
        machine.exit.unlink()
        station.machine("one").look()
        assert station.view("one").state is State.OFF
        assert "interrupted" in station.view("one").reason
        await station.start("one")
        assert station.view("one").state is State.RUNNING


async def test_a_power_cut_of_the_host_is_told_as_such(station: Workstation) -> None:
    await station.create("one", tiny())
    await station.start("one")
    await station.kill("one")
    paths = station.paths.machine("one")
    record = run.read(paths)
    assert record
    run.write(paths, record._replace(boot_id="another-boot", ended_by=""))
    paths.exit.unlink()
    station.machine("one").look()
    assert station.view("one").state is State.CRASHED
    assert "computer went down" in station.view("one").reason


async def test_events_tell_of_each_step(station: Workstation) -> None:
    seen: list[Event] = []
    undo = station.subscribe(seen.append)
    await station.create("one", tiny())
    await station.start("one")
    undo()
    told = [event.text for event in seen if isinstance(event, Logged)]
    assert told == ["starting", "running"]


async def test_a_machine_of_another_qemu_boots_as_what_there_is_here(station: Workstation) -> None:
    await station.create("one", tiny(machine={"type": "pc-q35-99.0"}))
    seen: list[Event] = []
    station.subscribe(seen.append)
    await station.start("one")
    definition = station.machine("one").definition
    assert definition
    ours = (await station.host_facts()).machine_types["q35"]
    assert definition.profile.machine.type == ours
    told = [event.text for event in seen if isinstance(event, Logged)]
    assert f"this QEMU has no machine type pc-q35-99.0: it boots as {ours}" in told


async def test_qemu_has_a_session_and_private_files_of_its_own(station: Workstation) -> None:
    await station.create("one", tiny(drives=[{"size": "16 MiB"}]))
    await station.start("one")
    pid = station.view("one").pid or 0
    assert os.getsid(pid) != os.getsid(0)
    machine = station.paths.machine("one")
    assert machine.runtime.stat().st_mode & 0o777 == 0o700
    for path in (overlay(machine), machine.file, machine.serial_log / "0", machine.run):
        assert path.stat().st_mode & 0o077 == 0, path
