"""What `workstation doctor` says: what works on this host, what does not, and how to mend it."""

import asyncio
import os
import shutil
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from workstation.errors import HostError, UsageError
from workstation.model.host import Finding, HostFacts, Level
from workstation.model.profile import Firmware
from workstation.model.units import format_size
from workstation.paths import Paths
from workstation.qemu.accel import EMULATION
from workstation.qemu.firmware import find_firmware
from workstation.qemu.host import HostPlaces, probe
from workstation.qemu.packages import OS_RELEASE, install_hint

OLDEST_QEMU = (7, 2, 0)
"""The first that takes JSON for `-netdev`."""

_LONGEST_NAME = 40
_LITTLE_MEMORY = 2**30
_LITTLE_ROOM = 5 * 2**30


@dataclass(frozen=True, slots=True)
class Checkup:
    """What every check is handed."""

    facts: HostFacts
    paths: Paths
    environ: Mapping[str, str]
    os_release: Path = OS_RELEASE

    def install(self, thing: str) -> str:
        return install_hint(thing, self.os_release)


async def findings(
    paths: Paths,
    environ: Mapping[str, str] | None = None,
    *,
    places: HostPlaces | None = None,
    os_release: Path = OS_RELEASE,
) -> list[Finding]:
    """Look at everything anew, in the order in which a person would mend it."""
    env = os.environ if environ is None else environ
    facts = await probe(paths, env, places=places, fresh=True)
    checkup = Checkup(facts, paths, env, os_release)
    return await asyncio.to_thread(lambda: [found for check in CHECKS for found in check(checkup)])


def _qemu(it: Checkup) -> Iterator[Finding]:
    yield _program("QEMU", it.facts.qemu, it.facts.qemu_version, it.install("qemu"))
    yield _program("qemu-img", it.facts.qemu_img, it.facts.qemu_img_version, it.install("qemu-img"))


def _program(subject: str, path: str, version: tuple[int, int, int], install: str) -> Finding:
    if not path:
        return Finding(subject, Level.PROBLEM, "not installed", install)
    if version == (0, 0, 0):
        text = f"{path} does not run"
        return Finding(subject, Level.PROBLEM, text, f"try it yourself: {path} --version")
    number = ".".join(map(str, version))
    if version < OLDEST_QEMU:
        needed = ".".join(map(str, OLDEST_QEMU[:2]))
        return Finding(
            subject,
            Level.PROBLEM,
            f"{number} at {path} is too old: {needed} is needed",
            "use a newer release of this distribution, or its backports",
        )
    return Finding(subject, Level.OK, f"{number} at {path}")


def _kvm(it: Checkup) -> Iterator[Finding]:
    if it.facts.kvm:
        yield Finding("KVM", Level.OK, "guests run on the hardware")
    else:
        yield Finding("KVM", Level.NOTE, f"{it.facts.kvm_reason}; {EMULATION}", it.facts.kvm_mend)


def _firmware(it: Checkup) -> Iterator[Finding]:
    for subject, firmware, lacking in (
        ("UEFI", Firmware.UEFI, Level.PROBLEM),
        ("Secure Boot", Firmware.UEFI_SECURE, Level.NOTE),
    ):
        try:
            found = find_firmware(it.facts, firmware, "q35", it.os_release)
        except HostError as error:
            yield Finding(subject, lacking, str(error), error.hint)
        else:
            yield Finding(subject, Level.OK, found.code)


def _helpers(it: Checkup) -> Iterator[Finding]:
    yield _helper("swtpm", it.facts.swtpm, "machines with a TPM cannot start", it.install("swtpm"))
    yield _helper(
        "virtiofsd",
        it.facts.virtiofsd,
        "shares of mode virtiofs cannot be used; 9p needs nothing",
        it.install("virtiofsd"),
    )
    gpgv = shutil.which("gpgv", path=it.environ.get("PATH", "")) or ""
    without = "publishers' signatures of images are not checked, only their checksums"
    yield _helper("gpgv", gpgv, without, it.install("gpgv"))


def _helper(subject: str, path: str, without: str, install: str) -> Finding:
    if path:
        return Finding(subject, Level.OK, path)
    return Finding(subject, Level.NOTE, f"not installed: {without}", install)


def _network(it: Checkup) -> Iterator[Finding]:
    if it.facts.qemu and not it.facts.user_network:
        yield Finding(
            "Network",
            Level.PROBLEM,
            "this QEMU was built without user-mode networking: guests reach nothing",
            "install a QEMU with slirp, or give machines networks of mode none",
        )
    passt = shutil.which("passt", path=it.environ.get("PATH", ""))
    text = passt or "not installed; not needed: QEMU's own user-mode networking serves"
    yield Finding("passt", Level.OK if passt else Level.NOTE, text)


def _memory(it: Checkup) -> Iterator[Finding]:
    available = psutil.virtual_memory().available
    text = f"{format_size(available)} free of {format_size(it.facts.memory)}"
    if available >= _LITTLE_MEMORY:
        yield Finding("Memory", Level.OK, text)
    else:
        yield Finding("Memory", Level.NOTE, text, "end programs, or give machines less memory")


def _data(it: Checkup) -> Iterator[Finding]:
    """The directory of the machines, and the room on its disk."""
    place = it.paths.data
    if not _can_write(place):
        yield Finding("Disk", Level.PROBLEM, f"{place} cannot be written to", _own(place))
        return
    free = shutil.disk_usage(_existing(place)).free
    text = f"{format_size(free)} free for machines at {place}"
    if free >= _LITTLE_ROOM:
        yield Finding("Disk", Level.OK, text)
    else:
        mend = "make room, or set XDG_DATA_HOME to a directory on a larger disk"
        yield Finding("Disk", Level.NOTE, text, mend)


def _images(it: Checkup) -> Iterator[Finding]:
    place = it.paths.images
    if not _can_write(place):
        yield Finding("Images", Level.PROBLEM, f"{place} cannot be written to", _own(place))
        return
    found = place.iterdir() if place.is_dir() else ()
    names = sorted(path.name for path in found if not path.name.startswith("."))
    yield Finding("Images", Level.OK, f"{', '.join(names) or 'none yet'} at {place}")
    if not shutil.which("apt-get", path=it.environ.get("PATH", "")):
        yield Finding(
            "Appliance",
            Level.NOTE,
            "the small guest is built from Debian's packages, and there is no apt-get here",
            "build it on Debian or Ubuntu and copy the image, or use an image of your own",
        )


def _sockets(it: Checkup) -> Iterator[Finding]:
    place = it.paths.runtime
    mend = "set XDG_RUNTIME_DIR to a short path to a directory of your own"
    room = _room_for_names(it.paths)
    if problem := _unusable(place):
        yield Finding("Sockets", Level.PROBLEM, problem, mend)
    elif room < _LONGEST_NAME:
        text = f"{place} is a long path: machines' names may have {room} letters"
        yield Finding("Sockets", Level.NOTE if room else Level.PROBLEM, text, mend)
    else:
        yield _private(place)


def _unusable(place: Path) -> str:
    if not _can_write(place):
        return f"{place} cannot be written to"
    owner = _existing(place).stat().st_uid
    return f"{place} belongs to another user" if place.exists() and owner != os.getuid() else ""


def _private(place: Path) -> Finding:
    mode = stat.S_IMODE(place.stat().st_mode) if place.exists() else 0o700
    if not mode & 0o077:
        return Finding("Sockets", Level.OK, f"{place}, private to you")
    text = f"{place} is open to others (mode {mode:04o}) until the program next starts"
    return Finding("Sockets", Level.NOTE, text, f"chmod 700 {place}")


CHECKS: Sequence[Callable[[Checkup], Iterator[Finding]]] = (
    _qemu, _kvm, _firmware, _helpers, _network, _memory, _data, _images, _sockets,
)  # fmt: skip


def _room_for_names(paths: Paths) -> int:
    """Letters that a machine's name may have, so that its sockets' paths are short enough."""
    for length in range(_LONGEST_NAME, 0, -1):
        try:
            paths.check_socket_paths("x" * length)
        except UsageError:
            continue
        return length
    return 0


def _existing(place: Path) -> Path:
    """The place itself or its nearest ancestor that is there."""
    return next(path for path in (place, *place.parents) if path.exists())


def _can_write(place: Path) -> bool:
    existing = _existing(place)
    return existing.is_dir() and os.access(existing, os.W_OK | os.X_OK)


def _own(place: Path) -> str:
    return f"make {_existing(place)} a directory that you own"
