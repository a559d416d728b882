"""Something from another program becomes a machine: its disks are converted, never used as such."""

import asyncio
import os
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from workstation.core import atomic
from workstation.core.foreign.described import Described, Medium, plain_name, to_profile
from workstation.core.foreign.headers import examine
from workstation.core.foreign.limits import limits
from workstation.core.foreign.piece import Piece
from workstation.core.foreign.recognise import Kind, recognise
from workstation.core.foreign.sources import Source, source_of, told_more
from workstation.core.layers.store import Store
from workstation.core.library import library, names
from workstation.core.machine.create import create_machine
from workstation.core.room import IN_THE_LIBRARY, check_room
from workstation.errors import NotFoundError, UsageError, WorkstationError
from workstation.model.host import HostFacts
from workstation.model.layer import Layer, LayerFile
from workstation.model.profile import Firmware, Profile
from workstation.paths import Paths
from workstation.qemu import qcow2
from workstation.qemu.convert import convert
from workstation.qemu.firmware import find_firmware

if TYPE_CHECKING:
    from workstation.core.activities import Progress


_AT_ONCE = 8 * 2**20


@dataclass(frozen=True, slots=True)
class Imported:
    """What became of a file."""

    name: str
    """The new machine's."""
    kind: Kind
    dropped: tuple[str, ...]
    """A line for each thing that the machine does not have; text of a stranger's."""


async def adopt(
    paths: Paths, facts: HostFacts, path: Path, name: str, progress: "Progress"
) -> Imported:
    """Make a machine of it; it is there whole when this returns, or not at all.

    Without a name it gets the one that the file says, with a number where that is taken.
    """
    kind, wanted = await asyncio.to_thread(recognise, path), name
    with ExitStack() as opened:
        source = await asyncio.to_thread(source_of, path, kind, opened)
        said = plain_name(source.machine.name, plain_name(path.stem))
        name = wanted or fresh_name(paths, said)
        library.check_new_name(paths, name)
        store = Store(paths)
        opened.enter_context(store.adding())
        directory = opened.enter_context(store.making())
        source = await told_more(source, kind, facts.qemu_img, directory)
        _check(facts, source.machine, name)
        work = _Work(facts, source, directory, progress, opened)
        machine = await work.disks()
        discs, lost = await work.discs(paths, name)
        profile, dropped = to_profile(machine, name, discs)
        base = await _publish(store, work.files, profile, directory, path.name)
        while True:
            try:
                await create_machine(paths, facts, name, profile, based_on=str(kind), base=base)
                break
            except UsageError:
                # Somebody was quicker with that name, which nobody asked for.
                if wanted or name not in names.names(paths):
                    raise
                name = fresh_name(paths, said)
        work.keep_discs()
    return Imported(name, kind, (*dropped, *lost))


def _check(facts: HostFacts, machine: Described, name: str) -> None:
    """Refuse, before a long copy, what could not be made after it."""
    profile, _ = to_profile(machine, name, ["" for _ in machine.discs[:4]])
    if profile.boot.firmware is not Firmware.BIOS:
        find_firmware(facts, profile.boot.firmware, profile.machine.type)


def fresh_name(paths: Paths, wanted: str) -> str:
    """That name, or with a number behind it where a machine has it already."""
    taken, name, number = set(names.names(paths)), wanted, 1
    while name in taken:
        number += 1
        name = f"{wanted[: 39 - len(str(number))]}-{number}"
    return name


async def _publish(
    store: Store, files: dict[str, LayerFile], profile: Profile, directory: Path, origin: str
) -> str:
    """The layer of the converted disks; empty where all of them are blank."""
    if not files:
        return ""
    layer = Layer(
        id=directory.name,
        created=datetime.now(UTC).replace(microsecond=0),
        note="imported",
        profile=profile,
        drives=files,
    )
    store.describe(layer, directory)
    await asyncio.to_thread(store.publish, layer, directory)
    store.protect(layer.id)
    return layer.id


class _Work:
    """The copying, told as it goes on."""

    def __init__(
        self, facts: HostFacts, source: Source, directory: Path, progress: "Progress",
        opened: ExitStack,
    ) -> None:  # fmt: skip
        self.files: dict[str, LayerFile] = {}
        self._facts, self._source, self._directory = facts, source, directory
        self._progress, self._opened = progress, opened
        self._done = self._total = 0
        self._made: list[Path] = []

    async def disks(self) -> Described:
        """Convert every disk; returns the machine with their sizes as they are."""
        disks = []
        workplace = self._directory / "parts"
        workplace.mkdir(mode=0o700)
        for number, medium in enumerate(self._source.machine.disks):
            size = await self._disk(number, medium, workplace) if medium.file else medium.size
            disks.append(replace(medium, size=size))
        for leftover in workplace.iterdir():
            leftover.unlink()
        workplace.rmdir()
        return replace(self._source.machine, disks=tuple(disks))

    async def _disk(self, number: int, medium: Medium, workplace: Path) -> int:
        """Bytes that the guest will see of it."""
        piece = await self._source.open(medium.file, workplace, self._read)
        disk = await asyncio.to_thread(examine, piece, medium.format)
        check_room(self._directory, min(piece.size, disk.size), IN_THE_LIBRARY)
        file = LayerFile(name=f"drive{number}.qcow2")
        self._total = self._done + disk.size
        before = self._done
        try:
            await convert(
                self._facts.qemu_img,
                disk.node(piece),
                "qcow2",
                self._directory / file.name,
                lambda part: self._tell(before + int(part * disk.size)),
                limits=limits(piece.size, disk.size, self._directory),
                descriptors=(piece.descriptor,),
            )
        except WorkstationError as error:
            raise type(error)(
                f"{piece.name}: {error}", hint=error.hint, details=error.details
            ) from error
        self.files[f"drive{number}"] = file
        # Of a VHD, QEMU takes another size than it says where old programs would.
        return qcow2.read_header(self._directory / file.name).size

    def _read(self, size: int) -> None:
        self._tell(self._done + size)

    def _tell(self, done: int) -> None:
        self._done = done
        self._progress("", done, self._total if self._total >= done else None)

    # -- discs --------------------------------------------------------------------

    async def discs(self, paths: Paths, name: str) -> tuple[list[str], list[str]]:
        """Copies of the discs in the image library: references to them, and what is missing."""
        references, lost = [], []
        for medium in self._source.machine.discs[:4]:
            try:
                references.append(await self._disc(paths, name, medium) if medium.file else "")
            except NotFoundError:
                references.append("")
                lost.append(f"the disc {medium.file}: its drive is empty")
        return references, lost

    async def _disc(self, paths: Paths, name: str, medium: Medium) -> str:
        piece = await self._source.open(medium.file, self._directory, self._read)
        await asyncio.to_thread(examine, piece, "iso")
        paths.images.mkdir(mode=0o700, parents=True, exist_ok=True)
        atomic.clear(paths.images)
        check_room(paths.images, piece.size, IN_THE_LIBRARY)
        target = _fresh_file(paths.images, name, ".iso")
        self._made.append(target)
        self._opened.callback(self._forget_discs)
        self._total = self._done + piece.size
        await _copy(piece, target, self._read)
        return target.name

    def keep_discs(self) -> None:
        """The machine is there: its discs stay."""
        self._made.clear()

    def _forget_discs(self) -> None:
        for file in self._made:
            file.unlink(missing_ok=True)


def _fresh_file(directory: Path, name: str, ending: str) -> Path:
    path, number = directory / f"{name}{ending}", 1
    while path.exists():
        number += 1
        path = directory / f"{name}-{number}{ending}"
    return path


async def _copy(piece: Piece, target: Path, told: Callable[[int], None]) -> None:
    """The new file is there whole and lasting at the return, or not at all."""
    # So named, what a killed program leaves is found: `atomic.clear`.
    temporary, at = target.with_name(f".{target.name}.{os.getpid()}.0.new"), 0
    try:
        with temporary.open("xb") as file:
            temporary.chmod(0o600)
            while chunk := await asyncio.to_thread(piece.read, at, _AT_ONCE):
                await asyncio.to_thread(file.write, chunk)
                at += len(chunk)
                told(len(chunk))
        await asyncio.to_thread(atomic.sync, temporary)
        temporary.rename(target)
        atomic.sync_directory(target.parent)
    finally:
        temporary.unlink(missing_ok=True)
