"""A machine as another program describes it, in our words; and the profile that follows."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import ValidationError

from workstation.errors import InvalidError
from workstation.model.profile import Bus, Clock, Family, Firmware, Nic, Profile
from workstation.model.text import safe_line

Chipset = Literal["pc", "q35"]

DEFAULT_MEMORY = 2 * 2**30
NEW_DISK = 20 * 2**30
"""Bytes of the blank disk that is put beside an installer's disc."""

_LEAST_DRIVE = 2**20
_MOST_NAME = 40


@dataclass(frozen=True, slots=True)
class Medium:
    """A disk or a disc of the machine."""

    file: str = ""
    """By the name that the description has for it; empty for a blank disk or an empty drive."""
    format: str = ""
    """A key of `headers.DRIVERS`, where the description says it."""
    size: int = 0
    """Bytes that it says the guest sees; 0 where it does not say."""
    bus: Bus = Bus.SATA


@dataclass(frozen=True, slots=True)
class Adapter:
    """A network adapter."""

    model: Nic = Nic.E1000
    mac: str = ""
    plugged: bool = True
    forwards: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Described:
    """What was understood, and what was not."""

    name: str
    notes: str = ""
    family: Family = Family.OTHER
    sockets: int = 1
    cores: int = 1
    threads: int = 1
    cpu_model: str = "portable"
    memory: int = DEFAULT_MEMORY
    chipset: Chipset = "q35"
    firmware: Firmware = Firmware.BIOS
    clock: Clock = Clock.UTC
    disks: tuple[Medium, ...] = ()
    discs: tuple[Medium, ...] = ()
    adapters: tuple[Adapter, ...] = ()
    sound: bool = False
    tpm: bool = False
    display: Literal["none", "std", "virtio"] = "std"
    dropped: tuple[str, ...] = field(default=())
    """A sentence for each thing that is not in the machine that was made of it."""


def plain_name(text: str, fallback: str = "imported") -> str:
    """A machine's name after any text: `Web Server (2)` becomes `web-server-2`."""
    words = re.sub(r"[^a-z0-9._-]+", "-", text.lower()).strip("-._")[:_MOST_NAME].strip("-._")
    return words or fallback


def to_profile(described: Described, name: str, discs: Iterable[str]) -> tuple[Profile, list[str]]:
    """The profile, without the disks' content, and all that was dropped on the way.

    `discs` are references to images for the CD drives. Raises InvalidError where the description
    goes beyond what a profile can say.
    """
    dropped = [safe_line(one) for one in described.dropped]
    data = _plain(described, name, list(discs), dropped)
    try:
        return Profile.model_validate(data), dropped
    except ValidationError as error:
        words = "; ".join(str(one["msg"]) for one in error.errors(include_url=False)[:5])
        raise InvalidError(
            f"“{name}” is described in a way that cannot be had here: {words}",
            hint="import its disk alone, and set the rest with workstation edit",
        ) from error


def _plain(described: Described, name: str, discs: list[str], dropped: list[str]) -> dict[str, Any]:
    buses = _buses(described, len(discs), dropped)
    return {
        "name": name,
        "family": described.family.value,
        "notes": _notes(described.notes),
        "machine": {"type": described.chipset},
        "cpu": _cpu(described, dropped),
        "memory": f"{max(4, described.memory // 2**20)} MiB",
        "boot": {"firmware": described.firmware.value},
        "drives": [
            {"size": f"{max(disk.size, _LEAST_DRIVE)} B", "bus": bus.value}
            for disk, bus in zip(described.disks, buses, strict=True)
        ],
        "cdroms": [{"image": disc} if disc else {} for disc in discs],
        "networks": [_network(adapter, dropped) for adapter in described.adapters[:8]],
        "display": {"adapter": described.display},
        "devices": {"sound": "hda" if described.sound else "none", "tpm": described.tpm},
        "clock": described.clock.value,
    }


def _notes(text: str) -> str:
    return "\n".join(safe_line(line) for line in text.splitlines())[:10_000]


def _cpu(described: Described, dropped: list[str]) -> dict[str, Any]:
    sockets, cores, threads = described.sockets, described.cores, described.threads
    if not (1 <= sockets <= 16 and 1 <= cores <= 256 and 1 <= threads <= 8):
        count = max(1, min(255, sockets * cores * threads))
        dropped.append(f"{sockets} x {cores} x {threads} CPUs: {count} cores instead")
        sockets, cores, threads = 1, count, 1
    return {"model": described.cpu_model, "sockets": sockets, "cores": cores, "threads": threads}


def _buses(described: Described, discs: int, dropped: list[str]) -> list[Bus]:
    """The disks' buses, where the board has them: no IDE on q35, six SATA places in all."""
    wanted = [disk.bus for disk in described.disks]
    if described.chipset != "pc":
        wanted = [Bus.SATA if bus is Bus.IDE else bus for bus in wanted]
    places, found = {Bus.SATA: 6 - discs, Bus.IDE: 4}, []
    for number, bus in enumerate(wanted):
        if bus in places:
            places[bus] -= 1
        if places.get(bus, 0) < 0:
            dropped.append(f"disk {number + 1} is on virtio: its bus has no place left")
            bus = Bus.VIRTIO
        found.append(bus)
    return found


_LOCAL_MAC = re.compile(r"[0-9a-f][26ae](:[0-9a-f]{2}){5}")


def _network(adapter: Adapter, dropped: list[str]) -> dict[str, Any]:
    network: dict[str, Any] = {
        "model": adapter.model.value,
        "mode": "user" if adapter.plugged else "none",
        "forwards": list(adapter.forwards) if adapter.plugged else [],
    }
    mac = adapter.mac.lower()
    if mac and _LOCAL_MAC.fullmatch(mac):
        network["mac"] = mac
    elif mac:
        dropped.append(f"the adapter's address {mac}: it is not a local one, and gets another")
    return network
