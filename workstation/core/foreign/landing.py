"""A file that is put where a person wants it: checked before, there whole or not at all."""

import asyncio
import os
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from workstation.core import atomic
from workstation.core.host import media
from workstation.core.library import library
from workstation.core.room import check_room
from workstation.errors import HostError, NotFoundError, UsageError
from workstation.model.units import format_size


def check_target(target: Path) -> None:
    """Raises UsageError or NotFoundError where nothing can be put there."""
    if not target.parent.is_dir():
        raise NotFoundError(f"there is no directory {target.parent}", hint="make it first")
    if target.is_dir():
        raise UsageError(f"{target} is a directory", hint="give a file's name in it too")
    if os.path.lexists(target):
        raise UsageError(f"there is a file {target} already", hint="take another name")


def check_fits(target: Path, size: int) -> None:
    """Raises HostError where a file of that size has no room there, or may not be so large."""
    medium = media.medium_of(target)
    most = medium.largest_file if medium else None
    if medium and most and size > most:
        raise HostError(
            f"{target.name} may become {format_size(size)}, and a file on {medium.name}"
            f" ({medium.filesystem}) may have 4 GiB",
            hint="take another disk, or a bundle, whose disks are packed:"
            f" workstation export NAME {target.parent} --compress zstd",
        )
    check_room(target.parent, size, "make room there, or choose another place")


@asynccontextmanager
async def landing(work: Path, *targets: Path) -> AsyncIterator[tuple[Path, ...]]:
    """Other names beside the targets, to write to; they become the targets, in their order.

    At the end of the block they last; where it fails nothing of them is left. After a kill the
    next start takes them away: the workplace `work` says where they are.
    """
    mark = secrets.token_hex(4)
    # FAT has no hidden files, and names of up to 255 characters: the target's own name stays out.
    temporary = tuple(
        target.with_name(f".{number}-{mark}.part") for number, target in enumerate(targets)
    )
    await asyncio.to_thread(library.note_elsewhere, work, temporary)
    try:
        yield temporary
        for file in temporary:
            await asyncio.to_thread(atomic.sync, file)
        for file, target in zip(temporary, targets, strict=True):
            check_target(target)
            file.rename(target)
        await asyncio.to_thread(atomic.sync_directory, targets[0].parent)
    finally:
        for file in temporary:
            with suppress(OSError):
                file.unlink(missing_ok=True)
