"""The head of a machine that boots cold has every drive of its profile, each large enough."""

import asyncio
from pathlib import Path

from workstation.core.layers import heads
from workstation.core.layers.store import Store
from workstation.core.machine import run
from workstation.errors import InvalidError, UsageError
from workstation.model.host import HostFacts
from workstation.model.profile import Drive, Profile
from workstation.model.units import format_size
from workstation.paths import MachinePaths
from workstation.qemu import image, qcow2


def check_drives(old: Profile, new: Profile) -> None:
    """Raise UsageError where the drives of a machine could not become those."""
    for number, (before, after) in enumerate(zip(old.drives, new.drives, strict=False)):
        if after.image != before.image:
            raise UsageError(
                f"drives[{number}].image is what the drive began as: it stays",
                hint="make a new machine from the other image",
            )
        if before.size and (not after.size or after.size < before.size):
            raise UsageError(
                f"drives[{number}].size: a drive of {format_size(before.size)} cannot become"
                " smaller",
                hint="add a smaller drive, and copy in the guest",
            )
    for number, drive in list(enumerate(new.drives))[len(old.drives) :]:
        if drive.image:
            raise UsageError(
                f"drives[{number}].image: a drive that is added later starts blank",
                hint="import the image as a machine of its own, or copy it in the guest",
            )


async def fit(
    paths: MachinePaths, store: Store, facts: HostFacts, profile: Profile, known: int
) -> None:
    """Make the drives behind the first `known`, and let grow what is too small; QEMU must not run.

    One of the known that is missing is lost, which is for QEMU to say: a blank one would hide it.
    """
    head = heads.read_history(paths).head
    if head.resume:
        return  # its memory knows the disks as they are
    for number, drive in enumerate(profile.drives):
        file = paths.overlay(head.id, f"drive{number}")
        there = file.exists()
        if not there and number >= known:
            size = _size(store, head.layer, number, drive)
            await heads.add_overlay(paths, head.id, f"drive{number}", size)
        elif there and drive.size and rounded(drive.size) > _shown(file):
            await image.resize(facts.qemu_img, file, rounded(drive.size))
            await asyncio.to_thread(heads.sync, paths.head(head.id))


def known_drives(paths: MachinePaths, profile: Profile) -> int:
    """How many drives the machine had when it ran last; those behind them were added since."""
    record = run.read(paths)
    last = record.profile.get("drives") if record and record.profile else None
    return len(profile.drives if last is None else last)


def _shown(file: Path) -> int:
    """Bytes that an overlay shows. What a damaged one lacks is for QEMU to say."""
    try:
        return qcow2.read_header(file).size
    except InvalidError:
        return qcow2.LARGEST


def _size(store: Store, layer: str | None, number: int, drive: Drive) -> int:
    below = store.disk_files(layer, f"drive{number}")
    least = qcow2.virtual_size(below[0], below[0].format) if below else 0
    return max(least, drive.size or 0)


def rounded(size: int) -> int:
    """Up to a whole sector."""
    return -(-size // 512) * 512
