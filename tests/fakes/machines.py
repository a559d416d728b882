"""Invented machines: one of every kind, or many."""

import math

from tests.fakes.layers import NOW, a_layer, demo_past
from tests.fakes.profiles import PROFILES
from tests.fakes.workstation import FakeWorkstation
from workstation.errors import OvercommitError
from workstation.model.events import Severity
from workstation.model.machine import Holder, MachineView, Sample, State

SERIAL = b"""\
\x1b[2J\x1b[H[    0.812345] virtio_blk virtio1: [vda] 131072 512-byte logical blocks\r
[    1.204411] EXT4-fs (vda): mounted filesystem with ordered data mode\r
\x1b[1;32m*\x1b[0m eth0: 10.0.2.15, gateway 10.0.2.2\r
\x1b[1;32m*\x1b[0m web page on port 80\r
\r
Welcome to the \x1b[1mappliance\x1b[0m. Try: load, panic, poweroff\r
\r
sales-demo login: root (automatic login)\r
/ # uptime\r
 08:53:11 up 12 min,  load average: 0.12, 0.08, 0.03\r
/ # """


def samples_of(seed: int, count: int = 60) -> list[Sample]:
    """A plausible two minutes."""
    return [
        Sample(
            time=float(number),
            cpu=0.12
            + 0.1 * math.sin((number + seed) / 4)
            + (0.5 if number % 17 == seed % 17 else 0),
            resident=(84 + (number + seed) % 30) * 2**20,
            disk_read=max(0.0, 3e6 * math.sin((number + seed) / 7)),
            disk_write=max(0.0, 1.5e6 * math.cos((number + seed) / 3)),
        )
        for number in range(count)
    ]


def library() -> FakeWorkstation:
    """One machine of every kind, two of them running."""
    demo, debian = PROFILES["sales-demo"], PROFILES["debian-12"]
    station = FakeWorkstation(
        views=[
            MachineView(
                "sales-demo", State.RUNNING, demo.model_copy(update={"tags": ("demo", "web")}),
                since=NOW - 751, pid=4711, accelerator="kvm", based_on="sales-demo",
                forwards=demo.networks[0].forwards,
            ),
            MachineView("build-box", State.PAUSED, debian, since=NOW - 90_061, accelerator="kvm"),
            MachineView("crm", State.FROZEN, demo, since=NOW - 4000),
            MachineView("debian-12", State.OFF, debian, since=NOW - 9000, based_on="debian-12"),
            MachineView("lab-1", State.STARTING, demo, since=NOW - 1),
            MachineView("lab-2", State.STOPPING, demo, since=NOW - 100),
            MachineView(
                "win11", State.CRASHED, PROFILES["windows-11"], since=NOW - 60,
                reason="QEMU was killed (signal 9); the kernel's log may say that memory ran out",
            ),
            MachineView("fresh", State.CREATED, demo),
            MachineView(
                "typo", State.OFF, None,
                problem="machine.yaml, line 7, column 5: profile.memroy: unknown key;"
                " did you mean “memory”?",
            ),
            MachineView("kernel-lab", State.PAUSED, demo, since=NOW - 30, panicked=True,
                        reason="the guest has reported a panic"),
            MachineView("shared", State.OFF, debian,
                        holder=Holder("start", 4242, NOW - 3, "workstation start")),
        ]
    )  # fmt: skip
    station.past.pasts["sales-demo"] = demo_past()
    station.past.unsaved["sales-demo"] = 84 * 2**20
    station.past.pasts["debian-12"] = [
        a_layer(1, "", None, hours=200, mib=400, memory=False, note="images")
    ]
    station.history = {name: samples_of(len(name)) for name in station.machines}
    station.serial = dict.fromkeys(("sales-demo", "kernel-lab"), SERIAL)
    for text in ("adopted", "power button pressed"):
        station.say(text, "sales-demo")
    station.say("QEMU was killed (signal 9)", "win11", Severity.ERROR)
    station.say("is low on memory: 600 MiB left", "", Severity.WARNING)
    return station


def many(count: int, live: int) -> FakeWorkstation:
    """`count` machines, the first `live` of them running."""
    made = PROFILES["debian-12"]
    station = FakeWorkstation(
        views=[
            MachineView(
                f"machine-{number:03}", State.RUNNING if number < live else State.OFF, made,
                since=NOW - 1000 - number,
            )
            for number in range(count)
        ]
    )  # fmt: skip
    station.history = {name: samples_of(number) for number, name in enumerate(station.machines)}
    station.serial = dict.fromkeys(station.machines, SERIAL)
    return station


def overcommitted(name: str) -> OvercommitError:
    return OvercommitError(
        f"“{name}” needs 4 GiB, and this computer has 2.1 GiB left of 24 GiB",
        hint="stop another machine first, or give this one less memory",
    )
