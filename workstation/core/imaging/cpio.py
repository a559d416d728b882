"""The newc archive that the Linux kernel unpacks as its first root file system.

The format is in the kernel's Documentation/driver-api/early-userspace/buffer-format.rst.
Device nodes are only entries here, so that no root is needed to write them.
"""

import stat
from pathlib import PurePosixPath
from typing import IO

_MAGIC = b"070701"
_END = "TRAILER!!!"


class Archive:
    """Collects entries; parents come by themselves. Names are relative: `bin/busybox`."""

    def __init__(self) -> None:
        self._entries: dict[str, tuple[int, bytes, tuple[int, int]]] = {}

    def file(self, name: str, data: bytes, mode: int = 0o644) -> None:
        self._add(name, stat.S_IFREG | mode, data)

    def directory(self, name: str, mode: int = 0o755) -> None:
        self._add(name, stat.S_IFDIR | mode)

    def link(self, name: str, target: str) -> None:
        self._add(name, stat.S_IFLNK | 0o777, target.encode())

    def character_device(self, name: str, major: int, minor: int, mode: int = 0o600) -> None:
        self._add(name, stat.S_IFCHR | mode, device=(major, minor))

    def write(self, stream: IO[bytes]) -> None:
        """The same entries give the same bytes: everything is root's, and from 1970."""
        # A parent sorts before what lies in it, as the kernel needs it.
        for number, name in enumerate(sorted(self._entries), 1):
            mode, data, device = self._entries[name]
            stream.write(_record(number, name, mode, data, device))
        stream.write(_record(0, _END, 0, b"", (0, 0)))

    def _add(
        self, name: str, mode: int, data: bytes = b"", device: tuple[int, int] = (0, 0)
    ) -> None:
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts or not path.parts:
            raise ValueError(f"not a name inside an archive: {name!r}")
        for parent in path.parents[:-1]:
            self._entries.setdefault(str(parent), (stat.S_IFDIR | 0o755, b"", (0, 0)))
        self._entries[str(path)] = (mode, data, device)


def _record(number: int, name: str, mode: int, data: bytes, device: tuple[int, int]) -> bytes:
    encoded = name.encode() + b"\0"
    links = 2 if stat.S_ISDIR(mode) else 1
    # inode, mode, uid, gid, links, mtime, size, device (2), node's device (2), name, checksum
    fields = (number, mode, 0, 0, links, 0, len(data), 0, 0, *device, len(encoded), 0)
    header = _MAGIC + b"".join(b"%08X" % field for field in fields)
    return _padded(header + encoded) + _padded(data)


def _padded(data: bytes) -> bytes:
    return data + b"\0" * (-len(data) % 4)
