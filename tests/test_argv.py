"""The command line of each shipped profile, and of every device, as readable text.

`tests/golden/NAME.ACCELERATOR.txt` has one option a line. After a wanted change:
`WORKSTATION_GOLDEN=write pytest tests/test_argv.py`, then read the difference.
"""

import json
import os
import re
from dataclasses import replace
from itertools import groupby
from pathlib import Path

import pytest

from tests.argv_launch import launch_of, option_lines, values_of
from workstation.errors import HostError
from workstation.model.profile import Accelerator, Profile
from workstation.paths import shipped
from workstation.profile.load import load_profile
from workstation.qemu.argv import command_line
from workstation.qemu.build import LATER

GOLDEN = Path(__file__).parent / "golden"
SHIPPED = [path.stem for path in sorted(shipped("profiles").glob("*.yaml"))]

DRIVE = {"size": "1 GiB"}
EVERYTHING: dict[str, dict[str, object]] = {
    "buses-q35": {
        "drives": [
            {**DRIVE, "bus": bus, "cache": cache, "discard": cache != "none"}
            for bus, cache in (
                ("virtio", "none"),
                ("scsi", "writethrough"),
                ("scsi", "unsafe"),
                ("sata", "writeback"),
                ("sata", "writethrough"),
                ("nvme", "writethrough"),
                ("nvme", "none"),
            )
        ],
        "cdroms": [{"image": "disc/one.iso"}, {}],
        "boot": {"order": ["network", "cdrom", "disk"], "menu": True},
    },
    "buses-pc": {
        "machine": {"type": "pc"},
        "drives": [{**DRIVE, "bus": "ide"}] * 4 + [{"image": "/srv/base.raw"}],
        "boot": {"order": ["cdrom"]},
        "cdroms": [{}],
        "cpu": {"sockets": 2, "cores": 3, "threads": 2, "model": "host"},
    },
    "networks": {
        "networks": [
            {"forwards": ["8080:80", "0.0.0.0:5353:53/udp"]},
            {"model": "e1000e", "restrict": True, "forwards": ["2222:22"]},
            {"model": "e1000", "mode": "none"},
            {"model": "rtl8139"},
            {"forwards": ["8000-8002:9000-9002"]},
            {"mode": "private", "name": "lab"},
            {"mode": "tap", "name": "tap0"},
            {"mode": "passt", "forwards": ["2223:22"]},
        ],
        "boot": {"order": ["disk", "network"]},
    },
    "plugged": {
        "cpu": {"cores": 2, "most": 6},
        "machine": {"slots": 2},
        "drives": [DRIVE, {**DRIVE, "slot": 1}],
        "usb": ["046d:c52b", "1d6b:0002"],
        "devices": {"usb_tablet": False},
    },
    "plugged-pc": {
        "machine": {"type": "pc"},
        "drives": [{**DRIVE, "slot": 0}, {**DRIVE, "slot": 3}],
        "usb": ["046d:c52b"],
    },
    "shares": {
        "shares": [
            {"path": "/srv/docs", "tag": "docs"},
            {"path": "~/work", "tag": "work", "writable": True},
            {"path": "/srv/fast", "tag": "fast", "mode": "virtiofs"},
        ],
    },
    "bare": {
        "display": {"adapter": "none"},
        "networks": [],
        "devices": dict.fromkeys(
            ("serial", "usb_tablet", "rng", "agent", "balloon", "panic"), False
        ),
    },
    "rich": {
        "machine": {"gdb": True},
        "boot": {"firmware": "uefi"},
        "display": {"adapter": "virtio", "width": 1920, "height": 1080},
        "devices": {"sound": "hda", "tpm": True},
        "clock": "localtime",
        "memory": "1536 MiB",
    },
    "virtio-console": {"devices": {"console": "virtio"}},
    "virtio-console-alone": {"devices": {"console": "virtio", "agent": False}},
    "wide-screen": {"display": {"adapter": "std", "width": 3840, "height": 2160}},
    "microvm": {
        "machine": {"type": "microvm"},
        "boot": {"kernel": "appliance/vmlinuz", "command_line": "console=ttyS0 a,b"},
        "drives": [DRIVE],
        "display": {"adapter": "none"},
        "devices": {"usb_tablet": False},
    },
}  # fmt: skip


def shipped_profile(name: str) -> Profile:
    return load_profile(shipped("profiles") / f"{name}.yaml")


def made_up(name: str) -> Profile:
    return Profile.model_validate({"name": name, **EVERYTHING[name]})


def any_profile(name: str) -> Profile:
    return shipped_profile(name) if name in SHIPPED else made_up(name)


def check_golden(name: str, profile: Profile, accelerator: Accelerator) -> None:
    """Compare with the file, or write it where the environment says so."""
    path = GOLDEN / f"{name}.{accelerator}.txt"
    lines = option_lines(command_line(launch_of(profile, accelerator)))
    text = "\n".join(lines) + "\n"
    if os.environ.get("WORKSTATION_GOLDEN") == "write":
        path.write_text(text)
    assert text == path.read_text()


@pytest.mark.parametrize("accelerator", [Accelerator.KVM, Accelerator.TCG])
@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_profile_makes_this_command_line(name: str, accelerator: Accelerator) -> None:
    check_golden(name, shipped_profile(name), accelerator)


@pytest.mark.parametrize("name", EVERYTHING)
def test_each_device_makes_these_options(name: str) -> None:
    check_golden(name, made_up(name), Accelerator.TCG)


def test_no_golden_file_is_left_over() -> None:
    expected = {f"{name}.{how}.txt" for name in SHIPPED for how in ("kvm", "tcg")}
    expected |= {f"{name}.tcg.txt" for name in EVERYTHING}
    assert {path.name for path in GOLDEN.iterdir()} == expected


# -- what the golden files must keep saying, whoever writes them anew ---------


def options(profile: Profile, accelerator: Accelerator = Accelerator.TCG) -> list[str]:
    return option_lines(command_line(launch_of(profile, accelerator)))


@pytest.mark.parametrize("name", [*SHIPPED, *EVERYTHING])
def test_nothing_is_in_a_machine_that_nobody_asked_for(name: str) -> None:
    lines = options(any_profile(name))
    assert {"-nodefaults", "-no-user-config"} <= set(lines)
    assert (
        "-sandbox on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny" in lines
    )
    assert not any("tcp:" in line or "0.0.0.0" in line for line in lines if "hostfwd" not in line)


def test_windows_has_what_it_wants() -> None:
    lines = options(shipped_profile("windows-11"), Accelerator.KVM)
    text = "\n".join(lines)
    for wanted in (
        "hv-relaxed,hv-vapic,hv-spinlocks=0x1fff,hv-vpindex,hv-runtime,hv-synic,hv-stimer",
        "smm=on,pflash0=firmware,pflash1=nvram",
        "-global driver=cfi.pflash01,property=secure,value=on",
        "-rtc base=localtime",
        '-device {"driver": "tpm-crb", "tpmdev": "tpm"}',
        '"node-name": "nvram"',
    ):
        assert wanted in text
    assert "hv-" not in "\n".join(options(shipped_profile("windows-11")))


def test_the_kernel_lab_has_a_stub_for_gdb() -> None:
    lines = options(shipped_profile("kernel-lab"))
    assert "-gdb chardev:gdb" in lines
    assert "-kernel /ws/data/machines/kernel-lab/boot/vmlinuz" in lines


@pytest.mark.parametrize("name", [*SHIPPED, *EVERYTHING])
def test_every_node_of_a_chain_names_what_is_below_it(name: str) -> None:
    """QEMU follows what is written in a qcow2 only where nothing is said."""
    argv = command_line(launch_of(any_profile(name), Accelerator.TCG))
    nodes = [json.loads(text) for text in values_of("-blockdev", argv)]
    for node in nodes:
        assert node["driver"] in ("qcow2", "raw")
        assert ("backing" in node) is (node["driver"] == "qcow2")
        assert node["file"]["driver"] == "file"
        assert node["file"]["filename"].startswith("/")
    written = [node["node-name"] for node in nodes if not node["read-only"]]
    assert all(name == "nvram" or name.removeprefix("drive").isdigit() for name in written)


def test_boot_order_is_an_index_of_each_device() -> None:
    def order(profile: Profile) -> list[str]:
        argv = command_line(launch_of(profile, Accelerator.TCG))
        devices = [json.loads(text) for text in values_of("-device", argv)]
        indexed = [device for device in devices if "bootindex" in device]
        indexed.sort(key=lambda device: int(device["bootindex"]))
        assert len({device["bootindex"] for device in indexed}) == len(indexed)
        kinds = (re.sub(r"[0-9].*", "", device["id"]) for device in indexed)
        return [kind for kind, _ in groupby(kinds)]

    basis = {"name": "x", "drives": [DRIVE, DRIVE], "cdroms": [{}, {}]}
    assert order(Profile.model_validate(basis)) == ["drive", "cdrom"]
    network_first = {**basis, "boot": {"order": ["network", "disk"]}}
    assert order(Profile.model_validate(network_first)) == ["net", "drive"]
    kernel = {**basis, "boot": {"kernel": "/k"}}
    assert order(Profile.model_validate(kernel)) == []


def test_a_newer_qemu_is_told_in_its_own_words() -> None:
    """What it calls deprecated, or has removed, is said to those only that know nothing else."""
    old = launch_of(made_up("virtio-console"), Accelerator.TCG)
    new = launch_of(made_up("virtio-console"), Accelerator.TCG, qemu_knows=frozenset(LATER))
    before, after = (
        option_lines(command_line(replace(launch, incoming=30))) for launch in (old, new)
    )
    assert "-mon chardev=monitor0,mode=control" in before
    assert before[-2:] == ["-S", "-incoming fd:30"]
    monitor = '-object {"qom-type": "monitor-qmp", "id": "monitor0", "chardev": "monitor0"}'
    assert monitor in after
    assert not any(line.startswith("-mon ") for line in after)
    assert after[-3:] == ["-S", "-add-fd fd=30,set=1", "-incoming file:/dev/fdset/1"]


def test_a_tpm_without_swtpm_says_what_to_install() -> None:
    profile = Profile.model_validate({"name": "x", "devices": {"tpm": True}})
    with pytest.raises(HostError, match="swtpm is not installed") as caught:
        command_line(launch_of(profile, Accelerator.TCG, swtpm=""))
    assert "install the package swtpm" in caught.value.hint
