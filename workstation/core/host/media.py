"""Removable media: what is plugged in, what it is called, how much fits on it.

Asked of the kernel (proc_pid_mountinfo(5), sysfs) and of udev's links in `/dev/disk/by-label`:
whoever mounted it, udisks or a person, it is found there.
"""

import os
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from workstation.errors import HostError
from workstation.model.units import format_size

FAT_LARGEST = 2**32 - 1
"""Bytes that a file on FAT16 or FAT32 may have."""

_FAT = frozenset({"vfat", "msdos"})

_MEMORY = frozenset({"tmpfs", "ramfs"})

_DESKTOP = ("/media/", "/run/media/")
"""Where udisks mounts what a person has plugged in."""

_ESCAPED = re.compile(r"\\([0-7]{3})")
_UDEV_ESCAPED = re.compile(r"\\x([0-9a-f]{2})")


@dataclass(frozen=True, slots=True)
class Medium:
    """A mounted file system."""

    path: Path
    """Where it is mounted."""
    device: str
    label: str
    """As its owner called it; empty where it has no name."""
    filesystem: str
    """The kernel's word: `vfat`, `exfat`, `ext4`."""
    free: int
    """Bytes for this user."""
    size: int
    removable: bool
    """Whether it can be pulled out, and taken along."""
    writable: bool

    @property
    def name(self) -> str:
        """What a person knows it by."""
        return self.label or self.path.name or str(self.path)

    @property
    def largest_file(self) -> int | None:
        """Bytes that a file on it may have, where its file system is what limits that."""
        return FAT_LARGEST if self.filesystem in _FAT else None


@dataclass(frozen=True, slots=True)
class Host:
    """Where the facts come from; tests put their own in the place."""

    mountinfo: Path = Path("/proc/self/mountinfo")
    blocks: Path = Path("/sys/class/block")
    labels: Path = Path("/dev/disk/by-label")
    usage: Callable[[Path], "tuple[int, int]"] = lambda path: _usage(path)
    """Free bytes and all bytes of a mounted file system."""


HOST = Host()


def mounted(host: Host = HOST) -> list[Medium]:
    """Every file system of a block device, those that can be pulled out first."""
    labels, found = _labels(host), {}
    for point, filesystem, device, writable in mounts(host):
        if device not in found and (usage := _asked(host, point)):
            found[device] = Medium(
                path=point,
                device=device,
                label=labels.get(os.path.realpath(device), ""),
                filesystem=filesystem,
                free=usage[0],
                size=usage[1],
                removable=_removable(host, device, point),
                writable=writable,
            )
    return sorted(found.values(), key=lambda medium: (not medium.removable, str(medium.path)))


def removable(host: Host = HOST) -> list[Medium]:
    """What can be pulled out."""
    return [medium for medium in mounted(host) if medium.removable]


def medium_of(path: Path, host: Host = HOST) -> Medium | None:
    """The medium that a file lies on, or would lie on; None on what is no block device."""
    try:
        place = path.resolve()
    except OSError:
        return None
    above = [medium for medium in mounted(host) if place.is_relative_to(medium.path)]
    return max(above, key=lambda medium: len(medium.path.parts), default=None)


def in_memory(path: Path, host: Host = HOST) -> bool:
    """Whether what lies in that directory is in memory only, and gone with the session."""
    found = path.stat().st_dev
    here = f"{os.major(found)}:{os.minor(found)}"
    with suppress(OSError):
        for line in host.mountinfo.read_text(errors="surrogateescape").splitlines():
            fields, _, tail = line.partition(" - ")
            if fields.split(" ")[2:3] == [here]:
                return tail.split(" ")[0] in _MEMORY
    return False


def check_fits(path: Path, size: int, host: Host = HOST) -> None:
    """Raise HostError where a file of that size cannot lie there, before a byte is written."""
    medium = medium_of(path, host)
    most = medium.largest_file if medium else None
    if medium and most and size > most:
        raise HostError(
            f"{path.name} would have {format_size(size)}, and a file on {medium.name}"
            f" ({medium.filesystem}) may have 4 GiB",
            hint="make it smaller (--flatten --compress, --no-memory, --tag), or format the medium"
            f" with exFAT, which takes larger files: mkfs.exfat {medium.device} (erases it)",
        )


def mounts(host: Host = HOST) -> Iterator[tuple[Path, str, str, bool]]:
    """Mount point, file system, device and whether it can be written, the whole mounts only."""
    try:
        lines = host.mountinfo.read_text(errors="surrogateescape").splitlines()
    except OSError:
        return
    for line in lines:
        fields, _, tail = line.partition(" - ")
        mount, source = fields.split(" "), tail.split(" ")
        if len(mount) < 6 or len(source) < 3 or not source[1].startswith("/dev/"):
            continue
        _, _, _, root, point, options = mount[:6]
        flags = (*options.split(","), *source[2].split(","))
        if root == "/" or source[0] == "btrfs":
            yield Path(_plain(point)), source[0], _plain(source[1]), "ro" not in flags


def _plain(word: str) -> str:
    """Space, tab, newline and backslash are written as octal numbers there."""
    return _ESCAPED.sub(lambda match: chr(int(match[1], 8)), word)


def _labels(host: Host) -> dict[str, str]:
    """The label of each device that has one."""
    try:
        links = list(host.labels.iterdir())
    except OSError:
        return {}
    return {os.path.realpath(link): _spoken(link.name) for link in links}


def _spoken(name: str) -> str:
    """A label as it was given: udev writes its bytes as `\\x20`."""
    raw = _UDEV_ESCAPED.sub(lambda match: chr(int(match[1], 16)), name)
    try:
        return raw.encode("latin-1").decode()
    except ValueError:
        return raw


def _removable(host: Host, device: str, point: Path) -> bool:
    """Sticks and cards say so; a disk in a USB case does not, but its place on the bus does."""
    entry = host.blocks / Path(os.path.realpath(device)).name
    place = Path(os.path.realpath(entry))
    disk = place.parent if (place / "partition").exists() else place
    try:
        says_so = (disk / "removable").read_text().strip() == "1"
    except OSError:
        says_so = False
    on_usb = any(part.startswith("usb") for part in place.parts)
    return says_so or on_usb or f"{point}/".startswith(_DESKTOP)


def _usage(path: Path) -> tuple[int, int]:
    found = os.statvfs(path)
    return found.f_bavail * found.f_frsize, found.f_blocks * found.f_frsize


def _asked(host: Host, point: Path) -> tuple[int, int] | None:
    """None for what has been pulled out, or may not be looked at."""
    try:
        return host.usage(point)
    except OSError:
        return None
