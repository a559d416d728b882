"""Giving back the room that a part of a file takes, where the file system can."""

import ctypes
import os
from functools import cache
from typing import Any

_PUNCH = 0x02 | 0x01
"""FALLOC_FL_PUNCH_HOLE and FALLOC_FL_KEEP_SIZE of linux/falloc.h."""


def punch(descriptor: int, offset: int, size: int) -> None:
    """What lies there is zeros from now on, and takes no room in whole blocks of the disk."""
    fallocate = _fallocate()
    if fallocate:
        fallocate(descriptor, _PUNCH, offset, size)


@cache
def _fallocate() -> Any:
    """Python has none; None where the system has none either."""
    found = getattr(ctypes.CDLL(None), "fallocate", None)
    if found and hasattr(os, "posix_fallocate"):
        found.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64]
        return found
    return None
