"""What is to be exported: which layers, without their host, and their files held open.

A file that is open can be read to its end, whatever happens to its layer meanwhile.
"""

import os
from collections.abc import Iterable
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path

from workstation.core.bundle import chunks, verify
from workstation.core.bundle.strip import stripped
from workstation.core.bundle.vault import Vault
from workstation.core.bundle.verify import Piece
from workstation.core.layers import digests, heads
from workstation.core.layers.store import Store
from workstation.errors import InvalidError
from workstation.model.bundle import (
    CHUNK,
    MOST_LAYERS,
    Content,
    NeededLayer,
    StoredFile,
    StoredLayer,
)
from workstation.model.layer import Layer
from workstation.qemu import qcow2


@dataclass(frozen=True)
class SourceFile:
    """A file to be read; held open by whoever made this."""

    name: str
    descriptor: int
    size: int
    known: Content | None = None
    """What it must hold; None where nobody has looked yet."""
    stored: StoredFile | None = None
    """Where it lies in the bundle that is open, if it is no file of its own."""
    vault: Vault | None = field(default=None, repr=False)
    """What opens it there."""

    def read(self, chunk: int) -> bytes | memoryview:
        """One chunk, as it is; good until the calling thread reads its next one."""
        if self.stored:
            return verify.read_chunk(self.descriptor, Piece(self.stored, chunk, self.vault))
        at = chunk * CHUNK
        return chunks.read_here(self.descriptor, at, min(CHUNK, self.size - at))

    def at(self, offset: int, size: int) -> bytes:
        """Bytes of a file that lies in one piece, as they are now: nobody looks at digests."""
        size = max(0, min(size, self.size - offset))
        if not self.stored:
            return chunks.read(self.descriptor, offset, size)
        return verify.read_bytes(self.descriptor, self.stored, self.vault, offset, size)


@dataclass(frozen=True)
class SourceLayer:
    layer: Layer
    """As it is to be in the bundle."""
    files: tuple[SourceFile, ...]
    left_out: tuple[str, ...] = ()
    made_of: str | None = None
    """The layer that it is to be a packed copy of."""
    bottom: frozenset[str] = frozenset()
    """The drives that nothing lies below."""
    undigested: Path | None = None
    """Its directory in the library, where nobody has looked yet what its files hold."""

    @property
    def size(self) -> int:
        return sum(file.size for file in self.files)

    def drives(self) -> dict[str, Content]:
        """What its drives hold, as far as that is known."""
        names = {file.name for file in self.layer.drives.values()}
        return {file.name: file.known for file in self.files if file.name in names and file.known}

    def learn(self, stored: StoredLayer) -> None:
        """What its files hold was seen while they were written: the library keeps that."""
        if self.undigested:
            with suppress(OSError):  # collected meanwhile, or no room: it is not needed for this
                digests.record(self.undigested, stored.contents())


def ordered(store: Store, roots: Iterable[str]) -> list[Layer]:
    """The layers that those stand on, themselves included; those below come first."""
    found: dict[str, Layer] = {}
    for root in roots:
        for layer in reversed(store.chain(root)):
            found.setdefault(layer.id, layer)
    if len(found) > MOST_LAYERS:
        raise InvalidError(
            f"a bundle takes {MOST_LAYERS} layers, and these are {len(found)}",
            hint="take less along: --tag or --flatten",
        )
    return list(found.values())


def hold(stack: ExitStack, store: Store, layer: Layer, *, memory: bool) -> SourceLayer:
    """A layer of a store, its files open until the stack is left."""
    sizes = {
        drive: qcow2.virtual_size(store.disk_file(layer, drive), file.format)
        for drive, file in layer.drives.items()
    }
    clean = stripped(layer.profile, sizes, memory=memory and layer.memory is not None)
    changed = layer.model_copy(
        update={"profile": clean.profile, "memory": layer.memory if clean.memory else None}
    )
    known = store.digests(layer.id)
    left = set() if clean.memory else heads.of_memory(layer)
    files = tuple(
        _open(stack, store, layer.id, name, known.get(name))
        for name in sorted(store.contents(layer.id))
        if name not in left
    )
    undigested = None if known or left else store.directory(layer.id)
    if undigested:
        store.being_digested.add(layer.id)
        stack.callback(store.being_digested.discard, layer.id)
    return SourceLayer(changed, files, clean.left_out, undigested=undigested)


def _open(
    stack: ExitStack, store: Store, layer: str, name: str, known: Content | None
) -> SourceFile:
    local, link = store.directory(layer) / name, store.link(layer)
    if link and name in link.files and not local.exists():
        bundle = store.bundle(link.bundle)
        stored = bundle.file(layer, name)
        return SourceFile(name, _held(stack, bundle.path), stored.size, known, stored, bundle.vault)
    descriptor = _held(stack, local)
    return SourceFile(name, descriptor, os.fstat(descriptor).st_size, known)


def _held(stack: ExitStack, path: Path) -> int:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    stack.callback(os.close, descriptor)
    return descriptor


def hold_directory(stack: ExitStack, layer: Layer, directory: Path) -> SourceLayer:
    """A layer that lies in a directory of its own and in no store."""
    files = []
    for path in sorted(directory.rglob("*")):
        if path.is_file():
            descriptor = _held(stack, path)
            name = str(path.relative_to(directory))
            files.append(SourceFile(name, descriptor, os.fstat(descriptor).st_size))
    return SourceLayer(layer, tuple(files))


def needed(store: Store, layers: Iterable[Layer]) -> tuple[NeededLayer, ...]:
    """Layers that are not taken along, and by what whoever has them knows them."""
    found = []
    for layer in layers:
        known = store.digests(layer.id)
        found.append(NeededLayer(id=layer.id, files=dict(sorted(known.items()))))
    return tuple(found)
