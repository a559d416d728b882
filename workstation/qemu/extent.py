"""Where bytes lie: a whole file, or a part of a larger one that is read in place."""

import io
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path


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
        return BufferedReader(_Window(self), 2**20)

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
        read = os.preadv(
            self._file.fileno(), [memoryview(buffer)[:wanted]], self._offset + self._at
        )
        self._at += read
        return read

    def close(self) -> None:
        self._file.close()
        super().close()
