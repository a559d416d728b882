"""A stretch of a file that somebody else made, opened once: what was checked is what is read."""

import os
import stat
from pathlib import Path
from types import TracebackType
from typing import Self

from workstation.errors import InvalidError, NotFoundError
from workstation.qemu.blockdev import Node


class Piece:
    """A file, or a part of it, by a descriptor: whatever becomes of its name meanwhile."""

    def __init__(self, path: Path) -> None:
        """Raises NotFoundError or InvalidError where it is no file that can be read."""
        self.path = path
        self.name = path.name
        self.offset, self.whole = 0, True
        try:
            # Without blocking: it might be a pipe, which is said below.
            self.descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except FileNotFoundError:
            raise NotFoundError(f"there is no file {path}", hint="check the path") from None
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or "its path cannot be used"
            raise InvalidError(f"{path} cannot be read: {reason}", hint="check its mode") from error
        status = os.fstat(self.descriptor)
        self.size = status.st_size
        if not stat.S_ISREG(status.st_mode):
            self.close()
            raise InvalidError(f"{path} is not a file")

    def part(self, name: str, offset: int, size: int) -> "Piece":
        """A part of it, with a descriptor of its own; it must lie within."""
        if not 0 <= offset <= offset + size <= self.size:
            raise InvalidError(f"{self.name} ends too early", hint="copy it anew")
        made = object.__new__(Piece)
        made.path, made.name, made.whole = self.path, name, False
        made.offset, made.size = self.offset + offset, size
        made.descriptor = os.dup(self.descriptor)
        return made

    def read(self, offset: int, length: int) -> bytes:
        """Bytes from there on: fewer at its end, and none where that is before its beginning."""
        length = max(0, min(length, self.size - offset)) if offset >= 0 else 0
        return os.pread(self.descriptor, length, self.offset + offset) if length else b""

    def exactly(self, offset: int, length: int) -> bytes:
        """All of those bytes; raises InvalidError where it has not that many."""
        data = self.read(offset, length)
        if len(data) < length:
            raise InvalidError(f"{self.name} ends too early", hint="copy it anew")
        return data

    def node(self) -> Node:
        """What QEMU opens: the descriptor, so that no name is ever taken for something else.

        The program that is given it needs the descriptor too.
        """
        file: Node = {"driver": "file", "filename": f"/proc/self/fd/{self.descriptor}"}
        if self.whole:
            return file
        return {"driver": "raw", "offset": self.offset, "size": self.size, "file": file}

    def close(self) -> None:
        os.close(self.descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self.close()
