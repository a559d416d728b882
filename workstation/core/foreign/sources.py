"""Where the disks and discs of a description are: in its package, or beside it."""

import asyncio
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple, Protocol

from workstation.core.foreign import libvirt_read, manifest, ovf_read, quickemu, xml
from workstation.core.foreign.boots import firmware_of
from workstation.core.foreign.described import NEW_DISK, Adapter, Described, Medium, plain_name
from workstation.core.foreign.headers import examine
from workstation.core.foreign.package import Package
from workstation.core.foreign.piece import Piece
from workstation.core.foreign.recognise import Kind
from workstation.core.foreign.unpack import put_together
from workstation.errors import InvalidError, NotFoundError
from workstation.model.profile import Bus

Told = Callable[[int], None]


class Opener(Protocol):
    """Opens a file that the description names, verified, as long as the import goes on."""

    async def __call__(self, name: str, workplace: Path, told: Told) -> Piece: ...


class Source(NamedTuple):
    """A machine, and how its media are opened; raises InvalidError for those that may not be."""

    machine: Described
    open: Opener


def source_of(path: Path, kind: Kind, opened: ExitStack) -> Source:
    """`opened` keeps open what is opened on the way."""
    match kind:
        case Kind.OVF:
            return _of_package(opened.enter_context(Package(path)))
        case Kind.LIBVIRT:
            machine = libvirt_read.read_libvirt(_text(path, xml.MOST_BYTES), path.name)
            return Source(machine, _Beside(path, opened))
        case Kind.QUICKEMU:
            text = _text(path, quickemu.MOST_BYTES).decode("utf-8", "replace")
            beside = _Beside(path, opened)
            return Source(beside.blank(quickemu.read_quickemu(text, path.name)), beside)
        case Kind.ISO:
            return Source(_installer(path), _Itself(path, opened))
        case Kind.DISK:
            return Source(_bare(path), _Itself(path, opened))
    if kind is Kind.BUNDLE:
        raise InvalidError(f"{path} is a bundle", hint=f"workstation import {path}")
    raise InvalidError(f"{path} is compressed", hint="unpack it first: gunzip, unxz or zstd -d")


async def told_more(source: Source, kind: Kind, qemu_img: str, work: Path) -> Source:
    """The same with what a look into the disk tells, where nothing else describes the machine."""
    if kind is not Kind.DISK:
        return source
    piece = await source.open(source.machine.disks[0].file, work, lambda size: None)
    disk = await asyncio.to_thread(examine, piece)
    firmware = await firmware_of(qemu_img, piece, disk, work)
    return source._replace(machine=replace(source.machine, firmware=firmware))


def _text(path: Path, most: int) -> bytes:
    with Piece(path) as piece:
        raw = piece.read(0, most + 1)
    if len(raw) > most:
        raise InvalidError(f"{path} is larger than {most // 1024} KiB: no description")
    return raw


def _installer(path: Path) -> Described:
    """A machine to install from a disc: the blank disk comes first, and boots once it can."""
    return Described(
        name=plain_name(path.stem),
        disks=(Medium("", "", NEW_DISK, Bus.SATA),),
        discs=(Medium(path.name, "iso"),),
        adapters=(Adapter(),),
    )


def _bare(path: Path) -> Described:
    """A machine around a disk of which nothing else is known."""
    return Described(
        name=plain_name(path.stem),
        disks=(Medium(path.name, "", 0, Bus.SATA),),
        adapters=(Adapter(),),
    )


class _Itself:
    """The file that was named is the disk."""

    def __init__(self, path: Path, opened: ExitStack) -> None:
        self._path, self._opened = path, opened

    async def __call__(self, name: str, workplace: Path, told: Told) -> Piece:
        return self._opened.enter_context(Piece(self._path))


class _Beside:
    """Files in the description's own directory, or below it, and no others.

    A description from a stranger could name any file of this computer.
    """

    def __init__(self, description: Path, opened: ExitStack) -> None:
        self._description, self._opened = description, opened

    def find(self, name: str) -> Path | None:
        directory = self._description.resolve().parent
        for place in (directory / name, directory / Path(name).name):
            found = place.resolve()
            if found.is_relative_to(directory) and found.is_file():
                return found
        return None

    def blank(self, machine: Described) -> Described:
        """The machine with a blank disk where its own was never made (Quickemu makes it late)."""
        there = [not one.file or self.find(one.file) is not None for one in machine.disks]
        found = list(zip(machine.disks, there, strict=True))
        disks = tuple(one if known else replace(one, file="") for one, known in found)
        lost = (f"the disk {one.file}, not beside it: blank" for one, known in found if not known)
        return replace(machine, disks=disks, dropped=(*machine.dropped, *lost))

    async def __call__(self, name: str, workplace: Path, told: Told) -> Piece:
        found = self.find(name)
        if not found:
            raise NotFoundError(
                f"{self._description.name} names the disk {name}, which is not beside it",
                hint=f"only files in {self._description.resolve().parent} are taken along: put a"
                " copy of it there",
            )
        return self._opened.enter_context(Piece(found))


def _of_package(package: Package) -> Source:
    digests = package.digests()
    text = package.description()
    ovf = ovf_read.read_ovf(text, package.name)
    machine = ovf.machine
    if not digests:
        words = "a check of its content: the package has no manifest"
        machine = replace(machine, dropped=(*machine.dropped, words))
    return Source(machine, _Packed(package, ovf.files, digests))


class _Packed:
    """Files of a package: verified against its manifest, and made one file again."""

    def __init__(
        self, package: Package, files: dict[str, ovf_read.File], digests: manifest.Digests
    ) -> None:
        self._package, self._files, self._digests = package, files, digests
        self._verified: set[str] = set()

    async def __call__(self, name: str, workplace: Path, told: Told) -> Piece:
        file = self._files[name]
        await self._verify(self._package.open(self._package.name), told)
        names = list(self._package.chunks(name)) if file.chunk else [name]
        parts = [self._package.open(one) for one in names]
        for part in parts:
            await self._verify(part, told)
        if not (file.chunk or file.gzipped):
            return parts[0]
        target = workplace / f"part{len(self._verified)}"
        piece = await put_together(name, parts, target, gzipped=file.gzipped, told=told)
        return self._package.keep(piece)

    async def _verify(self, piece: Piece, told: Told) -> None:
        if self._digests and piece.name not in self._verified:
            await manifest.verify(piece, self._digests, told)
            self._verified.add(piece.name)
