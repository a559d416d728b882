"""Where bytes lie: a whole file, or a part of a larger one that is read in place."""

import io
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import BufferedReader
from pathlib import Path

from workstation.qemu import luks

_SECTORS = 4096
"""Bytes that are decrypted ahead: of most disks only the header is read here."""


@dataclass(frozen=True, slots=True)
class Container:
    """A LUKS container that reaches to the end of a file (luks.py)."""

    at: int
    """Where in the file its header begins."""
    name: str
    """What a QEMU knows its secret by."""
    key: bytes = field(repr=False)

    @property
    def begins(self) -> int:
        """Where in the file its sector 0 lies."""
        return self.at + luks.HEADER


@dataclass(frozen=True, slots=True)
class Extent:
    """All of a file, or the bytes `offset` to `offset + size` of it.

    A layer's files are files of their own in the local library, and parts of one file where they
    lie in a bundle. Whoever reads a layer reads extents and need not know which.
    """

    path: Path
    offset: int = 0
    """Bytes; a multiple of 512 where QEMU is to read it."""
    size: int | None = None
    """Bytes; None for a whole file."""
    sealed: Container | None = None
    """What those bytes are encrypted in; whoever reads them here gets what is in them."""

    @classmethod
    def of(cls, place: "Path | Extent") -> "Extent":
        """A path stands for the whole file."""
        return place if isinstance(place, Extent) else Extent(place)

    @property
    def trouble(self) -> Exception | None:
        """What is handed out is the file itself: nothing can go wrong beside it."""
        return None

    @property
    def whole(self) -> bool:
        """Whether it is a file of its own."""
        return self.size is None

    def length(self) -> int:
        """Bytes."""
        return self.path.stat().st_size if self.size is None else self.size

    def taken(self) -> int:
        """Bytes on the disk: fewer than `length` in a file with holes."""
        return self.path.stat().st_blocks * 512 if self.size is None else self.size

    def there(self) -> bool:
        """Whether the file is there, and long enough."""
        try:
            return self.path.stat().st_size >= self.offset + (self.size or 0)
        except OSError:
            return False

    def open(self) -> BufferedReader:
        """Read it as if it were a file of its own."""
        if self.size is None:
            return self.path.open("rb")
        return BufferedReader(_Window(self), _SECTORS if self.sealed else 2**20)

    @contextmanager
    def handed(self) -> Iterator[int]:
        """A descriptor that gives the content from its beginning on; nothing marks its end."""
        descriptor = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.lseek(descriptor, self.offset, os.SEEK_SET)
            yield descriptor
        finally:
            os.close(descriptor)

    def put(self, target: Path) -> None:
        """`target`, a new file, gets the content: by a second name where that can be."""
        if self.size is None:
            target.hardlink_to(self.path)
        else:
            self.copy(target)

    def copy(self, target: Path) -> None:
        """`target`, a new file, gets a copy that may be written; call it in a thread."""
        with self.open() as reader, target.open("xb") as writer:
            os.fchmod(writer.fileno(), 0o600)
            shutil.copyfileobj(reader, writer, 2**20)


class _Window(io.RawIOBase):
    """A part of a file as a file."""

    def __init__(self, extent: Extent) -> None:
        self._sealed = extent.sealed
        self._offset = extent.offset
        self._size = extent.length()
        self._file = extent.path.open("rb", buffering=0)
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        self._at = max(0, base + offset)
        return self._at

    def readinto(self, buffer: "memoryview[int]") -> int:  # type: ignore[override]
        wanted = min(len(buffer), max(0, self._size - self._at))
        target = memoryview(buffer)[:wanted]
        if self._sealed:
            read = self._decrypted(self._sealed, target)
        else:
            read = os.preadv(self._file.fileno(), [target], self._offset + self._at)
        self._at += read
        return read

    def _decrypted(self, sealed: Container, target: "memoryview[int]") -> int:
        """Whole sectors around what is wanted."""
        first, last = self._at // luks.SECTOR, -(-(self._at + len(target)) // luks.SECTOR)
        place = self._offset + first * luks.SECTOR
        raw = os.pread(self._file.fileno(), (last - first) * luks.SECTOR, place)
        raw = raw[: len(raw) // luks.SECTOR * luks.SECTOR]
        data = luks.decrypt(sealed.key, raw, (place - sealed.begins) // luks.SECTOR)
        data = data[self._at - first * luks.SECTOR :][: len(target)]
        target[: len(data)] = data
        return len(data)

    def close(self) -> None:
        self._file.close()
        super().close()
