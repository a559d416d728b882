"""What the guest printed on its serial line: kept by QEMU in a file, bounded by us."""

import asyncio
import os
from pathlib import Path


def tail(path: Path, size: int) -> bytes:
    """The last `size` bytes; raw bytes of a guest."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - size))
            return file.read(size)
    except OSError:
        return b""


def trim(path: Path, keep: int) -> None:
    """Cut a log that has grown to twice `keep` bytes down to its last `keep`.

    QEMU appends, so it goes on after the cut; what it writes during the cut may be lost.
    """
    try:
        if path.stat().st_size < 2 * keep:
            return
    except OSError:
        return
    end = tail(path, keep)
    with path.open("r+b") as file:
        file.truncate(0)
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND)
    try:
        os.write(descriptor, end)
    finally:
        os.close(descriptor)


async def printed(path: Path, text: bytes, *, interval: float = 0.03) -> None:
    """Return as soon as the guest has printed `text` since it was started."""
    while text not in tail(path, 2**20):  # noqa: ASYNC110 (QEMU tells nobody that it wrote)
        await asyncio.sleep(interval)
