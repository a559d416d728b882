"""What the screens ask of the world besides the Workstation; tests hand in a fixed one."""

import os
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


def disk_free(path: Path) -> int:
    """Bytes that this user could still write below `path`; blocks for as long as its disk does."""
    return shutil.disk_usage(path).free


def disk_used(path: Path) -> int:
    """Bytes on disk of everything below `path`; 0 where nothing is there."""
    total = 0
    for directory, _, files in os.walk(path):
        for file in files:
            try:
                total += os.lstat(os.path.join(directory, file)).st_blocks * 512  # noqa: PTH118
            except OSError:
                continue
    return total


@dataclass(frozen=True, slots=True)
class Outside:
    now: Callable[[], float] = time.time
    """Seconds since the epoch."""
    disk_free: Callable[[Path], int] = disk_free
    disk_used: Callable[[Path], int] = disk_used
