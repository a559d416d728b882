"""Bundles that layers of the library lie in: found where they are now, and read there.

A stick is mounted where the desktop likes. So a bundle is known by its id, and looked for where it
was seen last, at the same place on every medium that is plugged in, and on those media at large.
"""

import fcntl
import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path

from workstation.core.bundle import chunks, reader, verify
from workstation.core.bundle.reader import SUFFIX, Bundle, open_bundle
from workstation.core.bundle.unlocked import Keyring
from workstation.core.host import media
from workstation.core.inplace import links
from workstation.core.inplace.links import Place
from workstation.errors import InvalidError, LockedError, NotFoundError, WorkstationError
from workstation.model.bundle import Content, StoredFile
from workstation.paths import Paths
from workstation.qemu.extent import Extent

MOST_LOOKED_AT = 50
"""Bundles on a medium that are opened to see whether one of them is it."""

_PIPE = 2**20
"""Bytes that the pipe to QEMU holds: as many as an ordinary user may ask for."""

_FEEDER_SECONDS = 5.0
"""How long the thread that fills it may take to notice that nobody reads any more."""

_NO_MEMORY = b"\0"
"""Begins no memory. QEMU waits for the first byte, and would wait for ever where none comes: the
end of an empty pipe is no event to it (G_IO_HUP without G_IO_IN, migration/fd.c)."""

Stamp = tuple[int, int, int, int]


class Carried:
    """The bundles that this library's layers lie in, opened when they are asked for."""

    def __init__(self, paths: Paths) -> None:
        self._bundles = paths.bundles
        self.keyring = Keyring(paths)
        self._open: dict[str, tuple[Stamp, Bundle]] = {}

    def bundle(self, identity: str) -> Bundle:
        """Raises NotFoundError, saying what to plug in, where it is nowhere."""
        if identity in self._open:
            stamp, bundle = self._open[identity]
            shut = bundle.vault and not self.keyring.vault(identity)
            if _stamp(bundle.path) == stamp and not shut:
                return bundle
        found = self._find(identity)
        if now := _stamp(found.path):
            self._open[identity] = (now, found)
        return found

    def extent(self, identity: str, layer: str, name: str) -> Extent:
        """Where a file lies that QEMU reads in place."""
        return self.bundle(identity).extent(layer, name)

    def differing(
        self, identity: str, layer: str, known: Mapping[str, Content], names: Iterable[str]
    ) -> list[str]:
        """Those of a layer's files that are not as they were; reads all of them."""
        bundle = self.bundle(identity)
        return [name for name in names if not _is(bundle, bundle.file(layer, name), known)]

    def _find(self, identity: str) -> Bundle:
        seen = links.place(self._bundles, identity)
        locked = None
        for path in _candidates(seen):
            with suppress(WorkstationError, OSError):
                if reader.id_of(path) != identity:
                    continue
                try:
                    bundle = open_bundle(path, known=self.keyring.vault)
                except LockedError as error:
                    locked = error
                    continue
                if not seen or str(path) != seen.path:
                    remember(self._bundles, bundle)
                return bundle
        raise locked or gone(seen)


def gone(seen: Place | None) -> NotFoundError:
    """What to say of a bundle that is nowhere."""
    what = links.named(seen) if seen else "a bundle that layers lie in"
    return NotFoundError(
        f"{what} is not there, and disks of the machine lie in it",
        hint="plug it in again; if the file was moved: workstation open FILE --for NAME",
    )


def remember(bundles: Path, bundle: Bundle) -> None:
    """Where a bundle is now."""
    path = bundle.path.resolve()
    medium = media.medium_of(path)
    carried = medium if medium and medium.removable else None
    links.remember(
        bundles,
        bundle.manifest.id,
        Place(
            path=str(path),
            medium=carried.name if carried else "",
            inside=str(path.relative_to(carried.path)) if carried else "",
        ),
    )


def _is(bundle: Bundle, file: StoredFile, known: Mapping[str, Content]) -> bool:
    """Whether a file is what its bundle says, and what the library knew of it."""
    before = known.get(file.name)
    if before and (before.size, before.digests) != (file.size, file.digests):
        return False
    try:
        verify.check_content(bundle, [file], lambda done: None)
    except InvalidError:
        return False
    return True


def _candidates(seen: Place | None) -> Iterator[Path]:
    if seen:
        yield Path(seen.path)
    plugged = media.removable()
    if seen and seen.inside:
        yield from (medium.path / seen.inside for medium in plugged)
    for medium in plugged:
        yield from islice(bundles_on(medium.path), MOST_LOOKED_AT)


def bundles_on(directory: Path) -> Iterator[Path]:
    """Bundles in a directory and those right below it, as they come."""
    for pattern in (f"*{SUFFIX}", f"*/*{SUFFIX}"):
        with suppress(OSError):
            for file in directory.glob(pattern):
                if not file.name.startswith("."):
                    yield file


def _stamp(path: Path) -> Stamp | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


# -- content that is verified as it is read -----------------------------------------


def content(bundle: Bundle, file: StoredFile) -> Iterator[bytes | memoryview]:
    """A file chunk by chunk; raises InvalidError at one that is not as it was written."""
    with verify.opened(bundle) as descriptor:
        if file.chunks <= 1:
            for piece in verify.pieces([file], bundle.vault):
                yield verify.read_chunk(descriptor, piece)
            return
        with chunks.workers() as workers:
            # A thread's buffer is good until it reads its next chunk: those are read ahead here.
            yield from workers.map(
                lambda piece: bytes(verify.read_chunk(descriptor, piece)),
                verify.pieces([file], bundle.vault),
            )


def put(
    bundle: Bundle, file: StoredFile, target: Path, told: Callable[[int], None] = lambda done: None
) -> None:
    """`target`, a new file, gets the content, verified; call it in a thread.

    `told` gets the bytes of each chunk that was written, and may raise to end it.
    """
    with target.open("xb") as writer:
        os.fchmod(writer.fileno(), 0o600)
        for chunk in content(bundle, file):
            writer.write(chunk)
            told(len(chunk))


class CarriedFile:
    """A file that lies in a bundle and is read there, verified."""

    def __init__(self, bundle: Bundle, layer: str, name: str) -> None:
        self._bundle = bundle
        self._file = bundle.file(layer, name)
        self.trouble: WorkstationError | OSError | None = None

    def put(self, target: Path) -> None:
        put(self._bundle, self._file, target)

    copy = put

    @contextmanager
    def handed(self) -> Iterator[int]:
        """A descriptor that gives the content: a pipe, into which only what is whole is put.

        So nothing that was not verified reaches QEMU, and all of it is read once.
        """
        reader, writer = os.pipe2(os.O_CLOEXEC)
        with suppress(PermissionError):  # this user has as much in pipes as is allowed
            fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, _PIPE)
        feeder = threading.Thread(target=self._feed, args=(writer,), daemon=True)
        feeder.start()
        try:
            yield reader
        finally:
            os.close(reader)
            feeder.join(_FEEDER_SECONDS)

    def _feed(self, writer: int) -> None:
        fed = 0
        # QEMU may have ended: it says itself why.
        with open(writer, "wb", buffering=0) as pipe, suppress(BrokenPipeError):
            try:
                self._check_the_end()
                for chunk in content(self._bundle, self._file):
                    view = memoryview(chunk)
                    while view:
                        fed += (written := pipe.write(view))
                        view = view[written:]
            except BrokenPipeError:
                raise
            except (WorkstationError, OSError) as error:
                self.trouble = error
                if not fed:
                    pipe.write(_NO_MEMORY)

    def _check_the_end(self) -> None:
        """The last chunk may hold nothing but the description that ends a memory: QEMU lets its
        guest go on without that (qemu_loadvm_state), so it is too late to miss it then."""
        with verify.opened(self._bundle) as descriptor:
            for last in deque(verify.pieces([self._file], self._bundle.vault), maxlen=1):
                verify.check_chunk(descriptor, last)
