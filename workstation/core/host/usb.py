"""The USB devices that are plugged in to this computer, as the kernel lists them in sysfs."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from workstation.core.host import media
from workstation.errors import HostError
from workstation.model.text import safe_line

SYSFS = Path("/sys/bus/usb/devices")
NODES = Path("/dev/bus/usb")

_HUB = "09"
"""The class of hubs (USB class codes): the guest has its own."""


@dataclass(frozen=True, slots=True)
class UsbDevice:
    kind: str
    """`VENDOR:PRODUCT`, 4 hexadecimal digits each, as a profile's `usb` names it."""
    name: str
    """What maker and product call themselves; made safe for a terminal."""
    bus: int
    number: int
    node: Path
    """What QEMU opens."""
    place: Path
    """Its directory in sysfs; all that the kernel has made of it lies below."""

    @property
    def usable(self) -> bool:
        """Whether this user may hand it to a guest."""
        return os.access(self.node, os.R_OK | os.W_OK)


def plugged_in(sysfs: Path = SYSFS, nodes: Path = NODES) -> list[UsbDevice]:
    """All devices but hubs, by bus and number; none where this computer has no USB."""
    try:
        entries = sorted(sysfs.iterdir())
    except OSError:
        return []
    found = [device for entry in entries if (device := _device(entry, nodes))]
    return sorted(found, key=lambda device: (device.bus, device.number))


def _device(entry: Path, nodes: Path) -> UsbDevice | None:
    """None for an interface of a device, a hub, and what was pulled out just now."""
    try:
        if _read(entry, "bDeviceClass") == _HUB:
            return None
        kind = f"{_read(entry, 'idVendor')}:{_read(entry, 'idProduct')}".lower()
        bus, number = int(_read(entry, "busnum")), int(_read(entry, "devnum"))
    except (OSError, ValueError):
        return None
    words = (_maybe(entry, "manufacturer"), _maybe(entry, "product"))
    name = safe_line(" ".join(word for word in words if word), limit=80)
    return UsbDevice(kind, name, bus, number, nodes / f"{bus:03}" / f"{number:03}", entry.resolve())


def _read(entry: Path, key: str) -> str:
    return (entry / key).read_text(errors="replace").strip()


def _maybe(entry: Path, key: str) -> str:
    try:
        return _read(entry, key)
    except OSError:
        return ""


def check_usable(
    kind: str, sysfs: Path = SYSFS, nodes: Path = NODES, host: media.Host = media.HOST
) -> str:
    """What is to be said of handing that kind over; empty where it is plugged in and usable.

    Raises HostError where a file system on it is mounted here, ClosedError where it is there and
    closed to this user.
    """
    there = [device for device in plugged_in(sysfs, nodes) if device.kind == kind]
    if not there:
        return f"{kind} is not plugged in: the guest gets it when it is"
    for device in there:
        if points := _mounted(device, host):
            raise HostError(
                f"the USB device {kind} ({device.name}) is in use here: {points[0]} is on it",
                hint=f"unmount it, then do it again: umount {' '.join(map(str, points))}",
            )
    if any(device.usable for device in there):
        return ""
    vendor, product = kind.split(":")
    rule = (
        f'SUBSYSTEM=="usb", ATTR{{idVendor}}=="{vendor}", ATTR{{idProduct}}=="{product}",'
        ' TAG+="uaccess"'
    )
    raise ClosedError(
        f"you may not use the USB device {kind} ({there[0].name}): {there[0].node} is closed",
        hint=f"as root, write into /etc/udev/rules.d/70-workstation.rules: {rule} –"
        " and plug the device in again",
    )


class ClosedError(HostError):
    """This user may not open the device."""


def at_start(
    kinds: Iterable[str], sysfs: Path = SYSFS, nodes: Path = NODES, host: media.Host = media.HOST
) -> list[str]:
    """What is to be said of a guest that is about to be started with those.

    Raises HostError where a file system on one of them is mounted here.
    """
    said = []
    for kind in kinds:
        try:
            said.append(check_usable(kind, sysfs, nodes, host))
        except ClosedError as error:
            said.append(f"{error}; {error.hint}")
    return [words for words in said if words]


def _mounted(device: UsbDevice, host: media.Host) -> list[Path]:
    """Where file systems on it are mounted: a guest that takes it would pull it out under them."""
    return [
        point
        for point, _, block, _ in media.mounts(host)
        if (host.blocks / Path(block).resolve().name).resolve().is_relative_to(device.place)
    ]
