"""How small something will be when it is packed: told from samples, in hundredths of a second."""

import os
from pathlib import Path

import zstandard

from workstation.core.bundle.pack import LEVEL

SAMPLES = 16
SAMPLE = 2**18
"""Bytes of each. Memory is many kinds of pages: many small samples tell more than a few large."""

UNSEEN = 0.35
"""What is left of a guest's memory that is not in a file yet: a third, with the appliance's
(docs/carry.md)."""


def ratio(file: Path) -> float:
    """What is left of a file's bytes when they are packed, about; 1.0 for what cannot be read."""
    try:
        with file.open("rb") as opened:
            return _ratio(opened.fileno(), os.fstat(opened.fileno()).st_size)
    except OSError:
        return 1.0


def _ratio(descriptor: int, size: int) -> float:
    packer = zstandard.ZstdCompressor(level=LEVEL)
    step = max(1, size // SAMPLES)
    read = packed = 0
    for at in range(0, size, step):
        data = os.pread(descriptor, min(SAMPLE, step), at)
        read += len(data)
        packed += len(packer.compress(data))
    return min(1.0, packed / read) if read else 1.0
