"""What is in a file of another program, and whether it is whole: without making anything of it."""

import asyncio
import tempfile
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from workstation.core.foreign.described import Described, Medium, plain_name, to_profile
from workstation.core.foreign.headers import Disk, examine
from workstation.core.foreign.recognise import Kind, recognise
from workstation.core.foreign.sources import Source, source_of, told_more
from workstation.errors import WorkstationError
from workstation.model.profile import Profile


@dataclass(frozen=True, slots=True)
class Looked:
    """What an import would make of it, as far as a look tells; text of a stranger's."""

    kind: Kind
    name: str
    """What the machine would be called."""
    profile: Profile
    disks: tuple[tuple[str, Disk | None], ...]
    """The name of each disk's file, and what it is; None where it could not be looked at."""
    dropped: tuple[str, ...]
    problems: tuple[str, ...]
    """Why an import would be refused."""


async def look(path: Path, qemu_img: str, told: Callable[[int], None]) -> Looked:
    """Raises NotFoundError or InvalidError where nothing is understood of it.

    Each disk's headers and tables are read; of a package with a manifest, all of it.
    """
    kind = await asyncio.to_thread(recognise, path)
    with ExitStack() as opened, tempfile.TemporaryDirectory() as work:
        source = await asyncio.to_thread(source_of, path, kind, opened)
        problems, disks = [], []
        with suppress(WorkstationError):  # which is said of the disk below
            source = await told_more(source, kind, qemu_img, Path(work))
        machine = source.machine
        for medium in machine.disks:
            try:
                disks.append((medium.file, await _disk(source, medium, Path(work), told)))
            except WorkstationError as error:
                disks.append((medium.file, None))
                problems.append(str(error))
    name = plain_name(machine.name, plain_name(path.stem))
    profile, dropped = to_profile(_sized(machine, disks), name, ["" for _ in machine.discs[:4]])
    return Looked(kind, name, profile, tuple(disks), tuple(dropped), tuple(problems))


async def _disk(
    source: Source, medium: Medium, work: Path, told: Callable[[int], None]
) -> Disk | None:
    if not medium.file:
        return None
    piece = await source.open(medium.file, work, told)
    return await asyncio.to_thread(examine, piece, medium.format)


def _sized(machine: Described, disks: list[tuple[str, Disk | None]]) -> Described:
    sized = (
        replace(medium, size=disk.size) if disk else medium
        for medium, (_, disk) in zip(machine.disks, disks, strict=True)
    )
    return replace(machine, disks=tuple(sized))
