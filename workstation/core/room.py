"""Whether a disk has room for what is to be written, asked before a byte is."""

import shutil
from pathlib import Path

from workstation.errors import HostError
from workstation.model.units import format_size

SPARE = 64 * 2**20
"""Bytes of the library's disk that a move leaves free."""

CACHE_SPARE = 256 * 2**20
"""The same of the images' disk, which is often the system's too."""

IN_THE_LIBRARY = "make room: delete snapshots or machines, or whatever else lies on that disk"


def check_room(
    directory: Path, needed: int, hint: str, *, spare: int = SPARE, what: str = "this"
) -> None:
    """Raise HostError, with the numbers, where less than that and `spare` is free, in bytes.

    The directory need not be there yet. `hint` says what whoever asked can do about it.
    """
    while not directory.exists():
        directory = directory.parent
    free = shutil.disk_usage(directory).free
    if free < needed + spare:
        raise HostError(
            f"{what} needs {format_size(needed)} on the disk of {directory}, and"
            f" {format_size(free)} is free",
            hint=hint,
        )


def check_cache(directory: Path, needed: int) -> None:
    """Raise HostError where the disk of the images has not so many bytes free, and some more."""
    hint = "make room, or set XDG_CACHE_HOME to a directory on a larger disk"
    check_room(directory, needed, hint, spare=CACHE_SPARE)
