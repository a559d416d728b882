"""A file of its own with what another holds: a second name of it, shared blocks, or a copy."""

import os
import shutil
from contextlib import suppress
from fcntl import ioctl
from pathlib import Path

from workstation.errors import WorkstationError


def adopt_file(source: Path, target: Path, *, trusted: bool) -> None:
    """`target` has the content that `source` has now, whatever happens to `source` later.

    Files of the image library (`trusted`) are never rewritten, so a second name is enough;
    anything else is copied, sharing blocks where the file system can.
    """
    target.parent.mkdir(mode=0o700, exist_ok=True)
    if trusted:
        with suppress(OSError):
            target.hardlink_to(source)
            return
    try:
        _clone(source, target)
    except OSError as error:
        target.unlink(missing_ok=True)
        raise WorkstationError(f"{source} cannot be copied: {error.strerror}") from error


_FICLONE = 0x40049409
"""ioctl(2) request of linux/fs.h: make a file share all blocks of another."""


def _clone(source: Path, target: Path) -> None:
    with source.open("rb") as reader, target.open("xb") as writer:
        os.fchmod(writer.fileno(), 0o600)
        try:
            ioctl(writer.fileno(), _FICLONE, reader.fileno())
        except OSError:
            shutil.copyfileobj(reader, writer, 2**20)
