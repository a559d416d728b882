"""Changes of a machine: under a running guest at once, else at its next start; and back again."""

import re
import socket
from pathlib import Path

import pytest

from tests.conftest import Shell, eventually, tiny
from tests.test_guest import awake, fetch, free_port, small
from workstation.core.machine.verbs import log_tail
from workstation.core.workstation import Workstation
from workstation.errors import MonitorError, NotAllowedError, NotFoundError, UsageError
from workstation.model.change import Effect, When
from workstation.model.machine import State
from workstation.profile.problems import ProfileError
from workstation.qemu import plugging

pytestmark = [pytest.mark.qemu, pytest.mark.usefixtures("with_appliance")]


def when(effects: list[Effect]) -> dict[str, When]:
    return {effect.key: effect.when for effect in effects}


async def blocks(station: Workstation, name: str, disk: str) -> int:
    """Bytes of a disk as the guest sees it; 0 where there is none."""
    async with Shell.on(station, name) as shell:
        said = await shell.run(f"cat /sys/block/{disk}/size 2>/dev/null || echo 0")
    return int(said) * 512


async def sees(station: Workstation, name: str, disk: str, size: int) -> None:
    async with Shell.on(station, name) as shell:
        there = f'[ "$(cat /sys/block/{disk}/size 2>/dev/null)" = {size // 512} ]'
        await shell.run(f"until {there}; do sleep 0.1; done")


MIB = 2**20


async def test_a_disk_is_added_grown_frozen_and_gone_after_the_revert(
    station: Workstation,
) -> None:
    await awake(station, "one", small(drives=[{"size": "16 MiB"}]))
    await station.layers.snapshot("one", "before")
    effects = await station.changes.set("one", ["drives[1].size=32 MiB"])
    assert when(effects) == {"drives[1]": When.NOW}
    await sees(station, "one", "vdb", 32 * MIB)
    async with Shell.on(station, "one") as shell:
        await shell.run("echo kept >/dev/vdb; sync")
    await station.layers.snapshot("one", "with")
    effects = await station.changes.set("one", ["drives[1].size=48 MiB", "drives[0].size=24 MiB"])
    assert set(when(effects).values()) == {When.NOW}
    await sees(station, "one", "vdb", 48 * MIB)
    await sees(station, "one", "vda", 24 * MIB)

    await station.layers.revert("one", "before", discard=True)
    assert len(station.view("one").profile.drives) == 1  # type: ignore[union-attr]
    assert await blocks(station, "one", "vdb") == 0
    await station.layers.revert("one", "with", discard=True)
    assert station.view("one").state is State.RUNNING
    await sees(station, "one", "vdb", 32 * MIB)
    async with Shell.on(station, "one") as shell:
        assert await shell.run("head -n1 /dev/vdb") == "kept"
    # And without its memory: the same disk, in the same slot.
    await station.kill("one")
    await station.start("one")
    await station.wait_ready("one")
    await sees(station, "one", "vdb", 32 * MIB)


async def test_disks_of_a_machine_that_is_off(station: Workstation) -> None:
    await station.create("one", tiny(drives=[{"size": "16 MiB"}]))
    effects = await station.changes.set(
        "one", ["drives[0].size=24 MiB", "drives[1].size=8 MiB", "drives[1].bus=sata"]
    )
    assert when(effects) == {"drives[0].size": When.NEXT, "drives[1]": When.NEXT}
    await station.start("one")
    assert log_tail(station.machine("one")) == ""
    monitor = station.machine("one").monitor
    assert monitor
    found = {block["inserted"]["node-name"]: block["inserted"]["image"]["virtual-size"]
             for block in await monitor.execute("query-block") if "inserted" in block}  # fmt: skip
    assert found == {"drive0": 24 * MIB, "drive1": 8 * MIB}
    await station.kill("one")
    for setting, words in (
        ("drives[0].size=16 MiB", "cannot become smaller"),
        ("drives[0].image=appliance", "it stays"),
        ("drives[2].image=appliance", "starts blank"),
        ("name=two", "keeps its name"),
    ):
        with pytest.raises(UsageError, match=words):
            await station.changes.set("one", [setting])
    with pytest.raises(ProfileError, match="what is to be set has a problem"):
        await station.changes.set("one", ["memroy=2 GiB"])
    with pytest.raises(NotFoundError, match=r"/none\.iso"):
        await station.changes.set("one", ["cdroms[0].image=/none.iso"])
    # The last disk is taken out; what is on it stays, and is there again with it.
    (effect,) = await station.changes.set("one", ["drives[1]=null"])
    assert effect.when is When.NEXT
    await station.start("one")
    await station.kill("one")
    await station.changes.set("one", ["drives[1].size=8 MiB"])
    await station.start("one")


@pytest.mark.long
async def test_on_a_pc_too(station: Workstation) -> None:
    await awake(station, "one", small(machine={"type": "pc"}))
    await station.changes.set("one", ["drives[0].size=32 MiB"])
    await sees(station, "one", "vda", 32 * MIB)
    await station.layers.suspend("one")
    await station.start("one")
    await sees(station, "one", "vda", 32 * MIB)


async def test_slots_run_out_and_the_rest_waits_for_the_next_start(station: Workstation) -> None:
    await station.create("one", tiny(machine={"slots": 1}))
    await station.start("one")
    effects = await station.changes.set(
        "one", ["drives[0].size=8 MiB", "drives[1].size=8 MiB", "drives[2].size=8 MiB",
                "drives[2].bus=sata"],
    )  # fmt: skip
    assert list(when(effects).values()) == [When.NOW, When.NEXT, When.NEXT]
    assert "slots are taken" in effects[1].note
    assert "a sata disk" in effects[2].note
    # What waits does not keep a running guest from being frozen, and going on.
    await station.layers.snapshot("one", "a")
    await station.layers.suspend("one")
    await station.start("one")
    assert station.view("one").state is State.RUNNING
    await station.kill("one")
    await station.start("one")
    monitor = station.machine("one").monitor
    assert monitor
    assert len([b for b in await monitor.execute("query-block") if "inserted" in b]) == 3


async def test_forwards_open_and_close_while_the_guest_runs(station: Workstation) -> None:
    await awake(station, "one", small(networks=[{}]))
    port = free_port()
    await station.changes.add_forward("one", f"{port}:80")
    assert "<html" in await fetch(port)
    with pytest.raises(UsageError, match="already"):
        await station.changes.add_forward("one", f"{port}:80")
    # A taken port is replaced, said, and closed by either name.
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = other.getsockname()[1]
        await station.changes.add_forward("one", f"{taken}:80")
    got = station.view("one").forwards[1]
    assert got.host != taken
    assert any("was taken" in line.text for line in station.log)
    assert "<html" in await fetch(got.host)
    with pytest.raises(NotFoundError, match="no forward"):
        await station.changes.remove_forward("one", "1:1")
    await station.changes.remove_forward("one", str(got))
    assert [one.host for one in station.view("one").forwards] == [port]
    # Another front-end sees what is in force, and a suspended guest has it again.
    async with Workstation(station.paths, watch=False) as second:
        assert [one.host for one in second.view("one").forwards] == [port]
        await second.settled("one")
        await second.changes.remove_forward("one", f"{port}:80")
    await eventually(lambda: not station.view("one").forwards)
    with pytest.raises(OSError, match=r"refused|reset"):
        socket.create_connection(("127.0.0.1", port), timeout=5).close()


@pytest.mark.long
async def test_a_range_of_ports_all_lead_in(station: Workstation) -> None:
    first = free_port()
    await awake(station, "one", small(networks=[{}]))
    await station.changes.add_forward("one", f"{first}-{first + 2}:80-82")
    base = station.view("one").forwards[0].host
    async with Shell.on(station, "one") as shell:
        await shell.run("httpd -p 82 -h /www; true")
    assert "<html" in await fetch(base)
    assert "<html" in await fetch(base + 2)
    await station.changes.remove_forward("one", f"{first}-{first + 2}:80-82")
    for port in (base, base + 1, base + 2):
        with pytest.raises(OSError, match=r"refused|reset"):
            socket.create_connection(("127.0.0.1", port), timeout=5).close()


async def test_discs_come_and_go(station: Workstation, home: Path) -> None:
    discs = [home / f"{name}.iso" for name in ("one", "two")]
    for disc in discs:
        disc.write_bytes(disc.stem.encode().ljust(4096, b"\0"))
    await station.create("one", tiny(cdroms=[{"image": str(discs[0])}, {}]))
    await station.start("one")
    monitor = station.machine("one").monitor
    assert monitor

    async def inside() -> list[str]:
        assert monitor
        found = [block.get("inserted") for block in await monitor.execute("query-block")]
        return [Path(block["file"]).stem if block else "" for block in found]

    assert await inside() == ["one", ""]
    effects = await station.changes.set("one", [f"cdroms[0].image={discs[1]}"])
    assert when(effects) == {"cdroms[0].image": When.NOW}
    assert await inside() == ["two", ""]
    await station.changes.set("one", [f"cdroms[1].image={discs[0]}", "cdroms[0].image=null"])
    assert await inside() == ["", "one"]
    with pytest.raises(NotFoundError):
        await station.changes.set("one", ["cdroms[0].image=/no/such.iso"])
    await station.layers.suspend("one")
    await station.changes.set("one", ["cdroms[1].image=null"])  # its hardware stays as it is
    await station.start("one")
    monitor = station.machine("one").monitor
    assert monitor
    assert await inside() == ["", ""]


class Drive:
    """QEMU with a guest that opens its CD drive when it was asked so often; never, for None."""

    def __init__(self, opens_after: int | None) -> None:
        self._left = opens_after
        self.told: list[str] = []

    async def execute(self, command: str, **_: object) -> object:
        if command != "query-block":
            self.told.append(command)
            return {}
        if self._left is not None:
            self._left -= 1
        opened = self._left is not None and self._left < 0
        inside = {"node-name": "cdrom0"}
        return [{"qdev": "cdrom0-device", "tray_open": opened, "inserted": inside}]


async def test_a_drive_that_the_guest_has_locked_is_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    drive = Drive(opens_after=3)
    await plugging.change_disc(drive, 0, None)  # type: ignore[arg-type]
    assert drive.told == [
        "blockdev-open-tray", "blockdev-remove-medium", "blockdev-del", "blockdev-close-tray",
    ]  # fmt: skip
    monkeypatch.setattr(plugging, "TRAY_SECONDS", 0.2)
    shut = Drive(opens_after=None)
    with pytest.raises(plugging.TrayLockedError, match="held shut"):
        await plugging.change_disc(shut, 0, None)  # type: ignore[arg-type]
    assert shut.told == ["blockdev-open-tray"]


async def test_a_tray_that_is_pushed_in_meanwhile_is_opened_again() -> None:
    """As a guest does, or its firmware, which resets the drive when it finds it."""

    class PushedIn(Drive):
        async def execute(self, command: str, **arguments: object) -> object:
            answer = await super().execute(command, **arguments)
            first = self.told.count("blockdev-remove-medium") == 1
            if first and command == "blockdev-remove-medium":
                self._left = 1
                raise MonitorError("Tray of the device is not open")
            return answer

    drive = PushedIn(opens_after=0)
    await plugging.change_disc(drive, 0, None)  # type: ignore[arg-type]
    assert drive.told == [
        "blockdev-open-tray", "blockdev-remove-medium", "blockdev-open-tray",
        "blockdev-remove-medium", "blockdev-del", "blockdev-close-tray",
    ]  # fmt: skip


@pytest.mark.long
async def test_cpus_and_memory(station: Workstation) -> None:
    await awake(station, "one", small(cpu={"cores": 1, "most": 3}))
    total = "awk '/MemTotal/ {print $2}' /proc/meminfo"
    async with Shell.on(station, "one") as shell:
        before = int(await shell.run(total))
    effects = await station.changes.set("one", ["cpu.cores=2", "memory=96 MiB"])
    assert when(effects) == {"cpu.cores": When.NOW, "memory": When.BOTH}
    async with Shell.on(station, "one") as shell:
        if await shell.run("cat /sys/devices/system/cpu/possible") == "0":
            pytest.skip("Linux 6.9 and newer take no CPU later where they see no hypervisor (tcg)")
        online = "/sys/devices/system/cpu/cpu1/online"
        await shell.run(f"until [ -e {online} ]; do sleep 0.1; done; echo 1 >{online}")
        assert await shell.run("nproc") == "2"
        await shell.run(f"until [ $({total}) -lt {before - 20000} ]; do sleep 0.1; done", 60)
    # Its memory goes on with the CPU that was added, and with the size that it was started with.
    await station.layers.suspend("one")
    await station.start("one")
    async with Shell.on(station, "one") as shell:
        assert await shell.run("nproc") == "2"
    later = await station.changes.set("one", ["cpu.cores=1", "memory=256 MiB"])
    assert set(when(later).values()) == {When.NEXT}
    await station.kill("one")
    await station.start("one")
    await station.wait_ready("one")
    async with Shell.on(station, "one") as shell:
        assert await shell.run("nproc") == "1"
        assert int(await shell.run(total)) > before


@pytest.mark.timeout(600)
async def test_disks_go_on_after_a_cpu_was_added(station: Workstation) -> None:
    drives = [{"size": "16 MiB"}, {"size": "16 MiB", "bus": "scsi"}]
    await awake(station, "one", small(cpu={"cores": 1, "most": 3}, drives=drives))
    await station.changes.set("one", ["drives[2].size=16 MiB"])
    await station.changes.set("one", ["cpu.cores=2"])
    await station.changes.set("one", ["drives[3].size=16 MiB"])
    await station.layers.snapshot("one", "a")
    await station.layers.revert("one", "a", discard=True)
    assert station.view("one").state is State.RUNNING
    await station.layers.suspend("one")
    await station.start("one")
    async with Shell.on(station, "one") as shell:
        there = "until [ -e /sys/block/vda ] && [ -e /sys/block/vdb ] && [ -e /sys/block/vdc ]"
        await shell.run(f"{there}; do sleep 0.2; done", 240)


@pytest.mark.long
async def test_a_sleeping_guest_keeps_its_hardware(station: Workstation) -> None:
    await awake(station, "one", small(networks=[{}]))
    await station.layers.suspend("one")
    with pytest.raises(NotAllowedError, match="goes on from its memory"):
        await station.changes.set("one", ["memory=256 MiB"])
    port = free_port()
    await station.changes.add_forward("one", f"{port}:80")
    await station.start("one")
    assert "<html" in await fetch(port)


async def test_a_check_says_all_that_and_does_nothing(station: Workstation) -> None:
    await station.create("one", tiny(networks=[{}]))
    await station.start("one")
    text = station.definition_text("one")
    effects = station.changes.check(
        "one", ["notes=hello", "networks[0].forwards=['8080:80']", "boot.menu=true", "memory=1 GiB"]
    )
    assert when(effects) == {
        "notes": When.NOW,
        "networks[0].forwards": When.NOW,
        "boot.menu": When.NEXT,
        "memory": When.NEXT,
    }
    assert station.definition_text("one") == text


async def test_what_qemu_refuses_changes_nothing(
    station: Workstation, monkeypatch: pytest.MonkeyPatch
) -> None:
    await station.create("one", tiny(networks=[{"forwards": [f"{free_port()}:80"]}]))
    await station.start("one")
    text, before = station.definition_text("one"), station.view("one").forwards
    # Somebody takes the port between our look and QEMU's.
    monkeypatch.setattr("workstation.core.machine.forwards.is_free", lambda *_: True)
    with socket.create_server(("127.0.0.1", 0)) as other:
        setting = f"networks[0].forwards=['{other.getsockname()[1]}:80']"
        with pytest.raises(MonitorError, match="Could not set up"):
            await station.changes.set("one", ["notes=kept", setting])
    assert station.view("one").forwards == before
    after = station.definition_text("one")
    assert re.sub(r"(?m)^.*notes:.*\n", "", after) == re.sub(r"(?m)^.*notes:.*\n", "", text)
    await station.changes.set("one", ["networks[0].forwards=[]"])
    assert station.view("one").forwards == ()
