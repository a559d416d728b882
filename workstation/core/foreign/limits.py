"""How much of this computer a stranger's file may take."""

import shutil
from pathlib import Path

from workstation.core.room import SPARE
from workstation.qemu.convert import Limits

_GROWTH = 1000
"""Times its own size that a file may become: deflate, the common compression, reaches 1032."""
_ALWAYS = 2**30
"""Bytes that any file may become, so that a small one with a blank disk in it is no bomb."""

_BYTES_A_SECOND = 4 * 2**20
"""A slow computer reading a compressed disk from a slow stick."""
_SECONDS = 60


def most_bytes(size: int, directory: Path) -> int:
    """Bytes that a file of that size may become there, the disk's free space considered."""
    room = shutil.disk_usage(directory).free - SPARE
    return max(0, min(_ALWAYS + _GROWTH * size, room))


def limits(file_size: int, disk_size: int, directory: Path) -> Limits:
    """For qemu-img, that makes a qcow2 of a disk of that size in the directory."""
    tables = disk_size // 4096 + 4 * 2**20
    output = min(disk_size + tables, most_bytes(file_size, directory))
    return Limits(output, _SECONDS + output // _BYTES_A_SECOND)
