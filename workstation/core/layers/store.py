"""The local store: frozen layers, each a directory that is there whole or not at all.

    layers/ID/layer.json    what it is; written last
    layers/ID/*.qcow2       one overlay a drive (at the bottom: an image), mode 0400
    layers/ID/memory        QEMU's migration stream, where the guest ran
    layers/ID/digests.json  SHA-256 of each file's chunks, added some time after the freeze
    layers/ID/origin.json   who had signed it, where it came in a bundle
    layers/ID/link.json     where its disks and memory lie, if they stay in a bundle (links.py)

A layer is kept as long as a machine's history leads to it. Whoever adds layers holds the store's
lock shared until a history names them; the collector holds it alone.
"""

import fcntl
import os
import secrets
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from pydantic import TypeAdapter

from workstation.core import atomic
from workstation.core.inplace import links
from workstation.core.inplace.links import LINK, Link
from workstation.core.library import library
from workstation.errors import BusyError, NotFoundError
from workstation.model.bundle import Content
from workstation.model.layer import Layer
from workstation.paths import Paths
from workstation.qemu.blockdev import DiskFile
from workstation.qemu.extent import Extent

if TYPE_CHECKING:
    from workstation.core.bundle.reader import Bundle
    from workstation.core.bundle.unlocked import Keyring
    from workstation.core.inplace.carried import Carried

MANIFEST = "layer.json"
DIGESTS = "digests.json"
ORIGIN = "origin.json"

_CONTENTS = TypeAdapter(dict[str, Content])

ABOUT = (MANIFEST, DIGESTS, ORIGIN, LINK)
"""What tells of a layer, and is no part of what it holds."""


class Source(Protocol):
    """A file of a layer, wherever it lies."""

    @property
    def trouble(self) -> Exception | None:
        """Why what was handed out ended early."""

    def put(self, target: Path) -> None:
        """`target`, a new file, gets it: by a second name where that can be."""

    def copy(self, target: Path) -> None:
        """The same, and it may be written."""

    def handed(self) -> AbstractContextManager[int]:
        """A descriptor that gives it, for a QEMU that reads it once."""


class Store:
    """The layers of this user."""

    def __init__(self, paths: Paths) -> None:
        self.paths = paths
        self._known: dict[str, Layer] = {}
        self.being_digested: set[str] = set()
        """Layers that an export of this program reads, which takes their digests as it goes."""

    def directory(self, layer: str) -> Path:
        return self.paths.layers / layer

    def ids(self) -> list[str]:
        """Every layer's id, sorted."""
        with suppress(FileNotFoundError):
            return sorted(entry.name for entry in self.paths.layers.iterdir())
        return []

    def read(self, layer: str) -> Layer:
        """Raises NotFoundError where it is missing or its manifest cannot be read."""
        file = self.directory(layer) / MANIFEST
        # Another program may have deleted one that is known.
        if layer not in self._known or not file.exists():
            try:
                self._known[layer] = Layer.model_validate_json(file.read_bytes())
            except (OSError, ValueError) as error:
                raise NotFoundError(
                    f"the layer {layer} is missing or broken",
                    hint="workstation store check says what depends on it",
                    details=str(error),
                ) from error
        return self._known[layer]

    def forget(self) -> None:
        """Read every manifest anew from now on."""
        self._known.clear()

    def chain(self, layer: str | None) -> list[Layer]:
        """The layer and those below it, from the top to the bottom."""
        found: list[Layer] = []
        while layer is not None:
            found.append(self.read(layer))
            layer = found[-1].parent
        return found

    def disk_files(self, layer: str | None, drive: str) -> tuple[DiskFile, ...]:
        """The files of a drive, from the top to the bottom; a layer without it adds none."""
        return tuple(self.disk_file(one, drive) for one in self.chain(layer) if drive in one.drives)

    def disk_file(self, layer: Layer, drive: str) -> DiskFile:
        """What a layer has of a drive."""
        file = layer.drives[drive]
        place = self.extent(layer.id, file.name)
        return DiskFile(place.path, place.offset, place.size, place.sealed, file.format)

    def extent(self, layer: str, name: str) -> Extent:
        """Where QEMU finds a file of a layer: in its directory, or inside a bundle.

        What has settled in goes before the bundle. Raises NotFoundError where that is needed and
        not there; any other file need not be.
        """
        link = self._link_of(layer, name)
        if link:
            return self._carried.extent(link.bundle, layer, name)
        return Extent(self.directory(layer) / name)

    def _link_of(self, layer: str, name: str) -> Link | None:
        """Where the file has to be read in a bundle."""
        link = self.link(layer)
        away = link and name in link.files and not (self.directory(layer) / name).exists()
        return link if away else None

    def source(self, layer: str, name: str) -> Source:
        """A file of a layer to be read from its beginning to its end."""
        link = self._link_of(layer, name)
        if link:
            from workstation.core.inplace.carried import CarriedFile

            return CarriedFile(self._carried.bundle(link.bundle), layer, name)
        return Extent(self.directory(layer) / name)

    def sources(self, layer: str) -> dict[str, Source]:
        """All that a layer holds, by its names in the layer's directory."""
        return {name: self.source(layer, name) for name in self.contents(layer)}

    def contents(self, layer: str) -> list[str]:
        """The names of the files that make up a layer; `extent` says where each lies."""
        directory, link = self.directory(layer), self.link(layer)
        names = {str(file.relative_to(directory)) for file in self.files(layer)}
        return sorted((names | set(link.files if link else ())) - set(ABOUT))

    def carry_origin(self, layer: str, directory: Path) -> None:
        """What is made of a layer in that directory comes from where the layer comes from."""
        with suppress(FileNotFoundError):
            (directory / ORIGIN).hardlink_to(self.directory(layer) / ORIGIN)

    def link(self, layer: str) -> Link | None:
        """Which of its files stay in a bundle; None where all of it is in the library."""
        return links.read(self.directory(layer))

    def bundle(self, identity: str) -> "Bundle":
        """The bundle that layers lie in; raises NotFoundError where it is not there."""
        return self._carried.bundle(identity)

    def carried_differing(self, layer: str) -> list[str]:
        """Of the files that stay in a bundle, those that are not as they were; reads all of them.

        Raises NotFoundError where the bundle is not there.
        """
        link, known = self.link(layer), self.digests(layer)
        return self._carried.differing(link.bundle, layer, known, link.files) if link else []

    @property
    def keyring(self) -> "Keyring":
        """The keys of encrypted bundles that are at hand."""
        return self._carried.keyring

    @cached_property
    def _carried(self) -> "Carried":
        from workstation.core.inplace.carried import Carried

        return Carried(self.paths)

    # -- adding -------------------------------------------------------------

    @contextmanager
    def adding(self) -> Iterator[None]:
        """Layers added in the block are not collected before a history names them."""
        with self._locked(fcntl.LOCK_SH):
            yield

    @contextmanager
    def alone(self, *, wait: bool = True) -> Iterator[None]:
        """Nobody adds layers in the block; waits for those who do now, or raises BusyError."""
        with self._locked(fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB):
            yield

    def bury(self, layer: str) -> Path:
        """Take a layer from the list; returns its new place, to be removed."""
        self._known.pop(layer, None)
        return library.bury(self.paths, self.directory(layer))

    @contextmanager
    def _locked(self, kind: int) -> Iterator[None]:
        self.paths.layers.mkdir(mode=0o700, exist_ok=True)
        held = os.open(self.paths.store_lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            try:
                fcntl.flock(held, kind)
            except BlockingIOError as error:
                raise BusyError("layers are being added", hint="try again later") from error
            yield
        finally:
            os.close(held)

    @contextmanager
    def making(self, layer: str = "") -> Iterator[Path]:
        """A directory, named by the new layer's id, to put the layer's files in.

        `publish` makes it a layer; otherwise it is gone at the end of the block.
        """
        with library.workplace(self.paths, layer or secrets.token_hex(8)) as directory:
            yield directory

    def describe(self, layer: Layer, directory: Path) -> None:
        """Write the manifest of a layer that is being made."""
        (directory / MANIFEST).write_text(layer.model_dump_json(indent=1))

    def publish(self, layer: Layer, directory: Path) -> None:
        """Make the directory, described before, the layer: lasting and listed at the return."""
        library.sync_tree(directory)
        atomic.sync_directory(directory)
        directory.rename(self.directory(layer.id))
        atomic.sync_directory(self.paths.layers)
        self._known[layer.id] = layer

    def files(self, layer: str) -> list[Path]:
        """All of a layer's files; not what is only just being added (its digests)."""
        found = self.directory(layer).rglob("*")
        return [file for file in found if not file.name.startswith(".") and file.is_file()]

    def protect(self, layer: str) -> None:
        """Take the right to write away, once nothing else goes by the files' other names."""
        for file in self.files(layer):
            file.chmod(0o400)

    # -- keeping ------------------------------------------------------------

    def reachable(self, roots: Iterable[str]) -> set[str]:
        """The layers that those stand on, themselves included; missing ones end a chain."""
        found: set[str] = set()
        for root in roots:
            layer: str | None = root
            while layer is not None and layer not in found:
                found.add(layer)
                with suppress(NotFoundError):
                    layer = self.read(layer).parent
                    continue
                break
        return found

    def taken(self, layer: str) -> int:
        """Bytes that the layer takes on this disk."""
        return sum(file.stat().st_blocks * 512 for file in self.files(layer))

    def bytes_of(self, layer: str, name: str) -> int:
        """Bytes of one of its files, wherever it lies; 0 where there is none."""
        link = self._link_of(layer, name)
        if link:
            return link.files[name][1]
        try:
            return (self.directory(layer) / name).stat().st_size
        except OSError:
            return 0

    def size(self, layer: str) -> int:
        """Bytes that it takes, wherever it lies."""
        link = self.link(layer)
        return self.taken(layer) + (link.size if link else 0)

    def digests(self, layer: str) -> dict[str, Content]:
        """What each file holds, by its name; empty while that was not looked at."""
        try:
            return _CONTENTS.validate_json((self.directory(layer) / DIGESTS).read_bytes())
        except (OSError, ValueError):
            return {}
