"""Writing an OVA: a tar with the description first, and the manifest of SHA-256 digests last."""

import asyncio
import hashlib
import os
import tarfile
import time
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

_AT_ONCE = 4 * 2**20
_BLOCK = 512


async def pack(
    target: Path, stem: str, text: bytes, disks: Sequence[Path], told: Callable[[int], None]
) -> None:
    """The new file `target`; `told` gets the bytes that were packed since it was called last."""
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        writer = _Writer(file.write)
        lines = [writer.whole(f"{stem}.ovf", text)]
        lines += [await writer.file(disk, told) for disk in disks]
        writer.whole(f"{stem}.mf", "".join(lines).encode())
        file.write(bytes(2 * _BLOCK))


class _Writer:
    """Writes members of a tar; returns the manifest's line for each."""

    def __init__(self, write: Callable[[bytes], object]) -> None:
        self._write = write

    def whole(self, name: str, content: bytes) -> str:
        self._begin(name, len(content))
        self._write(content)
        self._end(len(content))
        return _line(name, hashlib.sha256(content).hexdigest())

    async def file(self, path: Path, told: Callable[[int], None]) -> str:
        size, digest = os.path.getsize(path), hashlib.sha256()  # noqa: ASYNC240, PTH202
        self._begin(path.name, size)
        async for chunk in _chunks(path):
            await asyncio.gather(
                asyncio.to_thread(digest.update, chunk), asyncio.to_thread(self._write, chunk)
            )
            told(len(chunk))
        self._end(size)
        return _line(path.name, digest.hexdigest())

    def _begin(self, name: str, size: int) -> None:
        """Sizes over 8 GiB are written as GNU tar does; nothing names this user or host."""
        info = tarfile.TarInfo(name)
        info.size, info.mode, info.mtime = size, 0o644, int(time.time())
        self._write(info.tobuf(tarfile.GNU_FORMAT))

    def _end(self, size: int) -> None:
        self._write(bytes(-size % _BLOCK))


async def _chunks(path: Path) -> AsyncIterator[bytes]:
    with path.open("rb") as file:
        while chunk := await asyncio.to_thread(file.read, _AT_ONCE):
            yield chunk


def _line(name: str, digest: str) -> str:
    return f"SHA256({name})= {digest}\n"
