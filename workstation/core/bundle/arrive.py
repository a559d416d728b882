"""A bundle's layers into the local store: every chunk verified as it is copied.

Nothing is published before all of it is there and lasts.
"""

import os
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from workstation.core.bundle import chunks, verify
from workstation.core.bundle import origin as origins
from workstation.core.bundle.chunks import Workers
from workstation.core.bundle.origin import Origin
from workstation.core.bundle.reader import Bundle
from workstation.core.bundle.receive import Received
from workstation.core.bundle.strip import stripped
from workstation.core.bundle.verify import Piece
from workstation.core.layers import digests, heads
from workstation.core.layers.store import Store
from workstation.core.library import library
from workstation.errors import InvalidError, NotFoundError
from workstation.model.bundle import CHUNK, Content, Manifest, StoredFile, StoredLayer
from workstation.model.layer import Layer
from workstation.qemu import qcow2

Told = Callable[[int], None]


@dataclass(frozen=True)
class Arrival:
    """What of a bundle has to be copied."""

    bundle: Bundle
    layers: tuple[StoredLayer, ...]
    """Without what their profiles had of a host."""
    shared: tuple[str, ...]
    """Layers that are here already."""
    left_out: tuple[str, ...]
    """What the profiles had of a host, in a person's words."""
    received: Received | None = None
    """What has come already, of a bundle that comes through a pipe."""

    @property
    def size(self) -> int:
        return sum(file.size for layer in self.layers for file in layer.files)

    @property
    def room(self) -> int:
        """Bytes that it will take more than it does now."""
        return max(0, self.size - (self.received.taken() if self.received else 0))


@dataclass
class Ready:
    """A layer whose files are complete, in a directory that is no layer yet."""

    layer: Layer
    directory: Path
    files: dict[str, Content] = field(default_factory=dict)


def plan(store: Store, bundle: Bundle, received: Received | None = None) -> Arrival:
    """Which layers are here already; call it in a thread: it may have to read them.

    Raises NotFoundError where one is needed that is neither here nor in the bundle, and
    InvalidError where one of the same id holds something else.
    """
    here = set(store.ids())
    for needed in bundle.manifest.needed:
        if needed.id not in here:
            raise NotFoundError(
                f"{bundle} holds only what is new, and the layer {needed.id} that it stands"
                " on is not here",
                hint="import the bundle with the rest first, or export without --since",
            )
        _same_files(store, needed.id, dict(needed.files))
    shared = []
    for stored in bundle.manifest.layers:
        if stored.layer.id in here:
            same_as_here(store, stored)
            shared.append(stored.layer.id)
    _check_complete(bundle.manifest)
    clean = [(one, stripped(one.layer.profile)) for one in bundle.manifest.layers]
    missing = tuple(
        one.model_copy(update={"layer": one.layer.model_copy(update={"profile": other.profile})})
        for one, other in clean
        if one.layer.id not in shared
    )
    of_host = [text for _, other in clean for text in other.left_out]
    of_host += stripped(bundle.manifest.machine.profile).left_out
    return Arrival(bundle, missing, tuple(shared), tuple(dict.fromkeys(of_host)), received)


def _check_complete(manifest: Manifest) -> None:
    """Every drive of the machine and of its top layer has a disk below; its kernel is there."""
    layers = {one.layer.id: one for one in manifest.layers}
    top = layers.get(manifest.machine.top)
    if top is None:
        return  # all of it is here
    profiles = (manifest.machine.profile, top.layer.profile)
    wanted = {drive for profile in profiles for drive in heads.drive_ids(profile)}
    below: StoredLayer | None = top
    while below is not None:
        wanted -= set(below.layer.drives)
        parent = below.layer.parent
        if parent and parent not in layers:
            wanted = set()  # the rest is here
        below = layers.get(parent or "")
    if wanted:
        raise InvalidError(f"the bundle has no disk for {', '.join(sorted(wanted))}")
    boots = [profile.boot for profile in profiles]
    needs = {"vmlinuz": any(b.kernel for b in boots), "initrd": any(b.initrd for b in boots)}
    for name, is_needed in needs.items():
        if is_needed and not top.file(name):
            raise InvalidError(f"the machine boots a kernel, and its {name} is not in the bundle")


def same_as_here(store: Store, stored: StoredLayer) -> None:
    """Raise InvalidError unless the local layer of that id holds the same."""
    _same(store, stored.layer, stored.contents())


def _same(store: Store, layer: Layer, contents: dict[str, Content]) -> None:
    mine = store.read(layer.id)
    both = mine.memory and layer.memory
    if (mine.parent, mine.drives) != (layer.parent, layer.drives):
        raise _other(layer.id)
    if both and mine.memory != layer.memory:
        raise _other(layer.id)
    _same_files(store, layer.id, contents)


def _same_files(store: Store, layer: str, contents: dict[str, Content]) -> None:
    """Its disks are the same, and whatever else both have: one of them may lack memory."""
    known = digests.take(store, layer)
    disks = {file.name for file in store.read(layer).drives.values()}
    lacking = disks - set(contents)
    if lacking or any(known.get(name) != contents[name] for name in known.keys() & contents.keys()):
        raise _other(layer)


def _other(layer: str) -> InvalidError:
    return InvalidError(
        f"the layer {layer} is here already, and holds something else",
        hint="one of the two was forged or damaged: workstation store check looks at yours",
    )


# -- copying --------------------------------------------------------------------------


def copy(
    stack: ExitStack, store: Store, arrival: Arrival, origin: Origin, told: Told
) -> list[Ready]:
    """Copy what is missing into directories that live as long as the stack; they last."""
    ready = []
    copied: dict[tuple[int, str], Path] = {}
    with verify.opened(arrival.bundle) as descriptor, chunks.workers() as workers:
        copier = _Copier(descriptor, workers, arrival, told)
        for stored in arrival.layers:
            directory = stack.enter_context(store.making())
            for file in stored.files:
                target, key = directory / file.name, (file.size, file.digests)
                target.parent.mkdir(mode=0o700, exist_ok=True)
                if key in copied:  # a kernel, mostly: every layer has it
                    target.hardlink_to(copied[key])
                    told(file.size)
                    continue
                copier.file(file, target)
                copied[key] = target
            check_disks(stored.layer, directory)
            contents = stored.contents()
            digests.record(directory, contents)
            origins.write(directory, origin)
            store.describe(stored.layer, directory)
            library.sync_tree(directory)
            ready.append(Ready(stored.layer, directory, contents))
    return ready


class _Copier:
    """Files out of a bundle, each chunk verified."""

    def __init__(self, descriptor: int, workers: Workers, arrival: Arrival, told: Told) -> None:
        self._descriptor, self._workers, self._told = descriptor, workers, told
        self._vault, self._received = arrival.bundle.vault, arrival.received

    def file(self, file: StoredFile, target: Path) -> None:
        """Into a new file; one that has come whole through a pipe gets that name."""
        came = self._received.file(file) if self._received else None
        if came:
            target.hardlink_to(came)
            self._told(file.size)
        else:
            self._copy(file, target)

    def _copy(self, file: StoredFile, target: Path) -> None:
        made = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)

        def copy_chunk(piece: Piece) -> int:
            data = verify.read_chunk(self._descriptor, piece)
            chunks.write(made, data, piece.number * CHUNK)
            if self._received:
                self._received.used(piece.file, piece.number)
            return len(data)

        try:
            os.ftruncate(made, file.size)
            for done in self._workers.map(copy_chunk, verify.pieces([file], self._vault)):
                self._told(done)
        finally:
            os.close(made)


def check_disks(layer: Layer, directory: Path) -> None:
    """No QEMU program has seen these headers yet, and none sees a bad one.

    Disks that stay in the bundle are not looked at here.
    """
    for file in layer.drives.values():
        if file.format == "qcow2" and (directory / file.name).exists():
            qcow2.check_self_contained(directory / file.name)


# -- publishing -----------------------------------------------------------------------


def publish(store: Store, ready: list[Ready]) -> None:
    """Make them layers; one that somebody else has made meanwhile is shared."""
    for one in ready:
        try:
            store.publish(one.layer, one.directory)
        except OSError:
            if one.layer.id not in store.ids():
                raise
            _same(store, one.layer, one.files)
        else:
            store.protect(one.layer.id)
