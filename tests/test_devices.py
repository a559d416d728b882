"""Every device, in a QEMU that really starts: nothing is refused, and nothing is warned about."""

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Shell, base, eventually, overlay, tiny
from workstation.core.machine.verbs import log_tail
from workstation.core.workstation import Workstation
from workstation.errors import HostError, LaunchError, UsageError
from workstation.model.machine import State
from workstation.model.profile import Profile
from workstation.paths import Paths

pytestmark = pytest.mark.qemu


async def started(station: Workstation, profile: Profile, name: str = "one") -> None:
    """Make and start it; QEMU has nothing to complain of."""
    await station.create(name, profile)
    await station.start(name)
    assert station.view(name).state is State.RUNNING
    assert log_tail(station.machine(name)) == ""


async def ask(station: Workstation, command: str, **arguments: object) -> Any:
    monitor = station.machine("one").monitor
    assert monitor
    return await monitor.execute(command, **arguments)


async def drives_in(station: Workstation) -> dict[str, dict[str, Any]]:
    """What QEMU says of each drive with a disk or a disc in it, by the name of its node."""
    blocks = [block.get("inserted") for block in await ask(station, "query-block")]
    return {block["node-name"]: block for block in blocks if block}


def disk(bus: str, cache: str = "writeback", **more: object) -> dict[str, object]:
    return {"size": "1 MiB", "bus": bus, "cache": cache, **more}


NICS = [{"model": model} for model in ("virtio", "e1000e", "e1000", "rtl8139")]


async def test_a_q35_with_every_bus_adapter_and_sound(station: Workstation, home: Path) -> None:
    disc = home / "disc.iso"
    disc.write_bytes(b"disc".ljust(2048, b"\0"))
    buses = ("virtio", "scsi", "scsi", "sata", "sata", "nvme", "nvme")
    await started(
        station,
        tiny(
            drives=[disk(bus, cache) for bus, cache in zip(buses, CACHES * 2, strict=False)],
            cdroms=[{"image": str(disc)}, {}],
            networks=NICS,
            boot={"order": ["network", "cdrom", "disk"], "menu": True},
            display={"adapter": "virtio"},
            devices={"sound": "hda"},
            clock="localtime",
        ),
    )
    found = await drives_in(station)
    assert set(found) == {*(f"drive{number}" for number in range(7)), "cdrom0"}
    assert found["cdrom0"]["ro"]
    for number, cache in enumerate((CACHES * 2)[:7]):
        assert found[f"drive{number}"]["cache"] == {
            "writeback": cache != "writethrough",
            "direct": False,
            "no-flush": cache == "unsafe",
        }


CACHES = ("writeback", "writethrough", "unsafe", "writeback")
"""Without `none`: not every file system that tests run on can read past the page cache."""


async def test_a_pc_with_ide_shares_a_wide_screen_and_gdb(station: Workstation, home: Path) -> None:
    (home / "work").mkdir()
    await started(
        station,
        tiny(
            machine={"type": "pc", "gdb": True},
            drives=[disk("ide")] * 4 + [disk(bus) for bus in ("virtio", "scsi", "sata", "nvme")],
            cdroms=[{}],
            networks=NICS,
            shares=[
                {"path": str(home), "tag": "home"},
                {"path": "~/work", "tag": "work", "writable": True},
            ],
            display={"adapter": "std", "width": 7680, "height": 4320},
            devices={"sound": "hda"},
        ),
    )
    assert len(await drives_in(station)) == 8
    machine = station.paths.machine("one")
    for socket in (machine.gdb, machine.vnc):
        assert socket.is_socket()
        assert socket.stat().st_mode & 0o077 == 0


async def test_a_machine_with_hardly_anything(station: Workstation) -> None:
    nothing = dict.fromkeys(("serial", "usb_tablet", "rng", "agent", "balloon", "panic"), False)
    await started(station, tiny(display={"adapter": "none"}, devices=nothing))
    assert await drives_in(station) == {}


@pytest.mark.parametrize("machine", ["q35", "pc"])
async def test_uefi_keeps_its_variables(station: Workstation, machine: str) -> None:
    profile = tiny(machine={"type": machine}, boot={"firmware": "uefi"}, memory="128 MiB")
    await started(station, profile)
    nodes = {node["node-name"]: node for node in await ask(station, "query-named-block-nodes")}
    assert nodes["firmware"]["ro"]
    assert not nodes["nvram"]["ro"]
    assert nodes["nvram"]["file"] == str(overlay(station.paths.machine("one"), "nvram"))


def tpms(station: Workstation) -> list[int]:
    """The swtpm processes that work in the machine's directory."""
    state = station.paths.machine("one").tpm_state
    return [int(path.parent.name) for path in Path("/proc").glob("[0-9]*/cwd") if _is(path, state)]


def _is(link: Path, target: Path) -> bool:
    try:
        return link.readlink() == target
    except OSError:
        return False


SECURE = {"memory": "128 MiB", "boot": {"firmware": "uefi-secure"}, "devices": {"tpm": True}}


async def test_secure_boot_and_a_tpm_that_goes_with_its_machine(station: Workstation) -> None:
    await started(station, tiny(**SECURE))
    models = [tpm["model"] for tpm in await ask(station, "query-tpm")]
    assert models == ["tpm-crb"]
    assert tpms(station)
    state = station.paths.machine("one").tpm_state
    await eventually(lambda: any(state.glob("tpm2-*")))
    await station.kill("one")
    await eventually(lambda: not tpms(station))
    await station.start("one")
    assert log_tail(station.machine("one")) == ""


async def test_no_tpm_stays_behind_where_qemu_did_not_start(station: Workstation) -> None:
    await station.create("one", tiny(devices={"tpm": True}, drives=[disk("virtio")]))
    head = overlay(station.paths.machine("one"), "drive0")
    head.write_bytes(b"damaged")
    with pytest.raises(LaunchError) as caught:
        await station.start("one")
    assert "drive0.qcow2" in caught.value.details or "qcow2" in caught.value.details
    await eventually(lambda: not tpms(station))


async def test_a_tpm_that_does_not_start_is_a_failed_launch(
    station: Workstation, monkeypatch: pytest.MonkeyPatch
) -> None:
    facts = replace(await station.host_facts(), swtpm="/bin/false")

    async def known() -> Any:
        return facts

    await station.create("one", tiny(devices={"tpm": True}))
    monkeypatch.setattr(station, "host_facts", known)
    with pytest.raises(LaunchError) as caught:
        await station.start("one")
    assert "tpm" in caught.value.details


@pytest.mark.parametrize(
    ("program_of", "profile", "else_"),
    [("virtiofsd", {"shares": [{"path": "/", "tag": "home", "mode": "virtiofs"}]}, "9p"),
     ("passt", {"networks": [{"mode": "passt"}]}, "mode to user")],
)  # fmt: skip
async def test_without_its_helper_a_device_says_what_else_there_is(
    station: Workstation,
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
    program_of: str,
    profile: dict[str, Any],
    else_: str,
) -> None:
    old, locked = home / "old", home / "locked"
    old.write_text("#!/bin/sh\necho 'unknown option --shared-dir' >&2\nexit 1\n")
    locked.write_text("#!/bin/sh\necho 'Error entering sandbox: Fork' >&2\n")
    for program in (old, locked):
        program.chmod(0o700)
    facts = await station.host_facts()
    await station.create("one", tiny(**profile))
    for found, words in (
        ("", "not installed"),
        (str(home / "none"), "does not run: No such file"),
        (str(old), "does not serve any here: unknown option --shared-dir"),
        (str(locked), "does not serve any here: Error entering sandbox: Fork"),
    ):

        async def known(found: str = found) -> Any:
            return replace(facts, **{program_of: found})  # type: ignore[arg-type]

        monkeypatch.setattr(station, "host_facts", known)
        with pytest.raises(HostError, match=words) as caught:
            await station.start("one")
        assert else_ in caught.value.hint


SERVES = f"""#!{sys.executable}
import socket, sys
caller, _ = socket.socket(fileno=int(sys.argv[2].removeprefix("--fd="))).accept()
question = caller.recv(12)
caller.sendall(question[:4] + (5).to_bytes(4, "little") + bytes(4))
caller.recv(1)
"""


async def test_a_share_is_by_virtiofs_where_that_serves_and_else_by_9p(
    station: Workstation, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = home / "virtiofsd"
    facts = await station.host_facts()

    async def known() -> Any:
        return replace(facts, virtiofsd=str(program))

    monkeypatch.setattr(station, "host_facts", known)
    for name, text, mode in (
        ("serves", SERVES, "virtiofs"),
        ("sandbox", "#!/bin/sh\necho 'Error entering sandbox: Fork' >&2\n", "9p"),
    ):
        program.write_text(text)
        program.chmod(0o700)
        await station.create(name, tiny(shares=[{"path": str(home), "tag": "home"}]))
        profile = station.view(name).profile
        assert profile and profile.shares[0].mode == mode


# -- with a guest -------------------------------------------------------------

APPLIANCE = {
    "memory": "256 MiB",
    "boot": {
        "kernel": "appliance/vmlinuz",
        "initrd": "appliance/initrd",
        "command_line": "console=ttyS0 quiet",
    },
}


@pytest.mark.usefixtures("with_appliance")
async def test_a_microvm_boots_its_kernel(station: Workstation) -> None:
    boot = {**APPLIANCE["boot"], "command_line": "console=ttyS0"}  # type: ignore[dict-item]
    drives = [disk(bus) for bus in ("virtio", "scsi", "sata", "nvme")]
    profile = tiny(
        **{**APPLIANCE, "boot": boot},
        machine={"type": "microvm"},
        drives=drives,
        cdroms=[{}],
        networks=[{}],
        devices={"tpm": True, "sound": "hda"},
    )
    await started(station, profile)
    # Not to the shell: under TCG on a busy host, Linux may find no clock in a microvm.
    await station.wait_text("one", "Linux version")
    assert len(await drives_in(station)) == 4


@pytest.mark.usefixtures("with_appliance")
async def test_a_guest_sees_its_devices_and_writes_to_its_head_alone(
    station: Workstation, home: Path
) -> None:
    (home / "shared, really").mkdir()
    shares = [{"path": str(home / "shared, really"), "tag": "one", "mode": "9p"}]
    networks = [{"mac": "52:54:00:00:00:01"}, {"mac": "52:54:00:00:00:02", "mode": "none"}]
    image = home / "own.raw"
    image.write_bytes(before := os.urandom(2**20))
    drives = [disk("virtio"), {"size": "3 MiB", "bus": "nvme"}, {"image": str(image)}]
    await started(station, tiny(**APPLIANCE, drives=drives, networks=networks, shares=shares))
    await station.wait_text("one", "appliance ready")
    async with Shell.on(station, "one") as shell:
        await shell.run("stty columns 500")  # a long line is not to be wrapped
        await shell.run("until [ -e /sys/class/net/eth1 ]; do usleep 50000; done")
        addresses = await shell.run("cat /sys/class/net/eth?/address")
        assert addresses.split() == ["52:54:00:00:00:01", "52:54:00:00:00:02"]
        asked = await shell.run("udhcpc -i eth1 -n -q -t 1 -T 1 2>&1")
        assert "no lease" in asked
        sizes = await shell.run("cat /sys/block/vda/size /sys/block/nvme0n1/size")
        assert sizes.split() == ["2048", "6144"]
        # Its kernel has no 9p: that the share is there must do.
        assert "0x0009" in (await shell.run("cat /sys/bus/virtio/devices/*/device")).split()
        await shell.run("dd if=/dev/zero of=/dev/vdb bs=64k; sync")
    await station.kill("one")
    machine = station.paths.machine("one")
    assert overlay(machine, "drive2").stat().st_size > 2**20
    assert base(station.paths, "one", "drive2").read_bytes() == before
    assert image.read_bytes() == before


# -- images -------------------------------------------------------------------


def qemu_img(*arguments: object) -> None:
    subprocess.run(["qemu-img", *map(str, arguments)], check=True, capture_output=True)


async def test_a_drive_on_an_image_is_a_chain_of_two(station: Workstation, home: Path) -> None:
    raw, qcow2 = home / "own.raw", home / "own.qcow2"
    raw.write_bytes(os.urandom(2**20))
    qemu_img("convert", "-f", "raw", "-O", "qcow2", raw, qcow2)
    before = [(path.read_bytes(), path.stat().st_mtime_ns) for path in (raw, qcow2)]
    drives = [{"image": str(raw)}, {"image": str(qcow2), "size": "3 MiB"}]
    await started(station, tiny(drives=drives))
    chains = {name: found["image"] for name, found in (await drives_in(station)).items()}
    for name in ("drive0", "drive1"):
        below = chains[name]["backing-image"]
        assert below["filename"] == str(base(station.paths, "one", name))
        assert "backing-image" not in below
    await station.kill("one")
    await station.delete("one")
    assert [(path.read_bytes(), path.stat().st_mtime_ns) for path in (raw, qcow2)] == before


async def test_a_head_that_was_given_a_backing_file_does_not_follow_it(
    station: Workstation, home: Path
) -> None:
    """Whatever is written into an image: only the files that we name are opened."""
    secret = home / "secret"
    secret.write_bytes(b"secret".ljust(2**20, b"s"))
    await station.create("one", tiny(drives=[disk("virtio")]))
    head = overlay(station.paths.machine("one"), "drive0")
    qemu_img("rebase", "-u", "-f", "qcow2", "-b", secret, "-F", "raw", head)
    await station.start("one")
    opened = [os.readlink(path) for path in Path(f"/proc/{station.view('one').pid}/fd").iterdir()]
    assert str(head) in opened
    assert str(secret) not in opened


# -- odd places ---------------------------------------------------------------


@pytest.fixture
def odd(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Paths]:
    """Roots whose names hold all that QEMU, a shell or JSON might stumble over."""
    place = home / "a,b=c,,d 'é\"\\$(x)😀"
    place.mkdir()
    for variable in ("HOME", "XDG_RUNTIME_DIR"):
        monkeypatch.setenv(variable, str(place / variable[:1]))
    monkeypatch.setenv("WORKSTATION_ACCEL", "tcg")
    for variable in ("XDG_DATA_HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(variable, raising=False)
    paths = Paths.from_environment()
    paths.prepare()
    yield paths


async def test_any_directory_will_do(odd: Paths) -> None:
    shared = odd.data / "x,readonly=off"
    shared.mkdir()
    image = odd.data / 'json:{"driver":"x"}, y.raw'
    image.write_bytes(bytes(2**20))
    profile = tiny(
        **SECURE,
        machine={"gdb": True},
        drives=[{"image": str(image)}],
        cdroms=[{"image": str(image)}],
        networks=[{"mode": "none"}],
        shares=[{"path": str(shared), "tag": "x"}],
    )
    async with Workstation(odd, front_end="test") as station:
        await started(station, profile)
        assert set(await drives_in(station)) >= {"drive0", "cdrom0"}
        machine = station.paths.machine("one")
        assert machine.vnc.is_socket()
        assert machine.gdb.is_socket()
        assert (machine.serial_log / "0").exists()


async def test_a_machine_whose_sockets_paths_grew_too_long_says_so(
    station: Workstation, home: Path
) -> None:
    await station.create("one", tiny())
    station.paths.runtime = home / ("x" * 100)
    with pytest.raises(UsageError, match="too long"):
        await station.start("one")
