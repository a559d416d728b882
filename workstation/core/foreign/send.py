"""A machine in a form that another program takes: disks, an OVA, a libvirt domain."""

import asyncio
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from workstation.core.foreign.landing import check_fits, landing
from workstation.core.foreign.libvirt_write import write_libvirt
from workstation.core.foreign.ova import pack
from workstation.core.foreign.ovf_write import PackedDisk, write_ovf
from workstation.core.host import media
from workstation.core.layers.store import Store
from workstation.core.library import library
from workstation.core.room import IN_THE_LIBRARY, check_room
from workstation.errors import UsageError
from workstation.model.host import HostFacts
from workstation.model.layer import Layer
from workstation.model.machine import Definition
from workstation.model.profile import Bus, Firmware, Nic, Profile
from workstation.paths import Paths
from workstation.qemu import qcow2
from workstation.qemu.blockdev import DiskFile
from workstation.qemu.convert import convert
from workstation.qemu.image import chain_node

if TYPE_CHECKING:
    from workstation.core.activities import Progress

OVA, LIBVIRT = "ova", "libvirt"

DISK_FORMATS: dict[str, tuple[str, ...]] = {
    "qcow2": (),
    "raw": (),
    "vmdk": ("-o", "subformat=monolithicSparse,adapter_type=lsilogic"),
    "vhdx": ("-o", "subformat=dynamic"),
    "vdi": (),
}
"""QEMU's driver of each, and its options."""

FORMATS = (OVA, *DISK_FORMATS, LIBVIRT)

_STREAM = ("-o", "subformat=streamOptimized,adapter_type=lsilogic")


@dataclass(frozen=True, slots=True)
class Sent:
    """What was written."""

    files: tuple[Path, ...]
    size: int
    """Bytes of all of them on the disk."""
    dropped: tuple[str, ...]
    """A line for each thing of the machine that the format has no words for."""
    medium: str = ""
    """What it lies on, where that can be pulled out."""


class _Drive(NamedTuple):
    files: tuple[DiskFile, ...]
    """From the top to the base; none where nothing was ever written."""
    size: int
    """Bytes that the guest sees."""

    @property
    def taken(self) -> int:
        """Bytes on the disk: what a copy takes at most, as long as it is sparse."""
        return min(self.size, sum(file.taken() for file in self.files))


def _drives(store: Store, layer: Layer) -> list[_Drive]:
    found = []
    for number, drive in enumerate(layer.profile.drives):
        files = store.disk_files(layer.id, f"drive{number}")
        below = qcow2.virtual_size(files[0], files[0].format) if files else 0
        found.append(_Drive(files, max(below, drive.size or 0)))
    return found


class Sender:
    """One export, told as it goes on."""

    def __init__(
        self, paths: Paths, facts: HostFacts, definition: Definition, layer: Layer,
        progress: "Progress",
    ) -> None:  # fmt: skip
        self._paths, self._facts, self._progress = paths, facts, progress
        self._definition = definition
        self._name = definition.profile.name
        self._drives = _drives(Store(paths), layer)
        if not self._drives:
            raise UsageError(
                f"“{self._name}” has no disk, and other programs take a machine's disks",
                hint="without --format, export writes a file of our own, with everything in it",
            )
        self._done, self._total = 0, sum(drive.size for drive in self._drives)

    @property
    def _profile(self) -> Profile:
        return self._definition.profile

    async def send(self, target: Path, kind: str) -> Sent:
        """Write it; there whole and lasting when this returns, or not at all."""
        with library.workplace(self._paths, secrets.token_hex(8)) as self._work:
            if kind == OVA:
                files = await self._ova(target)
            elif kind == LIBVIRT:
                files = await self._libvirt(target)
            else:
                files = await self._disks(_numbered(target, len(self._drives)), kind)
        size = sum(file.stat().st_blocks * 512 for file in files)
        medium = media.medium_of(target)
        name = medium.name if medium and medium.removable else ""
        return Sent(tuple(files), size, tuple(lost(self._profile, kind)), name)

    # -- disks ------------------------------------------------------------------

    async def _disks(self, targets: Sequence[Path], kind: str) -> Sequence[Path]:
        self._check(targets, kind)
        async with landing(self._work, *targets) as places:
            await self._convert(places, kind, DISK_FORMATS[kind])
        return targets

    def _check(self, targets: Sequence[Path], kind: str) -> None:
        for target, drive in zip(targets, self._drives, strict=True):
            check_fits(target, drive.size if kind == "raw" else drive.taken)
        taken = sum(drive.taken for drive in self._drives)
        check_room(targets[0].parent, taken, "make room there, or choose another place")

    async def _convert(self, places: Sequence[Path], kind: str, options: Sequence[str]) -> None:
        for number, (place, drive) in enumerate(zip(places, self._drives, strict=True)):
            before = self._done
            # What a guest sees may be larger than any file below: a blank overlay has its size.
            top = DiskFile(self._work / f"top{number}.qcow2")
            qcow2.create_blank(top.path, drive.size)
            await convert(
                self._facts.qemu_img,
                chain_node((top, *drive.files)),
                kind,
                place,
                partial(self._part, self._done, drive.size),
                options=options,
                reads=drive.files,
            )
            self._tell(before + drive.size)

    def _part(self, before: int, size: int, part: float) -> None:
        self._tell(before + part * size)

    def _more(self, size: int) -> None:
        self._tell(self._done + size)

    def _tell(self, done: float) -> None:
        self._done = int(done)
        self._progress("", self._done, self._total)

    # -- libvirt ----------------------------------------------------------------

    async def _libvirt(self, target: Path) -> Sequence[Path]:
        disks = _numbered(target.with_suffix(".qcow2"), len(self._drives))
        if target in disks:
            raise UsageError(f"{target} is to be the description", hint="call it NAME.xml")
        self._check(disks, "qcow2")
        kvm = self._profile.machine.accelerator != "tcg"
        text = write_libvirt(self._name, self._definition, disks, kvm=kvm)
        async with landing(self._work, *disks, target) as places:
            await self._convert(places[:-1], "qcow2", ())
            await asyncio.to_thread(places[-1].write_text, text, "utf-8")
        return (target, *disks)

    # -- OVA --------------------------------------------------------------------

    async def _ova(self, target: Path) -> Sequence[Path]:
        """The compressed disks are made in the library first: a tar says a file's size before it.

        So the stick, which is slow, is written once, and it is known before whether it fits.
        """
        check_room(self._paths.data, sum(drive.taken for drive in self._drives), IN_THE_LIBRARY)
        stem, work = self._name, self._work
        places = [work / f"{stem}-disk{n}.vmdk" for n in range(1, len(self._drives) + 1)]
        self._total += sum(drive.taken for drive in self._drives)
        await self._convert(places, "vmdk", _STREAM)
        packed = [
            PackedDisk(place.name, place.stat().st_size, drive.size)
            for place, drive in zip(places, self._drives, strict=True)
        ]
        check_fits(target, sum(disk.size for disk in packed) + 2**16)
        self._total = self._done + sum(disk.size for disk in packed)
        text = write_ovf(self._name, self._profile, packed)
        async with landing(self._work, target) as (place,):
            await pack(place, stem, text.encode(), places, self._more)
        return (target,)


def _numbered(target: Path, count: int) -> list[Path]:
    """`disk.qcow2`, `disk-2.qcow2` and so on."""
    more = (target.with_name(f"{target.stem}-{n}{target.suffix}") for n in range(2, count + 1))
    return [target, *more]


def lost(profile: Profile, kind: str) -> list[str]:
    """What of the machine the other program will not know, a line each."""
    found = []
    if profile.boot.kernel:
        found.append("the kernel that it boots directly: nothing boots its disks by themselves")
    if kind in DISK_FORMATS:
        return [*found, "everything but the disks' content"]
    if profile.boot.firmware is not Firmware.BIOS:
        found.append("the UEFI variables: its firmware looks for a boot loader anew")
        if kind == OVA:
            found.append("for VirtualBox, that it boots by UEFI: switch EFI on before its start")
    if profile.devices.tpm:
        found.append("the state of its TPM")
    if any(network.forwards for network in profile.networks):
        found.append("the ports of this computer that lead into it")
    if profile.shares:
        found.append("the directories of this computer that it shares")
    if any(disc.image for disc in profile.cdroms):
        found.append("the discs in its CD drives")
    if kind == OVA and any(drive.bus is not Bus.SATA for drive in profile.drives):
        found.append("the disks' bus: they are on SATA, and its system needs the driver for that")
    if kind == OVA and any(n.model not in (Nic.E1000, Nic.E1000E) for n in profile.networks):
        found.append("the network adapter: it is an e1000")
    return found
