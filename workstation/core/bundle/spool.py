"""A bundle that comes through a pipe: its manifest comes last, so it is kept until then."""

import os
import select
import shutil
from collections.abc import Callable
from pathlib import Path

from workstation.core.bundle import reader
from workstation.core.freeze import SPARE
from workstation.errors import HostError, InvalidError
from workstation.model.bundle import BLOCK

_PIECE = 2**20
_LOOK_SECONDS = 0.2


def receive(descriptor: int, target: Path, told: Callable[[int], None]) -> Path:
    """All that comes, in a new file; raises InvalidError at once where it is no bundle."""
    made = os.open(target, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    size, checked = 0, False
    try:
        while data := _next(descriptor, told):
            if shutil.disk_usage(target.parent).free < SPARE + len(data):
                raise HostError(
                    "the disk is full before all of the bundle has come", hint="make room"
                )
            size += _write(made, data)
            told(len(data))
            if not checked and size >= 2 * BLOCK:
                reader.check_first_block(Path("what comes"), os.pread(made, 2 * BLOCK, 0))
                checked = True
    finally:
        os.close(made)
    if not checked:
        raise InvalidError(
            "nothing came that is a bundle", hint="workstation export NAME - writes one"
        )
    return target


def _next(descriptor: int, told: Callable[[int], None]) -> bytes:
    """What has come; waits for it, and for a person who gives up."""
    while not select.select([descriptor], [], [], _LOOK_SECONDS)[0]:
        told(0)
    return os.read(descriptor, _PIECE)


def _write(descriptor: int, data: bytes) -> int:
    done = 0
    while done < len(data):
        done += os.write(descriptor, data[done:])
    return done
